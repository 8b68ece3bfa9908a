"""Checking a log: verify, replay, rebuild, stats. Only `rebuild` writes, and never to the log itself."""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio
import click
from pydantic import ValidationError

from ...reducers.check import Divergence, NotChecked, check_reducers
from ...reducers.reduce import Reducers
from ...reducers.replay import replay as fold
from ...reducers.statistics import statistics
from ...store.changeset import CONTROL
from ...store.document import dumps
from ...store.errors import NotFound, ThreadlogError
from ...store.log import Log
from ...store.verify import Finding, Heads
from ..opening import on_a_log, reading, version_in
from ..terminal import console, line, print_json, print_table, styled

if TYPE_CHECKING:
    from ...engine.agents import Registered
    from ..agents import Brought

Level = Literal["patches", "reducers", "run"]


@click.command()
@click.option("--heads", "given", metavar="FILE", help="Heads saved earlier: finds a file that was cut off.")
@click.option("--save-heads", metavar="FILE", help="Write the heads of a log without findings to this file.")
@on_a_log
@click.pass_context
def verify(context: click.Context, db: str, as_json: bool, given: str | None, save_heads: str | None) -> None:
    """Check everything in the file and report all findings. Exits with 1 if there are any."""
    with reading(db) as log:
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
        raise click.UsageError(f"{path!r} holds no heads: give what --save-heads has written") from err


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as err:
        raise click.UsageError(f"{str(path)!r} cannot be written: {err.strerror}") from err


def print_findings(findings: list[Finding], heads: Heads | None) -> None:
    """All findings, or that there is none and what was looked at."""
    for finding in findings:
        console.print(styled(line(f"✗ {finding}"), "red"))
    if heads is None:
        console.print(styled(f"{len(findings)} findings", "bold red"))
        return
    console.print(
        styled("✓ verified  ", "bold green")
        + styled(f"{heads.position} changesets on {_threads(heads)} threads; head {heads.file_digest[:16]}…")
    )


def _threads(heads: Heads) -> int:
    """How many there are; the control streams of their runs are none."""
    return sum(not name.startswith(CONTROL) for name in heads.threads)


class Replayed(NamedTuple):
    """One thread, replayed."""

    thread_id: str
    version: int
    actions: int
    patches: int
    state_digest: str
    problems: list[Divergence | NotChecked | str]


@click.command()
@click.argument("thread", required=False)
@click.option(
    "--level",
    type=click.Choice(["patches", "reducers", "run"]),
    default="patches",
    help="patches: fold what is logged. reducers: reduce the logged actions again, and compare. "
    "run: execute the runs again on what models, tools and people answered, and compare.",
)
@click.option("--agents", metavar="FILE.py", help="Your agents and reducers, for the other levels.")
@on_a_log
@click.pass_context
def replay(
    context: click.Context, db: str, as_json: bool, thread: str | None, level: Level, agents: str | None
) -> None:
    """Replay a thread, or all, from the log alone.

    Exits with 1 on any difference, or if something could not be checked.
    """
    if agents and level == "patches":
        raise click.UsageError("--agents brings reducers: it goes with --level reducers")
    with reading(db) as log:
        if thread is not None:
            version_in(log, thread, None)
        found = _brought(agents) if level != "patches" else None
        threads = [thread] if thread is not None else [row.thread_id for row in log.threads()]
        replayed = [replay_thread(log, name, found.reducers if found else None) for name in threads]
        if found and level == "run":
            replayed = [_run_again(log, row, found.agents) for row in replayed]
    if as_json:
        print_json([row._asdict() | {"problems": list(map(str, row.problems))} for row in replayed])
    else:
        print_replayed(replayed)
    context.exit(1 if any(row.problems for row in replayed) else 0)


def _brought(agents: str | None) -> "Brought":
    from ..agents import brought

    return brought(agents)


def _run_again(log: Log, replayed: Replayed, agents: "Sequence[Registered]") -> Replayed:
    from ...engine.replay import replay_run

    runs = [row.run_id for row in log.runs(replayed.thread_id)]
    found = [anyio.run(replay_run, log, run_id, agents) for run_id in runs]
    return replayed._replace(problems=[*replayed.problems, *(str(problem) for problem in found if problem)])


def replay_thread(log: Log, thread: str, reducers: Reducers | None) -> Replayed:
    """A thread folded from its first changeset and held against what the log answers; reduced again, too."""
    changesets = list(log.read(thread))
    problems: list[Divergence | NotChecked | str] = []
    digest = ""
    try:
        state = fold(changesets).state
        digest = sha256(dumps(state)).hexdigest()
        if dumps(log.state(thread)) != dumps(state):
            problems.append(
                f"thread {thread!r}: a snapshot is not what the patches make: `threadlog rebuild`"
            )
        if reducers:
            problems += check_reducers(changesets, reducers)
    except ThreadlogError as err:
        problems.append(f"thread {thread!r}: {err}")
    actions = sum(len(changeset.actions) for changeset in changesets)
    patches = sum(len(changeset.patches) for changeset in changesets)
    return Replayed(thread, len(changesets), actions, patches, digest, problems)


def print_replayed(replayed: list[Replayed]) -> None:
    """A line for each thread, and below it every problem."""
    for row in replayed:
        mark = styled("✗ ", "bold red") if row.problems else styled("✓ ", "bold green")
        console.print(
            mark
            + styled(
                f"{row.thread_id}  {row.version} versions, {row.actions} actions, {row.patches} patches; "
            )
            + styled(f"state {row.state_digest[:16]}…", "dim")
        )
        for problem in row.problems:
            console.print(styled(f"  {line(problem)}", "red"))


@click.command()
@on_a_log
def rebuild(db: str, as_json: bool) -> None:
    """Make every derived table (runs, messages, snapshots) anew from the log."""
    # Opened to be read first: a file that is not there is not made.
    with reading(db):
        pass
    with Log.open(db) as log:
        log.rebuild()
        position = log.position()
    if as_json:
        print_json({"position": position})
    else:
        console.print(styled("✓ rebuilt  ", "bold green") + styled(f"from {position} changesets"))


@click.command()
@on_a_log
def stats(db: str, as_json: bool) -> None:
    """Print what is in the log, and how large it is."""
    with reading(db) as log:
        figures = dict(_figures(log))
    if as_json:
        print_json(figures)
    else:
        print_table(Path(db).name, ("what", "how many#"), figures.items())


def _figures(log: Log) -> Iterator[tuple[str, Any]]:
    threads, runs, reasons = log.threads(), log.runs(), Counter[str]()
    for entry in log.entries():
        reasons[entry.changeset.reason] += 1
    done = statistics(entry.changeset for entry in log.entries())
    yield "changesets", log.position()
    yield "threads", len(threads)
    yield "messages", sum(row.messages for row in threads)
    yield "runs", len(runs)
    for status, count in sorted(Counter(row.status for row in runs).items()):
        yield f"runs {status}", count
    for reason, count in sorted(reasons.items()):
        yield f"changesets {reason}", count
    yield "model turns", done.steps
    yield "model calls", done.inferences
    yield "model calls repeated", done.retries
    yield "tool calls", done.tool_calls
    yield "tool calls failed", done.tool_errors
    yield "seconds of runs", done.duration / 1_000_000
    yield "input tokens", sum(row.input_tokens for row in runs)
    yield "output tokens", sum(row.output_tokens for row in runs)
    wal = log.path.with_name(f"{log.path.name}-wal")
    yield "bytes", sum(path.stat().st_size for path in (log.path, wal) if path.exists())
