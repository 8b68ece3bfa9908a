"""`threadlog stats`: figures about a log: its size, runs, calls and tokens."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from ...reducers.statistics import statistics
from ...store.log import Log
from ..opening import log_options, open_readonly
from ..terminal import print_json, print_table

Figure = tuple[str, int | float]


@click.command()
@log_options
def stats(db: str, as_json: bool) -> None:
    """Print the size of the log, and count runs, calls and tokens."""
    with open_readonly(db) as log:
        figures = dict([*_counts(log), *_work(log), ("bytes", _size(log))])
    if as_json:
        print_json(figures)
    else:
        print_table(Path(db).name, ("figure", "value#"), figures.items())


def _counts(log: Log) -> Iterator[Figure]:
    threads = log.threads()
    yield "changesets", log.position()
    yield "threads", len(threads)
    yield "messages", sum(row.messages for row in threads)
    statuses = Counter(row.status for row in log.runs())
    yield "runs", statuses.total()
    yield from ((f"runs {status}", count) for status, count in sorted(statuses.items()))
    reasons = Counter[str](entry.changeset.reason for entry in log.entries())
    yield from ((f"changesets {reason}", count) for reason, count in sorted(reasons.items()))


def _work(log: Log) -> Iterator[Figure]:
    runs = log.runs()
    done = statistics(entry.changeset for entry in log.entries())
    yield "model turns", done.steps
    yield "model calls", done.inferences
    yield "model calls repeated", done.retries
    yield "tool calls", done.tool_calls
    yield "tool calls failed", done.tool_errors
    yield "seconds of runs", done.duration / 1_000_000
    yield "input tokens", sum(row.input_tokens for row in runs)
    yield "output tokens", sum(row.output_tokens for row in runs)


def _size(log: Log) -> int:
    write_ahead_log = log.path.with_name(f"{log.path.name}-wal")
    return sum(path.stat().st_size for path in (log.path, write_ahead_log) if path.exists())
