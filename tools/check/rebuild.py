"""`threadlog rebuild`: recompute the derived tables. The log itself is not changed."""

import click

from ...store.log import Log
from ..opening import log_options, open_readonly
from ..terminal import console, print_json, styled_text
from ..wording import quantity


@click.command()
@log_options
def rebuild(db: str, as_json: bool) -> None:
    """Recompute the derived tables (runs, messages, snapshots)."""
    with open_readonly(db):
        # Fail if the file is missing: `Log.open` would create it.
        pass
    with Log.open(db) as log:
        log.rebuild()
        position = log.position()
    if as_json:
        print_json({"position": position})
    else:
        console.print(
            styled_text("✓ rebuilt  ", "bold green") + styled_text(f"from {quantity(position, 'changeset')}")
        )
