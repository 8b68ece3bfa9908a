"""`threadlog recover`: closes the runs whose process died. No agent is needed: nothing is executed."""

from collections.abc import Sequence
from typing import Any

import anyio
import click

from ...engine.runs import Recovered, orphans
from ...engine.runtime import Runtime
from ..opening import on_a_log, reading
from ..standing import executed_by, standing
from ..terminal import print_json, print_table, when


@click.command()
@click.argument("run_id", metavar="RUN", required=False)
@click.option("--force", is_flag=True, help="Take RUN from the process that executes it, though it is alive.")
@click.option("--dry-run", is_flag=True, help="Only say which they are: nothing is written.")
@on_a_log
def recover(db: str, as_json: bool, run_id: str | None, force: bool, dry_run: bool) -> None:
    """Stop the runs whose process died, or one of them, and say what became of their tool calls.

    A call without a result was not started, or it is unknown whether it has had its effect: the model is
    told so if the run is resumed. A process that is only stopped keeps its runs, until --force takes one.
    Twice is as once.
    """
    if force and (run_id is None or dry_run):
        raise click.UsageError("--force takes one RUN from its process, and writes that")
    # Opened to be read first: a file that is not there is not made.
    with reading(db) as log:
        if run_id is not None:
            standing(log, run_id)
        found: Sequence[Recovered] = [each.recovered("stop") for each in orphans(log) if not each.is_adopted]
    if dry_run:
        found = [each for each in found if run_id in (None, each.run_id)]
    else:
        found = anyio.run(_recover, db, run_id, force)
    if as_json:
        print_json([_json(each) for each in found])
    else:
        _print(found, "to be recovered" if dry_run else "recovered")


async def _recover(db: str, run_id: str | None, force: bool) -> list[Recovered]:
    async with Runtime.open(db, agents=[], orphans="leave") as runtime:
        return await runtime.recover(run_id, force=force)


def _json(found: Recovered) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "thread_id": found.thread_id,
        "agent": found.agent,
        **found.evidence.model_dump(),
    }


def _print(found: Sequence[Recovered], what: str) -> None:
    print_table(
        f"{len(found)} runs {what}",
        ("run", "thread", "agent", "executed by", "last commit (UTC)", "calls without a result"),
        [
            (
                each.run_id,
                each.thread_id,
                each.agent,
                executed_by(each.evidence.executor),
                when(each.evidence.at),
                ", ".join(f"{call.name}: {call.fate.replace('_', ' ')}" for call in each.evidence.calls),
            )
            for each in found
        ],
    )
