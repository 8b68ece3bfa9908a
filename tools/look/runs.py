"""The runs of a log: how each ended, and those that are not over. Nothing is written."""

from collections.abc import Sequence
from typing import Any

import click

from ...store.changeset import Termination
from ...store.listing import QueuedRow, RunRow
from ...store.log import Log
from ..opening import on_a_log, reading, version_in
from ..standing import is_gone
from ..terminal import print_json, print_table, when
from .tree import as_tree, branch

Row = RunRow | QueuedRow
"""A run that has begun, or that waits for its turn."""


@click.command()
@click.option("--thread", metavar="THREAD", help="Only those of this thread.")
@click.option(
    "--active", is_flag=True, help="Only those that run, wait or are queued, and who executes them."
)
@on_a_log
def runs(db: str, as_json: bool, thread: str | None, active: bool) -> None:
    """List the runs, where each stands and how it ended; those that another has started below it."""
    with reading(db) as log:
        if thread is not None:
            version_in(log, thread, None)
        rows: Sequence[Row] = active_runs(log, thread) if active else log.runs(thread)
    if as_json:
        print_json([_json(row) for row in rows])
    elif active:
        _print_active(db, rows)
    else:
        _print_runs([row for row in rows if isinstance(row, RunRow)])


def active_runs(log: Log, thread: str | None = None) -> list[Row]:
    """The runs that are not over: those that go on or wait, and then the queued ones."""
    # The queue first: a run that begins meanwhile is found among those that go on.
    queued, begun = log.queued(thread), log.open_runs(thread)
    known = {row.run_id for row in begun}
    return [*begun, *(row for row in queued if row.run_id not in known)]


def _json(row: Row) -> dict[str, Any]:
    if isinstance(row, QueuedRow):
        return dict.fromkeys(RunRow._fields) | row._asdict() | {"status": "queued"}
    termination = row.termination.model_dump(exclude_none=True) if row.termination else None
    executor = row.executor.model_dump() if row.executor else None
    return row._asdict() | {"termination": termination, "executor": executor}


def _print_runs(rows: list[RunRow]) -> None:
    print_table(
        f"{len(rows)} runs",
        ("run", "thread", "agent", "status", "ended by", "tokens in#", "out#", "started (UTC)", "seconds#"),
        (
            (
                branch(depth, row.run_id),
                row.thread_id,
                row.agent,
                row.status,
                ended(row.termination),
                row.input_tokens,
                row.output_tokens,
                when(row.started_at),
                # By the clocks of all who have executed it: one may be behind another.
                f"{max(row.updated_at - row.started_at, 0) / 1e6:.3f}",
            )
            for depth, row in as_tree(rows)
        ),
    )


def _print_active(db: str, rows: Sequence[Row]) -> None:
    print_table(
        f"{len(rows)} active runs",
        ("run", "thread", "agent", "status", "host", "pid#", "started (UTC)"),
        (
            (branch(depth, row.run_id), row.thread_id, row.agent, _status(db, row), *_executed(row))
            if isinstance(row, RunRow)
            else (branch(depth, row.run_id), row.thread_id, row.agent, "queued")
            for depth, row in as_tree(rows)
        ),
    )


def _status(db: str, row: RunRow) -> str:
    is_orphan = row.status == "running" and is_gone(db, row.executor)
    return "its process is gone" if is_orphan else row.status


def _executed(row: RunRow) -> tuple[object, ...]:
    executor = row.executor
    return (*((executor.host, executor.pid) if executor else (None, None)), when(row.started_at))


def ended(termination: Termination | None) -> str:
    """How a run ended, or why it waits, in words; empty while it goes on."""
    if termination is None:
        return ""
    return ": ".join(filter(None, [termination.type, termination.code, termination.detail]))
