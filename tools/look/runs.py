"""`threadlog runs`: the runs of a log, as a tree; or only the unfinished ones."""

from collections.abc import Sequence

import click

from ...store.listing import QueuedRow, RunRow
from ..opening import log_options, open_readonly, resolve_version
from ..run_view import ActiveRow, is_dead, status_json
from ..terminal import print_json, print_table, utc_time
from ..wording import end_text, quantity
from .tree import branch, walk_tree

COLUMNS = ("run", "thread", "agent", "status", "ended by", "tokens in#", "out#", "started (UTC)", "seconds#")
ACTIVE_COLUMNS = ("run", "thread", "agent", "status", "host", "pid#", "started (UTC)")


@click.command()
@click.option("--thread", metavar="THREAD", help="Only the runs of this thread.")
@click.option(
    "--active", is_flag=True, help="Only running, waiting and queued runs, with the process of each."
)
@log_options
def runs(db: str, as_json: bool, thread: str | None, active: bool) -> None:
    """List the runs with their status and how they ended.

    The run of a sub-agent is printed below the run that started it.
    """
    with open_readonly(db) as log:
        if thread is not None:
            resolve_version(log, thread, None)
        rows: Sequence[ActiveRow] = log.active_runs(thread) if active else log.runs(thread)
    if as_json:
        print_json(list(map(_json, rows)))
    elif active:
        cells = [_active_cells(db, depth, row) for depth, row in walk_tree(rows)]
        print_table(quantity(len(rows), "active run"), ACTIVE_COLUMNS, cells)
    else:
        started = [row for row in rows if isinstance(row, RunRow)]
        print_table(
            quantity(len(rows), "run"), COLUMNS, [_cells(depth, row) for depth, row in walk_tree(started)]
        )


def _json(row: ActiveRow) -> dict[str, object]:
    if isinstance(row, QueuedRow):
        return {**dict.fromkeys(RunRow._fields), **row._asdict(), "status": "queued"}
    return row._asdict() | status_json(row)


def _cells(depth: int, row: RunRow) -> tuple[object, ...]:
    # Clocks may differ between the processes that executed the run: never print a negative duration.
    seconds = max(row.updated_at - row.started_at, 0) / 1e6
    return (
        branch(depth, row.run_id),
        row.thread_id,
        row.agent,
        row.status,
        end_text(row.termination, row.executor),
        row.input_tokens,
        row.output_tokens,
        utc_time(row.started_at),
        f"{seconds:.3f}",
    )


def _active_cells(db: str, depth: int, row: ActiveRow) -> tuple[object, ...]:
    run = (branch(depth, row.run_id), row.thread_id, row.agent)
    if isinstance(row, QueuedRow):
        return (*run, "queued")
    executor = row.executor
    host, pid = (executor.host, executor.pid) if executor else (None, None)
    is_orphan = row.status == "running" and is_dead(db, executor)
    return (*run, "its process died" if is_orphan else row.status, host, pid, utc_time(row.started_at))
