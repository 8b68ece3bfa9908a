"""Decisions: each question is answered once, by whoever comes first, before or after it is asked."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
import resumer
from replayed import assert_replays
from runs import (
    Asking,
    add,
    agent,
    assert_sound,
    erase,
    history,
    reasons,
    run,
    running,
    statuses,
    told,
    wanting,
)
from test_suspension import ADD, ERASE, eraser

from threadlog.engine import (
    Context,
    Decision,
    ModelRequest,
    Run,
    Runtime,
    ScriptedModel,
    Suspend,
    ToolCall,
    tool,
)
from threadlog.engine.models.model import Part
from threadlog.reducers.decision import kept
from threadlog.store import VersionConflict
from threadlog.store.changeset import ActionRecord
from threadlog.store.errors import ContentError, NotFound, RunError

pytestmark = pytest.mark.anyio

APPROVE, DENY = Decision.approve("c1"), Decision.deny("c1")


def actions(path: Path, name: str) -> list[ActionRecord]:
    return [action for changeset in history(path) for action in changeset.actions if action.action == name]


@asynccontextmanager
async def going(path: Path, *turns: Any, **fields: Any) -> AsyncIterator[tuple[Runtime, Run, anyio.Event]]:
    """A run that stands in its tool `wait` until the event is set."""
    reached, gone_on = anyio.Event(), anyio.Event()

    async def wait() -> str:
        reached.set()
        await gone_on.wait()
        return "waited"

    planner = agent(*turns, **{"tools": [erase, add, wait], **fields})
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await reached.wait()
        yield runtime, started, gone_on


WAIT = ToolCall("wait", id="w")


@pytest.mark.parametrize("decisions", [[APPROVE, Decision.approve("c9")], [Decision.approve("")]])
async def test_a_decision_for_nothing_is_refused_and_nothing_of_the_batch_is_written(
    path: Path, decisions: list[Decision]
) -> None:
    first = await run(path, eraser(ERASE))

    async with running(path, eraser()) as runtime:
        with pytest.raises(RunError, match="asks nothing about"):
            await runtime.decide(first.run_id, decisions)

    assert reasons(path)[-1] == "run_suspended"


async def test_a_decision_that_cannot_be_kept_is_refused(path: Path) -> None:
    first = await run(path, eraser(ERASE))

    async with running(path, eraser()) as runtime:
        for result in (float("nan"), object(), "\ud800"):
            with pytest.raises(ContentError):
                await runtime.decide(first.run_id, [Decision.approve("c1", result)])

    assert reasons(path)[-1] == "run_suspended"


WRONG: list[dict[str, Any]] = [
    {"approved": "no"},
    {"approved": "denied"},
    {"approved": 1},
    {"approved": None},
    {"approved": {"approved": False}},
    {"approved": True, "reason": 5},
    {"approved": True, "by": 5},
    {"approved": True, "id": 5},
]


@pytest.mark.parametrize("given", WRONG, ids=repr)
async def test_a_decision_is_yes_or_no_and_nothing_is_guessed_at(path: Path, given: dict[str, Any]) -> None:
    """What comes from a form or a chat is made a yes or a no by whoever knows the form. Other systems read
    texts and objects for the words of a refusal, and take everything else for consent: "no, thanks"."""
    decision = Decision("c1", **given)
    first = await run(path, eraser(ERASE))
    async with running(path, eraser()) as runtime:
        with pytest.raises(ContentError, match="the decision about 'c1' cannot be kept: "):
            await runtime.decide(first.run_id, [decision])
        with pytest.raises(ContentError, match="the decision about 'c1' cannot be kept: "):
            await runtime.resume(first.run_id, [decision])
        assert await runtime.cancel(first.run_id)

    assert reasons(path)[-2:] == ["run_suspended", "run_finished"]


async def test_a_decision_that_is_none_does_not_reach_a_run_that_goes_on(path: Path) -> None:
    async with going(path, [ERASE, WAIT], "end") as (runtime, started, gone_on):
        with pytest.raises(ContentError, match="cannot be kept"):
            await runtime.decide(started.run_id, [Decision("c1", "no")])  # type: ignore[arg-type]
        gone_on.set()
        assert (await started.result()).status == "waiting"


async def test_an_unknown_run_is_refused(path: Path) -> None:
    async with running(path, eraser()) as runtime:
        for ask in (runtime.decide("r9", [APPROVE]), runtime.resume("r9"), runtime.cancel("r9")):
            with pytest.raises(NotFound, match="there is no run 'r9'"):
                await ask


async def test_the_same_answer_again_changes_nothing(path: Path) -> None:
    first = await run(path, eraser(ERASE, "gone"))

    async with running(path, eraser("gone")) as runtime:
        (call,) = runtime.pending(first.run_id)
        assert call.suspension
        resumed = await runtime.decide(first.run_id, [APPROVE, APPROVE])
        assert resumed
        await resumed.result()
        await runtime.decide(first.run_id, [APPROVE])
        await runtime.decide(first.run_id, [Decision.approve(call.suspension.ticket, by="me")])

    assert (len(actions(path, "ToolCallDecided")), told(path)) == (1, ["erased"])


@pytest.mark.parametrize("other", [DENY, Decision.approve("c1", 5)])
async def test_another_answer_is_refused(path: Path, other: Decision) -> None:
    first = await run(path, eraser(ERASE, "gone"))

    async with running(path, eraser("gone")) as runtime:
        resumed = await runtime.decide(first.run_id, [APPROVE])
        assert resumed
        await resumed.result()
        with pytest.raises(RunError, match="'c1' is decided already"):
            await runtime.decide(first.run_id, [other])

    assert len(actions(path, "ToolCallDecided")) == 1


async def test_a_batch_that_contradicts_itself_is_refused(path: Path) -> None:
    first = await run(path, eraser(ERASE))

    async with running(path, eraser()) as runtime:
        with pytest.raises(RunError, match="'c1' is decided already"):
            await runtime.decide(first.run_id, [APPROVE, DENY])

    assert reasons(path)[-1] == "run_suspended"


async def test_a_decision_counts_once_while_others_are_awaited(path: Path) -> None:
    two = [ERASE, ERASE.model_copy(update={"id": "c2"})]
    planner = eraser(two, tool_execution="parallel_batch_approval")
    first = await run(path, planner)

    async with running(path, planner) as runtime:
        resumed = await runtime.decide(first.run_id, [APPROVE])
        assert resumed
        await resumed.result()
        await runtime.decide(first.run_id, [APPROVE])
        with pytest.raises(RunError, match="decided already"):
            await runtime.decide(first.run_id, [DENY])

    assert statuses(path) == {"c1": "resuming", "c2": "suspended"}


async def test_a_call_is_decided_while_the_model_answers(path: Path) -> None:
    """It goes on when the turn is in the log. Other systems let it go on beside the model, and its result is
    then in the conversation before the turn that was asked without it."""
    answering, gone_on = anyio.Event(), anyio.Event()

    class Slow(ScriptedModel):
        async def stream(self, request: ModelRequest) -> AsyncIterator[Part]:
            if request.messages[-1].content == "3":
                answering.set()
                await gone_on.wait()
            async for part in super().stream(request):
                yield part

    planner = eraser(model=Slow([ERASE, ADD], "one is done", "gone"))
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await answering.wait()
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        result = await started.result()
        said = [(m.role, m.content) for m in runtime.messages("t1")]

    assert result.output == "gone"
    assert said[3:] == [("assistant", "one is done"), ("tool", "erased"), ("assistant", "gone")]
    await assert_replays(path, planner)


async def test_a_call_is_decided_while_its_run_goes_on(path: Path) -> None:
    async with going(path, [ERASE, WAIT], "gone") as (runtime, started, gone_on):
        assert await runtime.decide(started.run_id, [APPROVE]) is started
        gone_on.set()
        result = await started.result()

    assert (result.output, told(path)) == ("gone", ["waited", "erased"])


async def test_an_early_decision_is_kept_until_its_call_asks(path: Path) -> None:
    """in the log, in one place, by an action: there is no other queue that could be stale"""
    async with going(path, WAIT, ADD, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        result = await started.result()

    assert (result.output, told(path)) == ("gone", ["waited", "3", "erased"])
    assert len(actions(path, "DecisionKept")) == 1
    assert [action.payload["unused"] for action in actions(path, "DecisionTaken")] == [False]


async def test_an_early_decision_may_be_given_twice_and_not_be_taken_back(path: Path) -> None:
    async with going(path, WAIT, ADD, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        await runtime.decide(started.run_id, [APPROVE])
        with pytest.raises(RunError, match="decided already"):
            await runtime.decide(started.run_id, [DENY])
        gone_on.set()
        await started.result()

    assert len(actions(path, "DecisionKept")) == 1


async def test_a_decision_that_was_of_no_use_is_recorded_as_unused(path: Path) -> None:
    async with going(path, WAIT, "end") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [Decision.approve("c9")])
        gone_on.set()
        await started.result()
        document = runtime.state("t1")

    assert [action.payload["unused"] for action in actions(path, "DecisionTaken")] == [True]
    assert kept(document) == []


async def test_a_decision_that_a_cancelled_run_never_saw_is_recorded_as_unused(path: Path) -> None:
    async with going(path, WAIT) as (runtime, started, _):
        await runtime.decide(started.run_id, [Decision.approve("c9")])
        await runtime.cancel(started.run_id)
        await started.result()

    assert [action.payload["unused"] for action in actions(path, "DecisionTaken")] == [True]


async def test_an_early_decision_outlives_a_run_that_waits(path: Path) -> None:
    other = ERASE.model_copy(update={"id": "c2"})
    async with going(path, WAIT, other, ERASE, "gone") as (runtime, started, gone_on):
        await runtime.decide(started.run_id, [APPROVE])
        gone_on.set()
        assert (await started.result()).status == "waiting"
        resumed = await runtime.decide(started.run_id, [Decision.approve("c2")])
        assert resumed
        result = await resumed.result()

    assert (result.output, told(path)) == ("gone", ["waited", "erased", "erased"])


async def test_a_decision_that_comes_when_a_run_is_about_to_wait_is_not_lost(path: Path) -> None:
    """a run begins to wait over no decision that it has not seen: it goes on"""
    deciding: list[Run | None] = []
    at_the_end, decided = anyio.Event(), anyio.Event()

    class Slow(Asking):
        async def run_end(self, context: Context) -> None:  # type: ignore[override]
            at_the_end.set()
            await decided.wait()

    async def decide(runtime: Runtime, run_id: str) -> None:
        decided.set()
        deciding.append(await runtime.decide(run_id, [APPROVE]))

    planner = eraser(ERASE, "gone", behaviors=[Slow(lambda context: None)])
    async with running(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await at_the_end.wait()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(decide, runtime, started.run_id)
            assert (await started.result()).output == "gone"
        assert deciding == [started]


async def test_a_run_that_is_over_takes_no_decision(path: Path) -> None:
    first = await run(path, eraser("hello"))

    async with running(path, eraser()) as runtime:
        with pytest.raises(RunError, match="is over \\(natural_end\\)"):
            await runtime.decide(first.run_id, [APPROVE])


async def test_a_run_may_be_resumed_by_another_runtime_on_the_same_file(path: Path) -> None:
    planner = eraser(ERASE, "gone")
    async with running(path, planner) as first, running(path, eraser("gone")) as second:
        started = await first.start("planner", "go", thread="t1")
        await started.result()
        resumed = await second.decide(started.run_id, [APPROVE])
        assert resumed
        result = await resumed.result()
        with pytest.raises(RunError, match="does not wait: it is done"):
            await first.resume(started.run_id)

    executors = [changeset.executor.id for changeset in history(path) if changeset.executor]
    assert (result.output, result.run_id, len(set(executors))) == ("gone", started.run_id, 2)


async def test_of_two_that_resume_at_the_same_moment_one_is_refused(path: Path) -> None:
    first = await run(path, eraser(ERASE))
    outcomes: list[str] = []

    async def resume(runtime: Runtime) -> None:
        try:
            outcomes.append((await (await runtime.resume(first.run_id, [APPROVE])).result()).status)
        except (VersionConflict, RunError) as err:
            outcomes.append(type(err).__name__)

    async with (
        running(path, eraser("a")) as one,
        running(path, eraser("b")) as other,
        anyio.create_task_group() as tasks,
    ):
        for runtime in (one, other, one):
            tasks.start_soon(resume, runtime)

    assert set(outcomes) <= {"done", "RunError"}
    assert "done" in outcomes
    assert reasons(path).count("run_resumed") == 1


async def test_an_agent_that_is_not_here_cannot_go_on(path: Path) -> None:
    first = await run(path, eraser(ERASE))

    async with running(path, eraser(name="writer")) as runtime:
        await runtime.decide(first.run_id, [APPROVE])
        with pytest.raises(RunError, match="there is no agent 'planner' here"):
            await runtime.resume(first.run_id)


async def test_an_answer_to_one_question_is_none_to_the_next(path: Path) -> None:
    """the same call asks again: what was said before does not count for it"""

    @tool
    def never() -> None: ...

    planner = agent(
        ToolCall("never", id="c1"), tools=[never], behaviors=[wanting("before_tool_execute", Suspend("x"))]
    )
    first = await run(path, planner)
    async with running(path, planner) as runtime:
        (before,) = runtime.pending(first.run_id)
        assert before.suspension
        again = await runtime.decide(first.run_id, [APPROVE])
        assert again
        await again.result()
        await runtime.decide(first.run_id, [Decision.approve(before.suspension.ticket)])
        second = await runtime.decide(first.run_id, [DENY])
        assert second
        result = await second.result()

    assert (result.status, statuses(path)) == ("done", {"c1": "cancelled"})


def test_a_run_may_be_resumed_by_another_process(path: Path) -> None:
    """what one process has begun, another ends: the log is all that they share"""
    agents = [replace(resumer.planner(), model=ScriptedModel(ToolCall("erase", id="c1")))]
    with Runtime.open(path, agents=agents) as runtime:
        waiting = runtime.run_sync("planner", "go", thread="t1")
    command = [sys.executable, resumer.__file__, str(path), waiting.run_id, "c1"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (ended.stdout, ended.stderr) == ("done gone\n", "")
    assert_sound(path, [])
    assert reasons(path)[3:] == [
        "run_suspended",
        "run_resumed",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]
    pids = [changeset.executor.pid for changeset in history(path) if changeset.executor]
    assert [changeset.epoch for changeset in history(path)] == [1] * 4 + [2] * 4
    assert len(set(pids)) == 2
