"""Whatever an agent does and whatever happens to its run: the log is sound, in order, and repeatable."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
from hypothesis import given
from hypothesis import strategies as st

from support.agent_strategies import Curious, agents, answers, moves
from support.checks import CALL_TRANSITIONS
from support.effects import CountingEffects
from support.happenings import meddled
from support.log_reads import read_history
from support.logs import fresh_path
from support.runtimes import open_runtime
from threadlog.engine import Agent, Decision, Runtime
from threadlog.engine.events import run_events
from threadlog.engine.events.event import Event
from threadlog.engine.replay.replay import replay_run
from threadlog.reducers import replay
from threadlog.reducers.phase import Phase
from threadlog.reducers.tool_call import calls
from threadlog.store import Changeset
from threadlog.store.document import same

GOES_ON = {"assistant_turn", "decision", "user_message", "run_suspended", "run_finished"}
REASONS: dict[str, set[str]] = {
    "run_started": GOES_ON,
    "run_resumed": GOES_ON | {"tool_results"},
    "assistant_turn": GOES_ON | {"tool_results"},
    "decision": GOES_ON | {"tool_results"},
    "user_message": GOES_ON | {"tool_results"},
    "tool_results": GOES_ON | {"tool_results"},
    "run_suspended": {"run_resumed", "run_finished"},
    "run_finished": set(),
}
"""What may come behind a changeset of a run."""

PHASES: dict[Phase, set[Phase]] = {
    Phase.RUN_START: {Phase.STEP_START},
    Phase.STEP_START: {Phase.BEFORE_INFERENCE},
    Phase.BEFORE_INFERENCE: {Phase.AFTER_INFERENCE, Phase.STEP_START, Phase.BEFORE_TOOL_EXECUTE},
    Phase.AFTER_INFERENCE: {Phase.STEP_END},
    Phase.STEP_END: {Phase.BEFORE_TOOL_EXECUTE, Phase.STEP_START},
    Phase.BEFORE_TOOL_EXECUTE: {Phase.BEFORE_TOOL_EXECUTE, Phase.AFTER_TOOL_EXECUTE},
    Phase.AFTER_TOOL_EXECUTE: {Phase.BEFORE_TOOL_EXECUTE, Phase.AFTER_TOOL_EXECUTE, Phase.STEP_START},
    Phase.RUN_END: {Phase.STEP_START, Phase.BEFORE_TOOL_EXECUTE},
}
"""What may come behind a phase; the end behind every one. A broken stream has no `after_inference`."""


async def completed(runtime: Runtime, happenings: list[Any], said: list[bool], told: list[Event]) -> str:
    """One run to its very end: its questions are answered, or it is cancelled."""

    async def listen() -> None:
        told.extend([event async for event in runtime.subscribe(run.run_id)])

    run = await runtime.start("planner", "go", thread="t1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        result = await meddled(runtime, run, iter(happenings))
        for approved in said:
            asked = runtime.pending(run.run_id)
            if result.status == "done" or not asked:
                break
            await runtime.decide(run.run_id, [Decision(asked[0].call_id, approved)])
            result = await meddled(runtime, run, iter(()))
        await runtime.cancel(run.run_id, wait=True)
    return run.run_id


async def runs(planner: Agent, happenings: list[Any], said: list[bool], path: Path) -> None:
    """Two runs on one thread, and what holds behind them."""
    async with open_runtime(path, planner, effects=CountingEffects()) as runtime:
        for behavior in planner.behaviors:
            if isinstance(behavior, Curious):
                behavior.runtime = runtime
        for _ in range(2):
            told: list[Event] = []
            run_id = await completed(runtime, happenings, said, told)
            logged = list(run_events(runtime.log, run_id))
            assert [event for event in told if event.cursor] == logged
            assert runtime.state("t1")["__run"]["status"] == "done"
            assert same(replay(runtime.log.read("t1")).state, runtime.state("t1"))
            assert {call.status for call in calls(runtime.state("t1"))} <= {
                "succeeded",
                "failed",
                "cancelled",
            }
            assert await replay_run(runtime.log, run_id, [planner]) is None


def assert_in_order(changesets: list[Changeset]) -> None:
    """Runs come one after the other, each with its epochs; every state change has an action behind it."""
    by_run = Counter(changeset.run_id for changeset in changesets)
    for run_id in by_run:
        own = [changeset for changeset in changesets if changeset.run_id == run_id]
        assert all(after.reason in REASONS[before.reason] for before, after in pairwise(own))
        assert (own[0].reason, own[-1].reason) == ("run_started", "run_finished")
        opened = [True, *(before.reason == "run_suspended" for before in own[:-1])]
        assert [changeset.epoch for changeset in own] == [sum(opened[: n + 1]) for n in range(len(own))]
    assert all(patch.action is not None for changeset in changesets for patch in changeset.patches)


def assert_calls_move(changesets: Iterable[Changeset]) -> None:
    """Every call moves as its table says, and every question is asked and answered once at the most."""
    status: dict[Any, Any] = {}
    asked: Counter[Any] = Counter()
    answered: Counter[Any] = Counter()
    ticket: dict[Any, Any] = {}
    for action in (action for changeset in changesets for action in changeset.actions):
        payload: Any = action.payload
        match action.action:
            case "ForgetToolCalls":
                status.clear()
                continue
            case "MoveToolCall":
                to = payload["status"]
            case "SuspendToolCall":
                to, ticket[payload["call_id"]] = "suspended", payload["suspension"]["ticket"]
                asked[ticket[payload["call_id"]]] += 1
            case "DecideToolCall":
                to = "resuming"
                answered[ticket[payload["call_id"]]] += 1
            case _:
                continue
        assert to in CALL_TRANSITIONS[status.get(payload["call_id"], "new")]
        status[payload["call_id"]] = to
    assert set(asked.values()) | set(answered.values()) <= {1}


def assert_answered(changesets: list[Changeset]) -> None:
    """A call is answered once at the most, and only if it was asked for."""
    messages = [message for changeset in changesets for message in changeset.messages]
    asked = Counter(call.id for message in messages for call in message.tool_calls)
    told = Counter(message.tool_call_id for message in messages if message.role == "tool")
    assert told <= asked


@given(st.data(), moves, answers, st.sampled_from(["asyncio", "trio"]))
def test_every_run_leaves_a_sound_log_whatever_happens(
    data: st.DataObject, happenings: list[Any], said: list[bool], backend: str
) -> None:
    """verify() == check_reducers() == [], replay_run() is None, runs, calls and phases are in order, and
    what was told is what the log says"""
    seen: list[Phase] = []
    planner = data.draw(agents(seen))

    with fresh_path() as path:
        anyio.run(partial(runs, planner, happenings, said, path), backend=backend)
        changesets = read_history(path)

    assert_in_order(changesets)
    assert_calls_move(changesets)
    assert_answered(changesets)
    assert all(after in PHASES[phase] | {Phase.RUN_END, Phase.RUN_START} for phase, after in pairwise(seen))
