"""The options that commands on a log share, and opening the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..store.errors import ContentError, CorruptLog, NotFound, PatchError
from ..store.log import Log
from .terminal import escape

Decorated = Callable[..., Any]


def log_options(function: Decorated) -> Decorated:
    """Add `--db` and `--json` to a command, which receives them as `db` and `as_json`."""
    file = click.option(
        "--db", envvar="THREADLOG_DB", required=True, metavar="FILE", help="The log. Default: $THREADLOG_DB."
    )
    return file(json_option(function))


def json_option(function: Decorated) -> Decorated:
    """Add `--json` to a command, which receives it as `as_json`."""

    def callback(context: click.Context, _: click.Parameter, value: bool) -> bool:
        # --json may also come before the name of the command.
        return value or bool(context.obj)

    flag = click.option(
        "--json", "as_json", is_flag=True, callback=callback, help="Print JSON instead of text."
    )
    return flag(function)


@contextmanager
def open_readonly(db: str) -> Iterator[Log]:
    """Open the log read-only.

    Commands that write do this first, because opening for writing would create a missing file.

    Raises:
        LogNotFound: there is no such file.
        CorruptLog: the log is damaged.
    """
    with Log.open(db, readonly=True) as log:
        if log.notice:
            click.echo(f"threadlog: {escape(log.notice)}", err=True)
        try:
            yield log
        except (ContentError, PatchError) as err:
            # The log never accepts such content, so the file was changed afterwards.
            raise CorruptLog(f"{db!r} is damaged ({err}): copy it, then run `threadlog verify`") from err


def resolve_version(log: Log, thread: str, version: int | None) -> int:
    """Return the given version of a thread, or its last one.

    Raises:
        NotFound: the log has no such thread, or the thread has no such version.
    """
    head = log.head(thread) if is_text(thread) else 0
    if not head:
        raise NotFound(f"this log has no thread {thread!r}: `threadlog threads` lists them")
    if version is not None and not 0 <= version <= head:
        raise NotFound(f"thread {thread!r} has versions 0 to {head}, not {version}")
    return head if version is None else version


def is_text(name: str) -> bool:
    """Return whether a command-line argument is valid Unicode. Every name in a log is."""
    return name.encode(errors="replace").decode() == name
