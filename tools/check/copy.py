"""`threadlog copy`: back up a log, also while it is in use."""

from pathlib import Path

import click

from ...store.copying import copy_log
from ..opening import json_option
from ..terminal import console, print_json, styled_text
from ..wording import quantity


@click.command()
@click.argument("source", metavar="FILE")
@click.argument("destination", metavar="NEW_FILE")
@json_option
def copy(source: str, destination: str, as_json: bool) -> None:
    """Copy the log FILE to NEW_FILE, also while processes append to it. An existing file is refused."""
    heads = copy_log(Path(source), Path(destination))
    if as_json:
        print_json(heads.model_dump())
        return
    counts = f"{quantity(heads.position, 'changeset')}; head {heads.file_digest[:16]}…"
    console.print(styled_text("✓ copied  ", "bold green") + styled_text(counts))
