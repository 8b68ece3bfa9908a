"""Copying a log to another file, also while processes use it."""

from contextlib import closing
from pathlib import Path

from .database import back_up, open_readable, translated
from .errors import LogUnavailable
from .history import as_written
from .verify import Heads, heads


def copy_log(source: Path, destination: Path) -> Heads:
    """Copy a log to a new file and return the heads of the copy. The copy is durable on return.

    The copy is the log at one moment. Appends continue meanwhile, and are not in it.

    Raises:
        LogNotFound, NotALog, NewerFormat, OlderFormat, CorruptLog: as `Log.open`, of the source.
        LogUnavailable: the destination exists, or cannot be written; nothing is left there.
    """
    with closing(open_readable(source).connection) as reader:
        try:
            destination.open("x").close()
        except FileExistsError:
            raise LogUnavailable(f"{str(destination)!r} exists: choose a name that is free") from None
        except OSError as err:
            raise LogUnavailable(f"{str(destination)!r} cannot be written: {err.strerror}") from err
        try:
            with (
                translated(destination),
                as_written(destination),
                closing(back_up(reader, destination)) as copy,
            ):
                return heads(copy)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
