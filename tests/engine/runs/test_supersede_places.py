"""Superseding a run at every place where it may be: it stops there, and gives the same bytes again."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from support.agents import gated_agent
from support.behaviors import PhaseBehavior
from support.checks import superseded_by
from support.log_reads import read_call_statuses, read_run
from support.models import GatedModel, recording_model
from support.runtimes import open_runtimes
from support.tools import ADD, ERASE
from threadlog.engine import Agent, Context, ModelError, ModelRequest, ToolCall

pytestmark = pytest.mark.anyio


def parallel(begun: anyio.Event) -> Agent:
    async def hang() -> None:
        begun.set()
        await anyio.sleep_forever()

    calls = [ADD, ToolCall("hang", id="c2"), ToolCall("hang", id="c3"), ERASE.model_copy(update={"id": "c4"})]
    return gated_agent(recording_model(calls)[0], tools=[*gated_agent().tools, hang])


def sequential(begun: anyio.Event) -> Agent:
    return replace(parallel(begun), tool_execution="sequential")


def retried(begun: anyio.Event) -> Agent:
    def fails(_: ModelRequest) -> Any:
        begun.set()
        return ModelError("rate_limit", "later", retry_after=8)

    return gated_agent(recording_model(fails)[0])


def asking_the_world(phase: str) -> Callable[[anyio.Event], Agent]:
    def agent(begun: anyio.Event) -> Agent:
        async def hang() -> None:
            begun.set()
            await anyio.sleep_forever()

        class Curious(PhaseBehavior):
            async def before_inference(self, context: Context) -> None:
                if context.phase == phase:
                    await context.effect("hangs", hang)

            run_start = after_inference = after_tool_execute = run_end = before_inference

        return gated_agent(recording_model(ADD)[0], behaviors=[Curious(lambda context: None)])

    return agent


PLACES = {
    "a round of tools": parallel,
    "one tool after the other": sequential,
    "the pause before it asks again": retried,
    **{
        f"a question of {phase}": asking_the_world(phase)
        for phase in ("before_inference", "after_inference", "after_tool_execute", "run_end")
    },
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("is_here", [True, False])
async def test_a_run_stops_wherever_it_is_and_gives_the_same_bytes_again(
    path: Path, place: str, is_here: bool
) -> None:
    begun, model = anyio.Event(), GatedModel()
    agent, other_agent = PLACES[place](begun), gated_agent(model, name="other")
    async with open_runtimes(path, [agent, other_agent], [other_agent]) as (runtime, other):
        old = await runtime.start("planner", "go", thread="t1")
        await begun.wait()
        taker = runtime if is_here else other
        new = await taker.start("other", "stop", thread="t1", if_active="supersede")
        (await model.next_request()).answer("stopped")
        await new.result()
        with anyio.fail_after(3):
            assert (await old.result()).termination == superseded_by(new.run_id)

    versions = [changeset.version for changeset in read_run(path, old.run_id)]
    assert all(after == before + 1 for before, after in pairwise(versions))
    assert "running" not in read_call_statuses(path).values()
