"""`threadlog runs`: the runs of a log as a tree, or only the unfinished ones."""

from collections.abc import Sequence

import click

from ...store.listing import QueuedRow, RunRow
from ..opening import log_options, open_readonly, resolve_version
from ..run_view import ActiveRow, is_dead, status_json
from ..terminal import print_json, print_table, when
from ..wording import end_text
from .tree import as_tree, branch

COLUMNS = ("run", "thread", "agent", "status", "ended by", "tokens in#", "out#", "started (UTC)", "seconds#")
ACTIVE_COLUMNS = ("run", "thread", "agent", "status", "host", "pid#", "started (UTC)")


@click.command()
@click.option("--thread", metavar="THREAD", help="Only the runs of this thread.")
@click.option(
    "--active", is_flag=True, help="Only running, waiting and queued runs, and the process of each."
)
@log_options
def runs(db: str, as_json: bool, thread: str | None, active: bool) -> None:
    """List the runs with their status and how they ended, each below the run that started it."""
    with open_readonly(db) as log:
        if thread is not None:
            resolve_version(log, thread, None)
        rows: Sequence[ActiveRow] = log.active_runs(thread) if active else log.runs(thread)
    if as_json:
        print_json(list(map(_json, rows)))
    elif active:
        cells = [_active_cells(db, depth, row) for depth, row in as_tree(rows)]
        print_table(f"{len(rows)} active runs", ACTIVE_COLUMNS, cells)
    else:
        started = [row for row in rows if isinstance(row, RunRow)]
        print_table(f"{len(rows)} runs", COLUMNS, [_cells(depth, row) for depth, row in as_tree(started)])


def _json(row: ActiveRow) -> dict[str, object]:
    if isinstance(row, QueuedRow):
        return {**dict.fromkeys(RunRow._fields), **row._asdict(), "status": "queued"}
    return row._asdict() | status_json(row)


def _cells(depth: int, row: RunRow) -> tuple[object, ...]:
    # The processes that executed the run may have different clocks: never show a negative duration.
    seconds = max(row.updated_at - row.started_at, 0) / 1e6
    return (
        branch(depth, row.run_id),
        row.thread_id,
        row.agent,
        row.status,
        end_text(row.termination),
        row.input_tokens,
        row.output_tokens,
        when(row.started_at),
        f"{seconds:.3f}",
    )


def _active_cells(db: str, depth: int, row: ActiveRow) -> tuple[object, ...]:
    run = (branch(depth, row.run_id), row.thread_id, row.agent)
    if isinstance(row, QueuedRow):
        return (*run, "queued")
    executor = row.executor
    host, pid = (executor.host, executor.pid) if executor else (None, None)
    is_orphan = row.status == "running" and is_dead(db, executor)
    return (*run, "its process is gone" if is_orphan else row.status, host, pid, when(row.started_at))
