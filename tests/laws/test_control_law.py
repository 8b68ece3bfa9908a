"""Commands to runs, from any process and in any order: run control against a fold of the log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from hypothesis import example, given
from hypothesis import strategies as st

from support.agents import gated_agent
from support.checks import assert_controlled
from support.control_fold import Fold, Folded
from support.control_world import Host, World
from support.logs import fresh_path
from threadlog.engine import Decision, Runtime, ToolCall
from threadlog.reducers import replay
from threadlog.reducers.tool_call import pending_calls
from threadlog.store.errors import RunError, RunOver, ThreadAlreadyRunning

ERASE = [ToolCall("erase", {}, id) for id in ("c1", "c2")]
ANSWERS: Sequence[Any] = ["done", "done", ERASE[:1], ERASE, ToolCall("add", {"a": 1, "b": 2}, "c3")]

host = st.integers(0, 1)
which = st.integers(0, 7)
"""One of the runs or requests there are then."""

starts = st.tuples(
    st.just("start"),
    host,
    st.sampled_from(["t1", "t1", "t2"]),
    st.sampled_from(["reject", "supersede", "queue"]),
)
decides = st.tuples(
    st.just("decide"), host, which, st.sampled_from(["c1", "c2", "ticket", "nowhere"]), st.booleans()
)
steers = st.tuples(st.just("steer"), host, which, st.sampled_from(["s1", "s2", "s3"]), st.sampled_from("xy"))
cancels = st.tuples(st.just("cancel"), host, which)
answers = st.tuples(st.just("answer"), which, st.sampled_from(ANSWERS))
downs = st.tuples(st.sampled_from(["crash", "close"]), host)
ups = st.tuples(st.just("open"), host, st.booleans())
operations = st.one_of(
    starts, starts, answers, answers, answers, decides, decides, steers, cancels, downs, ups
)
scripts = st.lists(
    st.tuples(st.lists(operations, min_size=1, max_size=3), st.booleans()), min_size=3, max_size=16
)
"""What happens at the same moment, and whether it is waited for what comes of it; one after the other."""


@dataclass
class Acknowledged:
    """What was promised."""

    steered: set[tuple[str, str, str]] = field(default_factory=set)
    decided: set[tuple[str, str, bool]] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    started: set[str] = field(default_factory=set)


class Script:
    """Does what was drawn, and remembers what was acknowledged."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.known = Acknowledged()

    async def run(self, script: list[tuple[list[Any], bool]]) -> None:
        for together, is_settled in script:
            async with anyio.create_task_group() as tasks:
                for operation in together:
                    tasks.start_soon(self._do, *operation)
            if is_settled:
                await self._world.settled()
                assert_views(self._world)

    async def _do(self, name: str, *arguments: Any) -> None:
        if name == "answer":
            number, said = arguments
            if waiting := self._world.requests():
                waiting[number % len(waiting)].answer(said)
            return
        host = self._world.hosts[arguments[0]]
        await getattr(self, f"_{name}")(host, *arguments[1:])

    async def _open(self, host: Host, has_agent: bool) -> None:
        await host.open(has_agent=has_agent)

    async def _crash(self, host: Host) -> None:
        await host.crash()

    async def _close(self, host: Host) -> None:
        await host.close()

    async def _start(self, host: Host, thread: str, if_active: Any) -> None:
        async with host.working() as runtime:
            if not runtime or not host.has_agent:
                return
            try:
                run = await runtime.start("planner", "go", thread=thread, if_active=if_active)
                self.known.started.add(run.run_id)
            except ThreadAlreadyRunning as err:
                self._assert((if_active, err.thread_id) == ("reject", thread))

    async def _decide(self, host: Host, number: int, target: str, approved: bool) -> None:
        run_id, run = self._picked(number)
        async with host.working() as runtime:
            if runtime and run:
                call = run.tickets.get("c1", "c1") if target == "ticket" else target
                with self._refused(run_id):
                    await runtime.decide(run_id, [Decision(call, approved, by=host.executor)])
                    self.known.decided.add((run_id, call, approved))

    async def _steer(self, host: Host, number: int, id: str, text: str) -> None:
        run_id, run = self._picked(number)
        async with host.working() as runtime:
            if runtime and run:
                with self._refused(run_id):
                    await runtime.steer(run_id, text, id=id, by=host.executor)
                    self.known.steered.add((run_id, id, text))

    async def _cancel(self, host: Host, number: int) -> None:
        run_id, run = self._picked(number)
        async with host.working() as runtime:
            if runtime and run:
                if await runtime.cancel(run_id, by=host.executor):
                    self.known.cancelled.add(run_id)
                else:
                    assert self._world.fold().runs[run_id].is_over

    def _picked(self, number: int) -> tuple[str, Folded | None]:
        runs = list(self._world.fold().runs.items())
        return runs[-1 - number % len(runs)] if runs else ("", None)

    @contextmanager
    def _refused(self, run_id: str) -> Iterator[None]:
        """Refused it may be; as over only if it is."""
        try:
            yield
        except RunOver:
            assert self._world.fold().runs[run_id].is_over
        except RunError as err:
            self._assert(
                any(
                    why in str(err)
                    for why in ("already exists", "already decided", "not waiting for a decision")
                )
            )

    def _assert(self, holds: bool) -> None:
        assert holds

    async def end(self) -> Fold:
        """All runs are brought to their ends, those whose process is gone by others in their place."""
        for host in self._world.hosts:
            await host.close()
            await host.open()
        runtime = self._world.hosts[0].runtime
        assert runtime
        fold = await self._world.settled()
        assert_views(self._world)
        for thread in {run.thread for run in fold.runs.values() if run.status == "running"}:
            if all(fold.runs[id].status == "running" for id in fold.active(thread)):
                await runtime.start("planner", "stop", thread=thread, if_active="supersede")
        while unfinished := [id for id, run in (await self._world.settled()).runs.items() if not run.is_over]:
            await runtime.cancel(unfinished[0])
        await assert_results(runtime, fold := await self._world.settled())
        assert_views(self._world)
        return fold


Views = tuple[set[tuple[Any, ...]], list[str], dict[str, int], dict[str, list[Any]]]
"""What is active, what is queued, the threads, and what is asked."""


def seen(runtime: Runtime, fold: Fold) -> Views:
    """What a runtime says of the log."""
    listed = runtime.active_runs()
    return (
        {(r.run_id, r.thread_id, r.status, r.epoch, r.agent) for r in listed if r.status != "queued"},
        [row.run_id for row in listed if row.status == "queued"],
        {row.thread_id: row.version for row in runtime.log.threads()},
        {id: runtime.pending(id) for id in fold.runs},
    )


def folded(world: World, fold: Fold) -> Views:
    """The same, made from nothing."""
    states = {thread: replay(world.log.read(thread)).state for thread in fold.threads}
    runs = fold.runs.items()
    return (
        {(id, run.thread, run.status, run.epoch, run.agent) for id, run in runs if run.is_active},
        fold.queue(),
        fold.threads,
        {id: pending_calls(states[run.thread]) if run.is_active else [] for id, run in runs},
    )


def assert_views(world: World) -> None:
    """active_runs(), pending() and threads() == what the fold gives"""
    while True:
        position, fold = world.log.position(), world.fold()
        expected = folded(world, fold)
        given = [seen(host.runtime, fold) for host in world.up() if host.runtime]
        if world.log.position() == position:
            break
    assert given == [expected] * len(given)


async def assert_results(runtime: Runtime, fold: Fold) -> None:
    """A handle of a run says how the log says it ended, and its followers hear it."""
    for id, run in fold.runs.items():
        handle = runtime.get_run(id)
        assert (await handle.result()).termination.type == (run.termination or "cancelled")


def assert_kept(known: Acknowledged, fold: Fold) -> None:
    """Every acknowledged entry is there, once; that each was taken in, the fold has asserted."""
    assert known.started <= fold.runs.keys()
    for run_id, id, text in known.steered:
        assert [e.content for e in fold.runs[run_id].entries if (e.kind, e.id) == ("steer", id)] == [text]
    for run_id in known.cancelled:
        assert [entry.kind for entry in fold.runs[run_id].entries].count("cancel") == 1
    for run_id, target, approved in known.decided:
        given: list[Any] = [e.content for e in fold.runs[run_id].entries if e.kind == "decide"]
        names = {target, fold.runs[run_id].tickets.get(target, target), "c1"}
        assert any(each["target"] in names and each["approved"] == approved for each in given)


async def lived(script: list[tuple[list[Any], bool]], path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        world = World(path, tasks)
        for each in world.hosts:
            await each.open()
        doing = Script(world)
        await doing.run(script)
        fold = await doing.end()
        for each in world.hosts:
            await each.close()
        assert_kept(doing.known, fold)
        world.log.close()
    await assert_controlled(path, gated_agent())


WORDS_AND_PLACE = [
    ([("start", 0, "t1", "queue")], True),
    ([("steer", 1, 0, "s1", "x"), ("start", 1, "t1", "supersede")], True),
    ([("start", 0, "t2", "queue"), ("cancel", 1, 0)], True),
]
"""A steered run is superseded by another runtime at the same moment."""


@given(scripts, st.sampled_from(["asyncio", "trio"]))
@example(WORDS_AND_PLACE, "asyncio")
@example(WORDS_AND_PLACE, "trio")
def test_whatever_is_wanted_of_runs_the_log_holds_and_every_run_acts_on_once(
    script: list[tuple[list[Any], bool]], backend: str
) -> None:
    """One active run on a thread; every acknowledged entry taken in once or known to the run's end; decisions
    reach their calls; queues keep their order; nothing behind an end; views == fold; verify() == [];
    replay_run() is None"""
    with fresh_path() as path:
        anyio.run(partial(lived, script, path), backend=backend)
