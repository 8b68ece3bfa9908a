"""The options that every command on a log shares, and how a command opens the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..store.errors import ContentError, CorruptLog, NotFound, PatchError
from ..store.log import Log
from .terminal import visible

Decorated = Callable[..., Any]


def log_options(function: Decorated) -> Decorated:
    """Add `--db` and `--json` to a command, which receives them as `db` and `as_json`."""

    def either(context: click.Context, _: click.Parameter, value: bool) -> bool:
        # --json may also stand before the command's name.
        return value or bool(context.obj)

    flag = click.option(
        "--json", "as_json", is_flag=True, callback=either, help="Print JSON instead of text."
    )
    file = click.option(
        "--db", envvar="THREADLOG_DB", required=True, metavar="FILE", help="The log, or set THREADLOG_DB."
    )
    return file(flag(function))


@contextmanager
def open_readonly(db: str) -> Iterator[Log]:
    """Open the log for reading only.

    Commands that write open it like this first: opening for writing would create a missing file.

    Raises:
        LogNotFound: there is no such file.
        CorruptLog: something that was read is damaged.
    """
    with Log.open(db, readonly=True) as log:
        if log.notice:
            click.echo(f"threadlog: {visible(log.notice)}", err=True)
        try:
            yield log
        except (ContentError, PatchError) as err:
            # A writer refuses such content, so the file was changed afterwards.
            raise CorruptLog(f"{db!r} is damaged ({err}): copy it, then run `threadlog verify`") from err


def resolve_version(log: Log, thread: str, version: int | None) -> int:
    """Return the given version of a thread, or its last one.

    Raises:
        NotFound: there is no such thread, or it has no such version.
    """
    head = log.head(thread) if is_text(thread) else 0
    if not head:
        raise NotFound(f"there is no thread {thread!r} in this log: `threadlog threads` lists them")
    if version is not None and not 0 <= version <= head:
        raise NotFound(f"thread {thread!r} has versions 0 to {head}, not {version}")
    return head if version is None else version


def is_text(name: str) -> bool:
    """Whether a command line argument is valid text. Stray bytes are not, and nothing has such a name."""
    return name.encode(errors="replace").decode() == name
