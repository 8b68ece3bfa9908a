"""`threadlog replay`: compute threads again from the log alone, and compare the results with the log."""

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
from ..terminal import console, one_line, print_json, styled_text
from ..wording import quantity

Level = Literal["patches", "reducers", "run"]


class Replayed(NamedTuple):
    """The result of replaying a thread."""

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
    help="patches: apply the recorded patches. reducers: also reduce the recorded actions again. run: also "
    "execute the runs again, with the recorded answers of models, tools and people.",
)
@click.option(
    "--agents", metavar="FILE.py", help="Your agents and reducers, for the levels reducers and run."
)
@log_options
@click.pass_context
def replay(
    context: click.Context, db: str, as_json: bool, thread: str | None, level: Level, agents: str | None
) -> None:
    """Replay one thread, or all, and compare with the log.

    Exits with 1 if anything differs or could not be checked.
    """
    if agents and level == "patches":
        raise click.UsageError("--agents needs --level reducers or --level run")
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
    return [_replay_its_runs(log, row, definitions.agents) for row in replayed]


def _replay_its_runs(log: Log, replayed: Replayed, agents: Sequence[Registered]) -> Replayed:
    runs = [row.run_id for row in log.runs(replayed.thread_id)]
    return replayed._replace(problems=[*replayed.problems, *replay_runs(log, runs, agents)])


def replay_thread(log: Log, thread: str, reducers: Reducers | None = None) -> Replayed:
    """Apply the patches of a thread from its first version, and compare the state with the log's.

    With `reducers`, also reduce the recorded actions again and compare the patches.
    """
    changesets = list(log.read(thread))
    problems: list[str] = []
    digest = ""
    try:
        state = dumps(fold(changesets).state)
        digest = sha256(state).hexdigest()
        if dumps(log.state(thread)) != state:
            problems.append(
                f"thread {thread!r}: a snapshot does not match the patches: run `threadlog rebuild`"
            )
        if reducers:
            problems += map(str, check_reducers(changesets, reducers))
    except ThreadlogError as err:
        problems.append(f"thread {thread!r}: {err}")
    actions = sum(len(changeset.actions) for changeset in changesets)
    patches = sum(len(changeset.patches) for changeset in changesets)
    return Replayed(thread, len(changesets), actions, patches, digest, problems)


def replay_runs(log: Log, run_ids: Sequence[str], agents: Sequence[Registered]) -> list[str]:
    """Execute runs again, and return what differs or could not be checked."""
    return anyio.run(_replay_runs, log, run_ids, agents)


async def _replay_runs(log: Log, run_ids: Sequence[str], agents: Sequence[Registered]) -> list[str]:
    found = [await replay_run(log, run_id, agents) for run_id in run_ids]
    return [str(difference) for difference in found if difference]


def print_replayed(replayed: list[Replayed]) -> None:
    """Print one line per thread, followed by its problems."""
    for row in replayed:
        mark = styled_text("✗ ", "bold red") if row.problems else styled_text("✓ ", "bold green")
        figures = (
            quantity(row.version, "version"),
            quantity(row.actions, "action"),
            quantity(row.patches, "patch", "patches"),
        )
        digest = styled_text(f"state {row.state_digest[:16]}…", "dim")
        console.print(mark + styled_text(f"{row.thread_id}  {', '.join(figures)}; ") + digest)
        for problem in row.problems:
            console.print(styled_text(f"  {one_line(problem)}", "red"))
