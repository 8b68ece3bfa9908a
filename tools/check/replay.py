"""`threadlog replay`: a thread, or all of them, computed again from the log alone and compared with it."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal, NamedTuple

import anyio
import click

from ...engine.agents import Registered
from ...engine.replay import replay_run
from ...reducers.check import check_reducers
from ...reducers.reduce import Reducers
from ...reducers.replay import replay as fold
from ...store.document import dumps
from ...store.errors import ThreadlogError
from ...store.log import Log
from ..agents import load_definitions
from ..opening import log_options, open_readonly, resolve_version
from ..terminal import console, line, print_json, styled

Level = Literal["patches", "reducers", "run"]


class Replayed(NamedTuple):
    """A replayed thread."""

    thread_id: str
    version: int
    actions: int
    patches: int
    state_digest: str
    problems: list[str]


@click.command()
@click.argument("thread", required=False)
@click.option(
    "--level",
    type=click.Choice(["patches", "reducers", "run"]),
    default="patches",
    help="patches: apply the logged patches. reducers: also reduce the logged actions again and compare. "
    "run: also execute the runs again, with the logged answers of models, tools and people, and compare.",
)
@click.option("--agents", metavar="FILE.py", help="Your agents and reducers, for levels reducers and run.")
@log_options
@click.pass_context
def replay(
    context: click.Context, db: str, as_json: bool, thread: str | None, level: Level, agents: str | None
) -> None:
    """Replay a thread, or all of them, from the log alone.

    Exits with 1 if something differs or could not be checked.
    """
    if agents and level == "patches":
        raise click.UsageError("--agents brings reducers: it goes with --level reducers or run")
    with open_readonly(db) as log:
        if thread is not None:
            resolve_version(log, thread, None)
        names = [thread] if thread is not None else [row.thread_id for row in log.threads()]
        replayed = _replay(log, names, level, agents)
    if as_json:
        print_json([row._asdict() for row in replayed])
    else:
        print_replayed(replayed)
    context.exit(1 if any(row.problems for row in replayed) else 0)


def _replay(log: Log, threads: Sequence[str], level: Level, file: str | None) -> list[Replayed]:
    if level == "patches":
        return [replay_thread(log, thread) for thread in threads]
    definitions = load_definitions(file)
    replayed = [replay_thread(log, thread, definitions.reducers) for thread in threads]
    if level == "reducers":
        return replayed
    return [_with_runs(log, row, definitions.agents) for row in replayed]


def _with_runs(log: Log, replayed: Replayed, agents: Sequence[Registered]) -> Replayed:
    runs = [row.run_id for row in log.runs(replayed.thread_id)]
    return replayed._replace(problems=[*replayed.problems, *replay_runs(log, runs, agents)])


def replay_thread(log: Log, thread: str, reducers: Reducers | None = None) -> Replayed:
    """Apply a thread's patches from the first version and compare the state with the log's.

    With `reducers` also reduce the logged actions again and compare the patches.
    """
    changesets = list(log.read(thread))
    problems: list[str] = []
    digest = ""
    try:
        state = dumps(fold(changesets).state)
        digest = sha256(state).hexdigest()
        if dumps(log.state(thread)) != state:
            problems.append(
                f"thread {thread!r}: a snapshot differs from the patches: run `threadlog rebuild`"
            )
        if reducers:
            problems += map(str, check_reducers(changesets, reducers))
    except ThreadlogError as err:
        problems.append(f"thread {thread!r}: {err}")
    actions = sum(len(changeset.actions) for changeset in changesets)
    patches = sum(len(changeset.patches) for changeset in changesets)
    return Replayed(thread, len(changesets), actions, patches, digest, problems)


def replay_runs(log: Log, run_ids: Sequence[str], agents: Sequence[Registered]) -> list[str]:
    """Execute runs again on their log; return what differs or could not be checked."""
    return anyio.run(_replay_runs, log, run_ids, agents)


async def _replay_runs(log: Log, run_ids: Sequence[str], agents: Sequence[Registered]) -> list[str]:
    found = [await replay_run(log, run_id, agents) for run_id in run_ids]
    return [str(difference) for difference in found if difference]


def print_replayed(replayed: list[Replayed]) -> None:
    """Print a line for each thread, and below it every problem."""
    for row in replayed:
        mark = styled("✗ ", "bold red") if row.problems else styled("✓ ", "bold green")
        counts = f"{row.version} versions, {row.actions} actions, {row.patches} patches"
        digest = styled(f"state {row.state_digest[:16]}…", "dim")
        console.print(mark + styled(f"{row.thread_id}  {counts}; ") + digest)
        for problem in row.problems:
            console.print(styled(f"  {line(problem)}", "red"))
