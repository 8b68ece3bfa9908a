"""Messages to a waiting run: it resumes with them, and subscribers see them."""

from pathlib import Path

import pytest

from support.checks import assert_replays
from support.runtimes import open_runtime
from support.tools import erase
from threadlog.engine import Agent, ScriptedModel, ToolCall
from threadlog.engine.events.event import RunFinished, RunResumed, Steered

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("id", [None, "prompt", "1:2"])
async def test_a_message_to_a_waiting_run_enters_its_conversation_and_events(
    path: Path, id: str | None
) -> None:
    """Whatever its id: ids of the run's own messages do not collide with it."""
    planner = Agent("planner", ScriptedModel(ToolCall("erase", {}, "c1"), "I listen"), tools=[erase])
    async with open_runtime(path, planner) as runtime:
        run = await runtime.start("planner", "go", thread="t1")
        assert (await run.result()).status == "waiting"
        first = [event async for event in run]
        await runtime.steer(run.run_id, "hurry", by="ann", id=id)
        second = [event async for event in run]
        said = [message.content for message in runtime.messages("t1")]

    assert isinstance(first[-1], RunFinished)
    assert [event.message.content for event in second if isinstance(event, Steered)] == ["hurry"]
    assert isinstance(second[0], RunResumed)
    assert "hurry" in said
    await assert_replays(path, planner)
