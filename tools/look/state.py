"""`threadlog state`: the state of a thread at a version, or one value in it."""

import click

from ...store.errors import ContentError, NotFound
from ...store.patch import MISSING, find
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import console, json_text, print_json


@click.command()
@click.argument("thread")
@click.argument("pointer", default="")
@click.option("--at", type=int, metavar="VERSION", help="Print the state as it was at this version.")
@log_options
def state(db: str, as_json: bool, thread: str, pointer: str, at: int | None) -> None:
    """Print a thread's state, or the value at a JSON POINTER in it."""
    with open_readonly(db) as log:
        document = log.state(thread, resolve_version(log, thread, at))
    try:
        value = find(document, pointer)
    except ValueError as err:
        raise ContentError(str(err)) from None
    if value is MISSING:
        raise NotFound(f"the state of thread {thread!r} has no value at {pointer!r}")
    if as_json:
        print_json(value)
    else:
        console.print(json_text(value))
