"""`threadlog verify`: find everything in a log that was altered, removed or damaged."""

from pathlib import Path

import click
from pydantic import ValidationError

from ...store.changeset import CONTROL
from ...store.errors import NotFound
from ...store.verify import Finding, Heads
from ..opening import log_options, open_readonly
from ..terminal import console, one_line, print_json, styled_text
from ..wording import quantity


@click.command()
@click.option(
    "--heads", "saved", metavar="FILE", help="Heads saved earlier: also finds entries missing at the end."
)
@click.option("--save-heads", metavar="FILE", help="Write the heads to FILE if nothing is found.")
@log_options
@click.pass_context
def verify(context: click.Context, db: str, as_json: bool, saved: str | None, save_heads: str | None) -> None:
    """Check that nothing in the log was altered, removed or damaged. Exits with 1 if something was."""
    with open_readonly(db) as log:
        if save_heads and Path(save_heads).exists() and Path(save_heads).samefile(db):
            raise click.UsageError(f"{save_heads!r} is the log itself: choose another file for --save-heads")
        findings = log.verify(_heads(saved) if saved else None)
        heads = log.heads() if not findings else None
    if heads and save_heads:
        _write(Path(save_heads), heads.model_dump_json(indent=2))
    if as_json:
        found = [finding._asdict() for finding in findings]
        print_json({"findings": found, "heads": heads.model_dump() if heads else None})
    else:
        print_findings(findings, heads)
    context.exit(1 if findings else 0)


def _heads(path: str) -> Heads:
    try:
        return Heads.model_validate_json(Path(path).read_bytes())
    except FileNotFoundError:
        raise NotFound(f"heads file {path!r} does not exist") from None
    except OSError as err:
        raise click.UsageError(f"{path!r} cannot be read: {err.strerror}") from err
    except ValidationError as err:
        raise click.UsageError(f"{path!r} is not a heads file: use one written by --save-heads") from err


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as err:
        raise click.UsageError(f"{str(path)!r} cannot be written: {err.strerror}") from err


def print_findings(findings: list[Finding], heads: Heads | None) -> None:
    """Print the findings; without any, print how much was checked."""
    for finding in findings:
        console.print(styled_text(one_line(f"✗ {finding}"), "red"))
    if heads is None:
        console.print(styled_text(quantity(len(findings), "finding"), "bold red"))
        return
    # Control streams are not threads.
    threads = sum(not name.startswith(CONTROL) for name in heads.threads)
    counts = f"{quantity(heads.position, 'changeset')} on {quantity(threads, 'thread')}"
    checked = f"{counts}; head {heads.file_digest[:16]}…"
    console.print(styled_text("✓ verified  ", "bold green") + styled_text(checked))
