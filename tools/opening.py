"""What every command on a file has in common: the file, `--json`, and how it is opened."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..store.errors import ContentError, CorruptLog, NotFound, PatchError
from ..store.log import Log
from .terminal import visible

Decorated = Callable[..., Any]


def on_a_log(function: Decorated) -> Decorated:
    """Adds `--db` and `--json` to a command; they come as `db` and `as_json`."""

    def either(context: click.Context, _: click.Parameter, value: bool) -> bool:
        return value or bool(context.obj)

    flag = click.option(
        "--json", "as_json", is_flag=True, callback=either, help="Print JSON instead of text."
    )
    file = click.option(
        "--db", envvar="THREADLOG_DB", required=True, metavar="FILE", help="The log, or set THREADLOG_DB."
    )
    return file(flag(function))


@contextmanager
def reading(db: str) -> Iterator[Log]:
    """The log, opened to be read only."""
    with Log.open(db, readonly=True) as log:
        if log.notice:
            click.echo(f"threadlog: {visible(log.notice)}", err=True)
        try:
            yield log
        except (ContentError, PatchError) as err:
            # No append takes in what a reader then refuses.
            raise CorruptLog(f"{db!r} is damaged ({err}): copy it, then run `threadlog verify`") from err


def version_in(log: Log, thread: str, version: int | None) -> int:
    """The version asked for, or the thread's last.

    Raises:
        NotFound: no such thread, or it has no such version.
    """
    head = log.head(thread) if is_text(thread) else 0
    if not head:
        raise NotFound(f"there is no thread {thread!r} in this log: `threadlog threads` lists them")
    if version is not None and not 0 <= version <= head:
        raise NotFound(f"thread {thread!r} has versions 0 to {head}, not {version}")
    return head if version is None else version


def is_text(name: str) -> bool:
    """Whether a word of the command line is one: stray bytes are no text, and the name of nothing."""
    return name.encode(errors="replace").decode() == name
