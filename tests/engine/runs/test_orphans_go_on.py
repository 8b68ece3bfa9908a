"""Runs whose process was killed go on: by themselves, or when a person has said how."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from anyio.to_thread import run_sync

from support.checks import assert_replays
from support.command import call
from support.killed_runs import at_work, crashed, wait_for
from support.models import recording_model
from support.processes.killed_run import SPENT, mortal
from support.programs import started
from threadlog.engine import Agent, Decision, Runtime, Tool, ToolContext
from threadlog.engine.runs.recovery import OrphanPolicy
from threadlog.reducers.open_calls import RESULT_TEXTS
from threadlog.reducers.run import CANCELLED, ENDS, QUESTION
from threadlog.store import Log
from threadlog.store.changeset import ToolExecution

pytestmark = pytest.mark.anyio


class Living:
    """The agent of the process that died, in one that does not; what it is asked and calls."""

    def __init__(self, execution: ToolExecution = "parallel", *, needs_approval: bool = False) -> None:
        self.model, self.requests = recording_model("done", "done", name="silent")
        self.called: list[str] = []

        async def look(context: ToolContext) -> str:
            """Look."""
            self.called.append(context.idempotency_key)
            return "seen"

        async def pay() -> str:
            """Pay."""
            self.called.append("pay")
            return "paid"

        made = {"pay": Tool(pay), "look": Tool(look, idempotent=True, needs_approval=needs_approval)}
        dead = mortal(execution)
        tools = [made.get(name, tool) for name, tool in dead.toolbox().items()]
        self.agent = replace(dead, model=self.model, tools=tools)

    def told(self) -> list[str]:
        """What the model was told of its calls."""
        return [m.content for m in self.requests[0].messages if m.role == "tool"]


@asynccontextmanager
async def opened(path: Path, living: Living, orphans: OrphanPolicy) -> AsyncIterator[Runtime]:
    """A runtime; the log is looked at afterwards."""
    async with Runtime.open(path, agents=[living.agent], orphans=orphans) as runtime:
        yield runtime
    await assert_replays(path, living.agent)


async def test_a_run_killed_in_an_inference_goes_on(path: Path) -> None:
    crashed(path, "parallel")
    living = Living()
    async with opened(path, living, "resume") as runtime:
        result = await runtime.get_run("r1").result()

    assert (result.status, result.output) == ("done", "done")
    assert [each.reason for each in log_of(path)] == [
        "run_started",
        "recovered",
        "run_resumed",
        "assistant_turn",
        "run_finished",
    ]


def log_of(path: Path) -> Sequence[Any]:
    with Log.open(path, readonly=True) as log:
        return list(log.read("t1"))


async def test_an_unknown_call_of_an_idempotent_tool_is_made_again_with_its_key(path: Path) -> None:
    crashed(path, "parallel", "add", "look", "pay")
    living = Living()
    async with opened(path, living, "resume") as runtime:
        result = await runtime.get_run("r1").result()

    assert (result.output, result.usage) == ("done", SPENT)
    assert living.called == ["r1:0:c2"]
    assert living.told() == ["3", "seen", RESULT_TEXTS["unknown"]]


async def test_calls_that_were_not_started_are_made_in_their_order(path: Path) -> None:
    crashed(path, "sequential", "pay", "add", "look")
    living = Living("sequential")
    async with opened(path, living, "resume") as runtime:
        await runtime.get_run("r1").result()

    assert living.called == ["r1:0:c3"]
    assert living.told() == [RESULT_TEXTS["unknown"], "3", "seen"]


async def test_a_call_that_is_made_again_is_put_before_a_person_like_any_other(path: Path) -> None:
    """The gate that it may have passed is not in the log, so no permission is assumed."""
    crashed(path, "parallel", "look")
    living = Living(needs_approval=True)
    async with opened(path, living, "resume") as runtime:
        assert (await runtime.get_run("r1").result()).status == "waiting"
        assert living.called == []
        run = await runtime.decide("r1", [Decision.approve("c1")])
        assert (await run.result()).output == "done"

    assert living.called == ["r1:0:c1"]


async def test_a_run_whose_agent_is_not_here_is_left_to_who_has_it(path: Path) -> None:
    crashed(path, "parallel", "look")
    async with Runtime.open(path, agents=[], orphans="resume") as runtime:
        assert [row.status for row in runtime.log.runs()] == ["running"]
    living = Living()
    async with opened(path, living, "resume") as runtime:
        assert (await runtime.get_run("r1").result()).output == "done"


async def test_what_was_said_to_a_run_before_it_goes_on_is_heard_then(path: Path) -> None:
    crashed(path, "parallel", "look")
    async with Runtime.open(path, agents=[], orphans="leave") as runtime:
        await runtime.steer("r1", "hurry")
    living = Living()
    async with opened(path, living, "resume") as runtime:
        assert (await runtime.get_run("r1").result()).output == "done"

    assert "hurry" in [m.content for m in living.requests[0].messages]


async def test_a_run_whose_cancellation_nobody_has_seen_does_not_go_on(path: Path) -> None:
    with at_work(path, "parallel", "shielded") as process:
        async with Runtime.open(path, agents=[]) as runtime:
            await runtime.cancel("r1", by="ann")
        process.kill()
        process.wait()
    async with opened(path, Living(), "resume") as runtime:
        assert (await runtime.get_run("r1").result()).termination == CANCELLED


# A person decides


@pytest.mark.parametrize(
    ("decision", "called", "told"),
    [
        (Decision.approve("c1", "paid before"), [], "paid before"),
        (Decision.approve("c1"), ["pay"], "paid"),
        (Decision.deny("c1", "it was not paid"), [], '{"error":"it was not paid"}'),
    ],
    ids=["it happened", "run it again", "it did not"],
)
async def test_a_person_says_what_became_of_an_unknown_call(
    path: Path, decision: Decision, called: list[str], told: str
) -> None:
    crashed(path, "parallel", "pay")
    living = Living()
    async with opened(path, living, "ask") as runtime:
        assert (await runtime.get_run("r1").result()).termination == ENDS["ask"]
        (asked,) = runtime.pending("r1")
        assert asked.suspension
        assert asked.suspension.action == QUESTION
        run = await runtime.decide("r1", [decision])
        assert (await run.result()).output == "done"

    assert (living.called, living.told()) == (called, [told])


async def test_every_orphan_asks_also_one_that_has_no_unknown_call(path: Path) -> None:
    crashed(path, "parallel")
    living = Living()
    async with opened(path, living, "ask") as runtime:
        (asked,) = runtime.pending("r1")
        assert (asked.name, asked.arguments) == (QUESTION, {"run_id": "r1", "agent_id": "planner"})
        run = await runtime.decide("r1", [Decision.approve(asked.call_id)])
        assert (await run.result()).output == "done"

    assert living.told() == []


async def test_a_run_that_shall_not_go_on_is_stopped(path: Path) -> None:
    crashed(path, "parallel")
    living = Living()
    async with opened(path, living, "ask") as runtime:
        (asked,) = runtime.pending("r1")
        run = await runtime.decide("r1", [Decision.deny(asked.call_id)])
        assert (await run.result()).termination == ENDS["stop"]
        again = await runtime.resume("r1", prompt="go on")
        assert (await again.result()).output == "done"


async def test_a_run_that_is_superseded_while_it_asks_is_what_todays_code_does(path: Path) -> None:
    crashed(path, "parallel", "pay")
    living = Living()
    async with opened(path, living, "ask") as runtime:
        run = await runtime.start("planner", "again", thread="t1", if_active="supersede")
        await run.result()

    assert [each.reason for each in log_of(path) if each.run_id == "r1"][-2:] == ["recovered", "superseded"]


async def test_what_is_asked_may_be_answered_by_a_process_that_has_no_agent(path: Path) -> None:
    crashed(path, "sequential", "pay", "add")
    living = Living("sequential")
    async with Runtime.open(path, agents=[], orphans="ask") as runtime:
        await runtime.decide("r1", [Decision.approve("c1", "paid")])
    async with opened(path, living, "ask") as runtime:
        run = await runtime.decide("r1", [])
        assert (await run.result()).output == "done"

    assert living.told() == ["paid", RESULT_TEXTS["not_started"]]


class Followed(Agent):
    """An agent whose runs are executed elsewhere."""

    adopts_orphans: ClassVar[bool] = True


@pytest.mark.does_not_replay("its second epoch has another agent")
async def test_a_run_that_is_executed_elsewhere_is_adopted_and_never_stopped(path: Path) -> None:
    """whatever the policy says: left by those who have not its agent, resumed by who has"""
    model, _ = recording_model("done")
    agent = Followed("planner", model)
    with started(path, script="killed_adopted_run.py") as process:
        assert process.stdout
        assert process.stdout.readline() == "at work\n"
        wait_for(path, 0)
        process.kill()
        process.wait()
    recovered = await run_sync(call, f"recover --json --db {path}")
    assert recovered.json() == []
    async with Runtime.open(path, agents=[]) as runtime:
        assert [row.status for row in runtime.log.runs()] == ["running"]
    async with Runtime.open(path, agents=[agent]) as runtime:
        assert (await runtime.get_run("r1").result()).output == "done"
