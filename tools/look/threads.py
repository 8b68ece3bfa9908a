"""`threadlog threads`: the threads of a log."""

import click

from ...store.listing import ThreadRow
from ..opening import log_options, open_readonly
from ..terminal import print_json, print_table, utc_time
from ..wording import quantity

COLUMNS = ("thread", "version#", "messages#", "last written (UTC)", "parent", "owner", "labels")


@click.command()
@log_options
def threads(db: str, as_json: bool) -> None:
    """List the threads with their parents, owners and labels."""
    with open_readonly(db) as log:
        rows = log.threads()
    if as_json:
        print_json([row._asdict() for row in rows])
    else:
        print_table(quantity(len(rows), "thread"), COLUMNS, map(_cells, rows))


def _cells(row: ThreadRow) -> tuple[object, ...]:
    labels = " ".join(f"{key}={value}" for key, value in row.labels.items())
    written = utc_time(row.updated_at)
    return (row.thread_id, row.version, row.messages, written, row.parent, row.owner, labels)
