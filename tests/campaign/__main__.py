"""The campaign: logs are hurt in every way there is, and must keep what they promise.

    PYTHONPATH=tests python -m campaign [PART…] [--seed N] [--short]

Each part prints what it did; the seed repeats it. The exit code is 1 if something was found.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

import click

from campaign.parts import clock, contention, flips, full, kills, power, soak, writes
from campaign.parts.part import Outcome, Part

ALL: tuple[Part, ...] = (
    power.PART,
    flips.PART,
    full.PART,
    contention.PART,
    soak.PART,
    kills.PART,
    clock.PART,
    writes.PART,
)
PARTS = {part.name: part for part in ALL}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--seed", type=int, envvar="THREADLOG_SEED", help="Repeats a campaign.")
@click.option("--short", is_flag=True, help="Seconds instead of hours.")
def campaign(names: tuple[str, ...], seed: int | None, short: bool) -> None:
    """Hurt logs in every way there is. Exits with 1 if something was found."""
    seed = random.randrange(2**32) if seed is None else seed
    click.echo(f"THREADLOG_SEED={seed}")
    rows = ["| part | what was done | cases | minutes | found |", "| --- | --- | --- | --- | --- |"]
    found: list[str] = []
    for part in [PARTS[name] for name in names or PARTS]:
        begun = time.monotonic()
        outcome = run(part, seed, short)
        rows.append(row(part, outcome, (time.monotonic() - begun) / 60))
        click.echo(rows[-1])
        found += [f"{part.name}: {finding}" for finding in outcome.findings]
    click.echo("\n".join(["", *rows, "", *found]))
    sys.exit(bool(found))


def run(part: Part, seed: int, short: bool) -> Outcome:
    with tempfile.TemporaryDirectory(prefix=f"threadlog-{part.name}-") as folder:
        return part.run(seed, short, Path(folder))


def row(part: Part, outcome: Outcome, minutes: float) -> str:
    counts = ", ".join(f"{number:,} {what}" for what, number in outcome.counts.items())
    cells = [
        part.name,
        f"{part.does}: {counts}" if counts else part.does,
        f"{outcome.cases:,}",
        f"{minutes:.1f}",
    ]
    return "| " + " | ".join([*cells, str(len(outcome.findings))]) + " |"


if __name__ == "__main__":
    campaign()
