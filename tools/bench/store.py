"""The measurements: appends, loading, growth. A step is a message of ~300 B and two replaced values."""

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import anyio
from pydantic import JsonValue

from ...reducers.replay import replay
from ...store import Appender, Changeset, Log, Message, TrackedPatch
from ...store.codec import encode
from ...store.database import Durability, sqlite3

STEPS = 1000
CONCURRENT, EACH = 100, 40
Figures = dict[str, float | tuple[float, float]]
"""Figures by name; a pair is two percentiles."""


def first_changeset(thread: str) -> Changeset:
    """Return the first changeset of a thread: a state document of about 4 KB."""
    document: JsonValue = {f"field-{n}": "x" * 60 for n in range(50)}
    return Changeset(
        id=f"{thread}:0",
        thread_id=thread,
        reason="edited",
        at=0,
        patches=(
            TrackedPatch(operations=({"op": "add", "path": "/fields", "value": document},), source="bench"),
        ),
    )


def step(thread: str, number: int) -> Changeset:
    """Return the changeset of one step of an agent."""
    value = f"{number:08}" * 8
    return Changeset(
        id=f"{thread}:{number}",
        thread_id=thread,
        reason="assistant_turn",
        at=number,
        run_id=thread,
        messages=(Message(id=f"{thread}:{number}:m", role="assistant", content="y" * 300),),
        patches=(
            TrackedPatch(
                operations=(
                    {"op": "replace", "path": "/fields/field-3", "value": value},
                    {"op": "replace", "path": "/fields/field-7", "value": value},
                ),
                source="bench",
            ),
        ),
    )


def measure_round(folder: Path) -> Figures:
    """Run every measurement once."""
    folder.mkdir(parents=True)
    raw_full, raw_normal = (measure_raw(folder / f"raw-{mode}.db", mode) for mode in ("full", "normal"))
    times = measure_append(folder / "full.db", "full")
    full, normal = sum(times) / STEPS, sum(measure_append(folder / "normal.db", "normal")) / STEPS
    awaited = anyio.run(measure_one_in_flight, folder / "awaited.db")
    concurrent = anyio.run(measure_many_in_flight, folder / "concurrent.db")
    cuts = quantiles(times, n=100)
    return {
        "raw FULL, µs per append": raw_full * 1e6,
        "raw NORMAL, µs per append": raw_normal * 1e6,
        "append FULL ÷ raw rate": raw_full / full,
        "append NORMAL ÷ raw rate": raw_normal / normal,
        "await append, one in flight, FULL ÷ raw rate": raw_full / awaited,
        "100 concurrent, FULL ÷ raw rate": raw_full / concurrent,
        "100 concurrent ÷ one in flight": awaited / concurrent,
        "p50 / p99 of append FULL, µs": (cuts[49] * 1e6, cuts[98] * 1e6),
    }


def measure_raw(path: Path, mode: str) -> float:
    """Return the seconds per INSERT + COMMIT of the same bytes."""
    contents = [encode(step("t", number)) for number in range(1, STEPS + 1)]
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.execute(f"pragma synchronous = {mode}")
    connection.execute(
        "create table log (position integer primary key, thread integer, version integer, content blob,"
        " unique (thread, version)) strict"
    )
    started = perf_counter()
    for number, content in enumerate(contents, 1):
        connection.execute("begin immediate")
        connection.execute("insert into log values (?, 1, ?, ?)", (number, number, content))
        connection.execute("commit")
    seconds = perf_counter() - started
    connection.close()
    return seconds / STEPS


def measure_append(path: Path, mode: Durability) -> list[float]:
    """Return the seconds of each append through the synchronous API."""
    times = []
    with Log.open(path, durability=mode) as log:
        log.append(first_changeset("t"), 0)
        for number in range(1, STEPS + 1):
            changeset = step("t", number)
            started = perf_counter()
            log.append(changeset, number)
            times.append(perf_counter() - started)
    return times


async def measure_one_in_flight(path: Path) -> float:
    """Return the seconds per append when each is awaited before the next."""
    spent = 0.0
    with Log.open(path) as log:
        async with Appender(log) as appender:
            await appender.append(first_changeset("t"), 0)
            for number in range(1, STEPS + 1):
                changeset = step("t", number)
                started = perf_counter()
                await appender.append(changeset, number)
                spent += perf_counter() - started
    return spent / STEPS


async def measure_many_in_flight(path: Path) -> float:
    """Return the seconds per append when a hundred threads append concurrently."""

    async def append_steps(appender: Appender, thread: str) -> None:
        for number in range(1, EACH + 1):
            await appender.append(step(thread, number), number)

    with Log.open(path) as log:
        async with Appender(log) as appender:
            for n in range(CONCURRENT):
                await appender.append(first_changeset(f"t{n}"), 0)
            started = perf_counter()
            async with anyio.create_task_group() as tasks:
                for n in range(CONCURRENT):
                    tasks.start_soon(append_steps, appender, f"t{n}")
            return (perf_counter() - started) / (CONCURRENT * EACH)


def measure_loading(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure loading a thread of 10,000 changesets: its state, its messages, and replay."""
    folder.mkdir(parents=True)
    with Log.open(folder / "long.db", durability="normal") as log:
        log.append(first_changeset("t"), 0)
        for first in range(1, 10_000, 500):
            log.append([step("t", number) for number in range(first, min(first + 500, 10_000))], first)
        yield "latest state of 10,000 changesets", _milliseconds(lambda: log.state("t")), "≤ 1 ms"
        yield "the same, replayed as records with messages", _milliseconds(lambda: replay(log.read("t"))), ""
    connection = sqlite3.connect(folder / "long.db", isolation_level=None)
    connection.execute("delete from snapshot")
    connection.close()
    with Log.open(folder / "long.db", readonly=True) as log:
        yield "10,000 changesets replayed, no snapshots", _milliseconds(lambda: log.state("t")), "≤ 35 ms"


def _milliseconds(work: Callable[[], object]) -> str:
    times = []
    for _ in range(5):
        started = perf_counter()
        work()
        times.append(perf_counter() - started)
    return f"{sorted(times)[2] * 1000:.2f} ms"


def measure_growth(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Measure how many bytes a step adds to the file, early and late in a thread."""
    folder.mkdir(parents=True)
    path = folder / "growing.db"
    sizes = {}
    for until in (0, 1000, 4000, 5000):
        with Log.open(path, durability="normal") as log:
            head = log.head("t")
            log.append(
                [step("t", number) if number else first_changeset("t") for number in range(head, until + 1)],
                head,
            )
        # Closing the log has moved its write-ahead log into the file.
        sizes[until] = path.stat().st_size
    early, late = (sizes[1000] - sizes[0]) / 1000, (sizes[5000] - sizes[4000]) / 1000
    payload = len(encode(step("t", 1)))
    yield f"bytes per step of {payload} B, steps 1 to 1000", f"{early:.0f}", ""
    yield "the same, steps 4001 to 5000", f"{late:.0f} ({late / early:.2f} of the early)", "flat"
