"""Runs as a tree, each below the run that started it. A log written by other software may hold a cycle."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from ...store.listing import QueuedRow, RunRow
from ...store.log import Log

Row = TypeVar("Row", RunRow, RunRow | QueuedRow)


def walk_tree(rows: Sequence[Row]) -> Iterator[tuple[int, Row]]:
    """Yield every row once with its depth: each after its parent, otherwise in the given order."""
    known = {row.run_id for row in rows}
    below: dict[str | None, list[Row]] = {}
    for row in rows:
        below.setdefault(row.parent_run_id if row.parent_run_id in known else None, []).append(row)
    seen = set[int]()
    yield from _walk(below, below.get(None, []), 0, seen)
    # The rows that are left belong to cycles.
    yield from _walk(below, rows, 0, seen)


def _walk(
    below: dict[str | None, list[Row]], rows: Iterable[Row], depth: int, seen: set[int]
) -> Iterator[tuple[int, Row]]:
    for row in rows:
        if id(row) not in seen:
            seen.add(id(row))
            yield depth, row
            yield from _walk(below, below.get(row.run_id, []), depth + 1, seen)


def descendants(log: Log, run_ids: Iterable[str]) -> dict[str, list[tuple[int, RunRow]]]:
    """Return the descendants of each run, with their depth."""
    return {run_id: list(_walk_children(log, run_id, 1, {run_id})) for run_id in run_ids}


def _walk_children(log: Log, run_id: str, depth: int, seen: set[str]) -> Iterator[tuple[int, RunRow]]:
    for row in log.children(run_id):
        if row.run_id not in seen:
            seen.add(row.run_id)
            yield depth, row
            yield from _walk_children(log, row.run_id, depth + 1, seen)


def branch(depth: int, run_id: str) -> str:
    """Return the id of a run, indented by its depth."""
    return f"{'   ' * (depth - 1)}└─ {run_id}" if depth else run_id
