"""`threadlog rebuild`: the derived tables computed again from the log. The log itself stays as it is."""

import click

from ...store.log import Log
from ..opening import log_options, open_readonly
from ..terminal import console, print_json, styled


@click.command()
@log_options
def rebuild(db: str, as_json: bool) -> None:
    """Compute every derived table (runs, messages, snapshots) again from the log."""
    with open_readonly(db):
        # Only to fail if the file is missing: `Log.open` would create it.
        pass
    with Log.open(db) as log:
        log.rebuild()
        position = log.position()
    if as_json:
        print_json({"position": position})
    else:
        console.print(styled("✓ rebuilt  ", "bold green") + styled(f"from {position} changesets"))
