"""Whatever happens to runs that start others: the log says who was whose, and no stop leaves one behind."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import anyio
from anyio.abc import TaskGroup
from hypothesis import example, given
from hypothesis import strategies as st

from support.checks import assert_controlled
from support.control_world import Host, comes
from support.logs import fresh_path
from support.models import GatedModel, GatedRequest
from support.tools import erase
from support.tree_fold import Tree
from threadlog.engine import Agent, Decision, ModelError, Runtime, ToolCall
from threadlog.engine.runs.sub_agents import sub_agent
from threadlog.reducers.sub_agent import sub_agents_in
from threadlog.store import Log
from threadlog.store.errors import RunError

BELOW = {"planner": "worker", "worker": "reader"}
ROOTS = ("t1", "t2")

which = st.integers(0, 5)
answers = st.tuples(
    st.just("answer"),
    which,
    st.sampled_from(["text", "text", "background", "background", "foreground", "both", "ask", "fail"]),
)
talks = st.tuples(st.just("answer"), which, st.sampled_from(["stop", "again", "look"]))
operations = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(ROOTS), st.sampled_from(["reject", "supersede", "queue"])),
    answers,
    answers,
    answers,
    talks,
    talks,
    st.tuples(st.just("decide"), which, st.booleans()),
    st.tuples(st.just("stop"), which),
    st.tuples(st.just("resume"), which),
    st.tuples(st.sampled_from(["close", "crash"])),
)
scripts = st.lists(
    st.tuples(st.lists(operations, min_size=1, max_size=2), st.booleans()), min_size=4, max_size=16
)
"""What happens at the same moment, and whether it is waited for what comes of it; one after the other."""


def team(model: GatedModel) -> list[Agent]:
    """Each has the next one, and may ask a person."""
    return [
        Agent(name, model, tools=[erase], agents=[BELOW[name]] if name in BELOW else [])
        for name in ("planner", "worker", "reader")
    ]


def asking(asked: GatedRequest) -> str:
    """The run whose request it is."""
    return next(each.run_id for each in reversed(asked.request.messages) if each.run_id)


class World:
    """One runtime after another on a file, and what was acknowledged by them."""

    def __init__(self, path: Path, tasks: TaskGroup) -> None:
        self._news = Event()
        self.host = Host(path, "a", tasks, team, tell=self._news.set)
        self.log = Log.open(path, durability="normal")
        self.stopped: list[tuple[int, str]] = []
        """Runs whose stop has returned, and where the log was then."""

    async def run(self, script: list[tuple[list[Any], bool]]) -> None:
        for together, is_settled in script:
            await self.host.open()
            async with anyio.create_task_group() as tasks:
                for operation in together:
                    tasks.start_soon(self._do, *operation)
            if is_settled:
                await self._settled()

    async def _do(self, name: str, *arguments: Any) -> None:
        if name == "answer":
            self._answer(*arguments)
        elif name == "close":
            await self.host.close()
        elif name == "crash":
            await self.host.crash()
        else:
            async with self.host.working() as runtime:
                if runtime:
                    with suppress(RunError):
                        await getattr(self, f"_{name}")(runtime, *arguments)

    def _answer(self, which: int, kind: str) -> None:
        waiting = [asked for asked in self.host.model.waiting if not asked.answered.is_set()]
        if waiting:
            asked = waiting[which % len(waiting)]
            asked.answer(self._said(asked, kind, which))

    def _said(self, asked: GatedRequest, kind: str, which: int) -> Any:
        row = self.log.run(asking(asked))
        below = BELOW.get((row and row.agent) or "")
        if kind == "fail":
            return ModelError("auth", "no such key")
        if kind == "ask":
            return ToolCall("erase", {}, f"c{len(asked.request.messages)}")
        if below is None or kind == "text" or row is None:
            return "done"
        if kind in ("background", "foreground", "both"):
            runs = {"background": [True], "foreground": [False], "both": [True, False]}[kind]
            return [
                ToolCall("agent_run", {"agent_id": below, "prompt": "go", "background": each})
                for each in runs
            ]
        known = sorted(Tree(self.log.entries()).refs(row.thread_id))
        tool = {"stop": "agent_stop", "again": "agent_run", "look": "agent_output"}[kind]
        return ToolCall(tool, {"run_id": known[which % len(known)] if known else "missing"})

    async def _start(self, runtime: Runtime, thread: str, if_active: Any) -> None:
        await runtime.start("planner", "go", thread=thread, if_active=if_active)

    async def _decide(self, runtime: Runtime, which: int, approved: bool) -> None:
        waiting = [row.run_id for row in runtime.log.open_runs() if row.status == "waiting"]
        for run_id in waiting[which % (len(waiting) or 1) :][:1]:
            calls = runtime.pending(run_id)
            decision = Decision.approve if approved else Decision.deny
            await runtime.decide(run_id, [decision(call.call_id) for call in calls])

    async def _stop(self, runtime: Runtime, which: int) -> None:
        if rows := runtime.log.runs():
            run_id = rows[which % len(rows)].run_id
            await runtime.cancel(run_id, reason="enough", wait=True)
            self.stopped.append((runtime.log.position(), run_id))

    async def _resume(self, runtime: Runtime, which: int) -> None:
        if rows := runtime.log.runs():
            await runtime.resume(rows[which % len(rows)].run_id)

    async def _settled(self) -> None:
        """Return when every active run waits for its model or for a child."""
        assert await comes(self._news, self._is_settled), self.log.open_runs()

    def _is_settled(self) -> bool:
        runtime = self.host.runtime
        if runtime is None:
            return True
        going = [row.run_id for row in self.log.open_runs() if row.status == "running"]
        asked = {asking(each) for each in self.host.model.waiting}
        here = [
            run_id
            for run_id in going
            if run_id in {each.run_id for each in runtime._parts.environment.executions.active()}
        ]
        return all(run_id in asked or set(self._children(run_id)) & set(here) for run_id in here)

    def _children(self, run_id: str) -> Sequence[str]:
        return [row.run_id for row in self.log.children(run_id)]


async def happened(path: Path, script: list[tuple[list[Any], bool]]) -> list[tuple[int, str]]:
    async with anyio.create_task_group() as tasks:
        world = World(path, tasks)
        with world.log:
            await world.run(script)
            await world.host.close()
    await assert_controlled(path, *team(GatedModel()))
    return world.stopped


@given(scripts)
@example([([("start", "t1", "reject")], True), ([("answer", 0, "both")], True), ([("stop", 0)], True)])
def test_no_stop_leaves_a_run_behind_and_every_run_begins_below_one_that_goes_on(script: Any) -> None:
    with fresh_path() as path:
        stopped = anyio.run(partial(happened, path, script))
        with Log.open(path, readonly=True) as log:
            tree = Tree()
            for entry in log.entries():
                tree.add(entry)
                for run_id in [run_id for position, run_id in stopped if position == entry.position]:
                    assert tree.open_below(run_id) == []
            assert {row.run_id: (row.status, row.epoch) for row in log.runs()} == tree.standing()
            views = [
                sub_agent(log, run_id, ref)
                for row in log.threads()
                for run_id, ref in sub_agents_in(log.state(row.thread_id)).runs.items()
            ]
            assert {view.run_id: view.status for view in views if view.epoch} == tree.shown()
            assert log.verify() == []
