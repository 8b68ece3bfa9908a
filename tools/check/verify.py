"""`threadlog verify`: everything in a log that is not as it was written."""

from pathlib import Path

import click
from pydantic import ValidationError

from ...store.changeset import CONTROL
from ...store.errors import NotFound
from ...store.verify import Finding, Heads
from ..opening import log_options, open_readonly
from ..terminal import console, line, print_json, styled


@click.command()
@click.option(
    "--heads", "given", metavar="FILE", help="Heads saved earlier, to find a file that was cut off."
)
@click.option("--save-heads", metavar="FILE", help="Write the heads of a log without findings to this file.")
@log_options
@click.pass_context
def verify(context: click.Context, db: str, as_json: bool, given: str | None, save_heads: str | None) -> None:
    """Check everything in the file and report all findings. Exits with 1 if there are any."""
    with open_readonly(db) as log:
        if save_heads and Path(save_heads).exists() and Path(save_heads).samefile(db):
            raise click.UsageError(f"{save_heads!r} is the log itself: give --save-heads another file")
        findings = log.verify(_heads(given) if given else None)
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
        raise NotFound(f"there is no file {path!r} with heads") from None
    except OSError as err:
        raise click.UsageError(f"{path!r} cannot be read: {err.strerror}") from err
    except ValidationError as err:
        raise click.UsageError(f"{path!r} holds no heads: give a file that --save-heads has written") from err


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as err:
        raise click.UsageError(f"{str(path)!r} cannot be written: {err.strerror}") from err


def print_findings(findings: list[Finding], heads: Heads | None) -> None:
    """Print all findings, or that there are none and how much was checked."""
    for finding in findings:
        console.print(styled(line(f"✗ {finding}"), "red"))
    if heads is None:
        console.print(styled(f"{len(findings)} findings", "bold red"))
        return
    # Control streams are no threads.
    threads = sum(not name.startswith(CONTROL) for name in heads.threads)
    checked = f"{heads.position} changesets on {threads} threads; head {heads.file_digest[:16]}…"
    console.print(styled("✓ verified  ", "bold green") + styled(checked))
