"""`threadlog recover`: close runs whose process died. No agent is needed, because nothing is executed."""

from collections.abc import Sequence

import anyio
import click

from ...engine.runs import Recovered, find_orphans
from ...engine.runtime import Runtime
from ..opening import log_options, open_readonly
from ..run_view import find_run
from ..terminal import print_json, print_table, utc_time
from ..wording import process_text, quantity

COLUMNS = ("run", "thread", "agent", "executed by", "last commit (UTC)", "unfinished calls")


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option("--force", is_flag=True, help="Close RUN even if its process is alive, for example suspended.")
@click.option("--dry-run", is_flag=True, help="List the runs without closing them.")
@log_options
def recover(db: str, as_json: bool, run_id: str | None, force: bool, dry_run: bool) -> None:
    """Close runs whose process died; list their unfinished calls.

    With RUN, close only that one. `not started` means that a call had no effect. `unknown` means that it may
    have had one: find out. If the run resumes, the model reads the same. Recovering a run twice is a no-op.
    """
    if force and (run_id is None or dry_run):
        raise click.UsageError("--force needs a RUN, and cannot be combined with --dry-run")
    with open_readonly(db) as log:
        if run_id is not None:
            find_run(log, run_id)
        found: Sequence[Recovered] = [
            each.recovered("stop") for each in find_orphans(log) if not each.is_adopted
        ]
    if dry_run:
        found = [each for each in found if run_id in (None, each.run_id)]
    else:
        found = anyio.run(_recover, db, run_id, force)
    if as_json:
        print_json(list(map(_json, found)))
    else:
        title = f"{quantity(len(found), 'run')} {'to recover' if dry_run else 'recovered'}"
        print_table(title, COLUMNS, map(_cells, found))


async def _recover(db: str, run_id: str | None, force: bool) -> list[Recovered]:
    async with Runtime.open(db, agents=[], orphans="leave") as runtime:
        return await runtime.recover(run_id, force=force)


def _json(found: Recovered) -> dict[str, object]:
    return {
        "run_id": found.run_id,
        "thread_id": found.thread_id,
        "agent": found.agent,
        **found.evidence.model_dump(),
    }


def _cells(found: Recovered) -> tuple[object, ...]:
    evidence = found.evidence
    calls = ", ".join(f"{call.name}: {call.fate.replace('_', ' ')}" for call in evidence.calls)
    process = process_text(evidence.executor)
    return (found.run_id, found.thread_id, found.agent, process, utc_time(evidence.at), calls)
