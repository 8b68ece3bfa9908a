import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from support.log_files import hold_commits
from support.logs import changeset, patch_changeset
from threadlog.store import ANY, Append, Appender, Changeset, Condition, Log, VersionConflict
from threadlog.store.append import Expected
from threadlog.store.appender import Receipt
from threadlog.store.errors import ContentError, LogUnavailable, PatchError, ThreadlogError

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def commits(log: Log) -> Iterator[list[str]]:
    """The transactions of the writing connection, as they come."""
    seen: list[str] = []
    connection: Any = log.writable()._connection
    connection.set_trace_callback(lambda statement: seen.append(statement) if statement == "commit" else None)
    yield seen
    connection.set_trace_callback(None)


class Held:
    """Keeps the writer from committing while it is entered, so that appends have to wait together."""

    def __init__(self, log: Log) -> None:
        self._free, self._begun = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._holding = self._pool.submit(log.writable().exclusively, self._hold)

    def _hold(self, _: Any) -> None:
        self._begun.set()
        self._free.wait()

    def __enter__(self) -> None:
        self._begun.wait()

    def __exit__(self, *_: object) -> None:
        self._free.set()
        self._holding.result()
        self._pool.shutdown()


def ids(log: Log) -> list[str]:
    return [item.id for _, item in log.entries()]


def new_append(
    items: Changeset | list[Changeset], expected: Expected, *, after: Receipt | None = None
) -> Append:
    made = Append.of(items, expected)
    made.after = after.append if after else None
    return made


async def results(pending: list[Receipt]) -> list[Any]:
    """The answer of each append: its version, or the class of its error."""
    answers: list[Any] = []
    for each in pending:
        try:
            answers.append((await each.result()).version)
        except ThreadlogError as err:
            answers.append(type(err))
    return answers


async def test_appends_of_many_tasks_are_gapless(log: Log) -> None:
    answers: list[int] = []

    async def append(front: Appender, n: int) -> None:
        answers.append(await front.append(changeset(f"c{n}"), ANY))

    async with Appender(log) as front, anyio.create_task_group() as tasks:
        for n in range(100):
            tasks.start_soon(append, front, n)

    assert sorted(answers) == list(range(1, 101))
    assert [item.version for item in log.read("t1")] == list(range(1, 101))


async def test_one_of_many_tasks_with_the_same_expected_version_wins(log: Log) -> None:
    async with Appender(log) as front:
        answers = await results([front.submit(new_append(changeset(f"c{n}"), 0)) for n in range(20)])

    assert answers == [1] + [VersionConflict] * 19


async def test_an_answer_comes_after_the_commit(log: Log, path: Path) -> None:
    async with Appender(log) as front:
        for n in range(5):
            version = await front.append(changeset(f"c{n}"), n)
            with Log.open(path, readonly=True) as other:
                assert other.head("t1") == version == n + 1


async def test_no_answer_comes_before_the_commit(log: Log) -> None:
    async with Appender(log) as front:
        with Held(log):
            pending = front.submit(new_append(changeset("c1"), 0))
            with anyio.move_on_after(0.05) as waiting:
                await pending.result()
            assert waiting.cancelled_caught
            assert log.head("t1") == 0

        assert (await pending.result()).version == 1


async def test_no_answer_comes_during_the_commit(log: Log) -> None:
    async with Appender(log) as front:
        with hold_commits(log) as reached:
            pending = front.submit(new_append(changeset("c1"), 0))
            await anyio.to_thread.run_sync(reached.wait)
            with anyio.move_on_after(0.05) as waiting:
                await pending.result()

        assert waiting.cancelled_caught
        assert (await pending.result()).version == 1


async def test_appends_are_written_in_the_order_of_submission(log: Log) -> None:
    async with Appender(log) as front:
        pending = [front.submit(new_append(changeset(f"c{n}"), n)) for n in range(50)]

        assert await results(pending) == list(range(1, 51))
    assert ids(log) == [f"c{n}" for n in range(50)]


async def test_a_refused_append_does_not_affect_its_batch(log: Log) -> None:
    bad = patch_changeset({"op": "remove", "path": "/nowhere"}, id="bad")
    async with Appender(log) as front:
        with Held(log):
            pending = [
                front.submit(new_append(changeset("c1"), 0)),
                front.submit(new_append(bad, 1)),
                front.submit(new_append(changeset("late"), 0)),
                front.submit(new_append(changeset("c2"), 1)),
                front.submit(new_append(changeset("c1"), 0)),
                front.submit(Append.of(changeset("c3", "t2"), 0, Condition({"t1": 2}))),
            ]
        answers = await results(pending)

    assert answers == [1, PatchError, VersionConflict, 2, 1, 1]
    assert ids(log) == ["c1", "c2", "c3"]
    assert log.verify() == []


@pytest.mark.parametrize("together", [True, False])
async def test_an_append_after_a_refused_one_is_refused(log: Log, path: Path, together: bool) -> None:
    with Log.open(path) as other:
        other.append(changeset("theirs"), 0)

    async with Appender(log) as front:
        with Held(log) if together else nullcontext():
            first = front.submit(new_append(changeset("c1"), 0))
            if not together:
                assert await results([first]) == [VersionConflict]
            second = front.submit(new_append(changeset("c2"), 1, after=first))
            third = front.submit(new_append(changeset("c3"), 2, after=second))
            fourth = front.submit(new_append(changeset("c4"), 1))
        answers = await results([first, second, third, fourth])

    assert answers == [VersionConflict, VersionConflict, VersionConflict, 2]
    assert ids(log) == ["theirs", "c4"]


async def test_content_that_cannot_be_stored_is_refused_on_submission(log: Log) -> None:
    async with Appender(log) as front:
        with pytest.raises(ContentError):
            front.submit(new_append([], ANY))

        assert await front.append(changeset("c1"), 0) == 1


async def test_cancelling_the_wait_does_not_withdraw_the_append(log: Log) -> None:
    async with Appender(log) as front:
        with Held(log), anyio.move_on_after(0.01) as waiting:
            await front.append(changeset("c1"), 0)
        assert waiting.cancelled_caught

        assert await front.append(changeset("c2"), 1) == 2
    assert ids(log) == ["c1", "c2"]


async def test_leaving_the_block_writes_all_that_was_submitted(log: Log) -> None:
    async with Appender(log) as front:
        pending = [front.submit(new_append(changeset(f"c{n}"), n)) for n in range(50)]

    assert log.head("t1") == 50
    assert await results(pending) == list(range(1, 51))


async def test_a_cancelled_block_writes_all_that_was_submitted(log: Log) -> None:
    with anyio.CancelScope() as scope:
        async with Appender(log) as front:
            for n in range(50):
                front.submit(new_append(changeset(f"c{n}"), n))
            scope.cancel()
            await anyio.lowlevel.checkpoint()

    assert log.head("t1") == 50


async def test_appends_that_wait_together_share_a_transaction(log: Log, commits: list[str]) -> None:
    async with Appender(log) as front:
        with Held(log):
            pending = [front.submit(new_append(changeset(f"c{n}", f"t{n % 5}"), ANY)) for n in range(100)]
            commits.clear()
        assert len(await results(pending)) == 100

    # One is that of the holder.
    assert len(commits) == 2
    assert log.position() == 100


async def test_appends_of_many_tasks_share_transactions(log: Log, commits: list[str]) -> None:
    async def append(front: Appender, thread: str) -> None:
        for n in range(10):
            await front.append(changeset(f"{thread} {n}", thread), n)

    async with Appender(log) as front, anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(append, front, f"t{n}")

    assert log.position() == 200
    assert len(commits) < 100


async def test_appends_of_other_threads_and_of_the_loop_interleave_without_gaps(log: Log) -> None:
    def append(name: str) -> None:
        for n in range(50):
            log.append(changeset(f"{name} {n}"), ANY)

    async with Appender(log) as front, anyio.create_task_group() as tasks:
        for n in range(4):
            tasks.start_soon(anyio.to_thread.run_sync, append, f"thread {n}")
        answers = await results([front.submit(new_append(changeset(f"loop {n}"), ANY)) for n in range(50)])

    assert [item.version for item in log.read("t1")] == list(range(1, 251))
    assert answers == sorted(answers)
    assert log.verify() == []


async def test_two_appenders_may_share_a_log(log: Log) -> None:
    async with Appender(log) as one, Appender(log) as other:
        pending = [
            front.submit(new_append(changeset(f"c{n}"), ANY)) for n, front in enumerate([one, other] * 10)
        ]

        assert await results(pending) == list(range(1, 21))


async def test_an_appender_needs_a_writable_log(log: Log, path: Path) -> None:
    with closing(Log.open(path, readonly=True)) as reader, pytest.raises(LogUnavailable, match="read-only"):
        Appender(reader)


async def test_appends_after_the_log_was_closed_are_refused_one_by_one(path: Path) -> None:
    log = Log.open(path)
    async with Appender(log) as front:
        await front.append(changeset("c1"), 0)
        log.close()

        assert (
            await results([front.submit(new_append(item, ANY)) for item in some(3)]) == [LogUnavailable] * 3
        )


def some(count: int) -> list[Changeset]:
    return [changeset(f"some {n}") for n in range(count)]


async def test_an_append_is_answered_even_if_a_listener_fails(path: Path) -> None:
    def fail() -> None:
        raise BrokenPipeError

    with Log.open(path, durability="normal") as log:
        log.listen(fail)
        async with Appender(log) as appending:
            with anyio.fail_after(5):
                assert await appending.append(changeset("c1", "t1"), ANY) == 1
