"""Runs with the same answers of the world are the same, in an event loop or from a script."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import act_in
from support.checks import assert_sound
from support.effects import CountingEffects
from support.log_reads import read_history
from support.runtimes import open_runtime
from support.tools import ADD_AND_FAIL
from threadlog.engine import Agent, Runtime, ToolCall, Turn
from threadlog.engine.events.event import RunResult
from threadlog.reducers import Set
from threadlog.store.codec import encode

pytestmark = pytest.mark.anyio


def repeatable() -> Agent:
    behaviors = [act_in("step_start", Set("/step", 1)), act_in("run_end", Set("/end", [1.5]), name="end")]
    turns = [
        [ToolCall("spend", {"amount": 3}), *ADD_AND_FAIL],
        "hello there",
        ToolCall("none", {}),
        ValueError("no"),
    ]
    return scripted_agent(*turns, behaviors=behaviors, tool_execution="sequential")


async def repeated(path: Path) -> list[bytes]:
    planner = repeatable()
    async with open_runtime(path, planner, effects=CountingEffects()) as runtime:
        for prompt in ("one", "two"):
            await (await runtime.start("planner", prompt, thread="t1")).result()
        return [encode(changeset) for changeset in runtime.log.read("t1")]


def test_the_same_effects_give_the_same_bytes(tmp_path: Path) -> None:
    """Law 4: same effects in, same bytes out, on asyncio and trio alike."""
    contents = [
        anyio.run(partial(repeated, tmp_path / f"{n}.db"), backend=backend)
        for n, backend in enumerate(["asyncio", "trio", "asyncio"])
    ]

    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) == 11


def test_a_script_needs_no_event_loop(path: Path) -> None:
    with Runtime.open(path, agents=[scripted_agent(ADD_AND_FAIL, "hello")], durability="normal") as runtime:
        result = runtime.run_sync("planner", "go", thread="t1")

    assert (result.output, result.version) == ("hello", 6)
    assert_sound(path)


def test_run_sync_and_start_produce_the_same_run(tmp_path: Path) -> None:
    """There is one way to run an agent; run_sync only waits for it."""
    contents = []
    for name in ("script", "loop"):
        path, turns = tmp_path / name, [Turn(text="hel", finish_reason="length"), "lo", ValueError("no")]
        planner = scripted_agent(*turns, behaviors=[act_in("step_start", Set("/step", 1))])
        if name == "script":
            with Runtime.open(path, agents=[planner], effects=CountingEffects()) as runtime:
                results = [runtime.run_sync("planner", "go", thread="t1") for _ in range(2)]
        else:
            results = anyio.run(twice, path, planner)
        contents.append(([encode(changeset) for changeset in read_history(path)], results))

    assert contents[0] == contents[1]


async def twice(path: Path, planner: Agent) -> list[RunResult]:
    async with open_runtime(path, planner, effects=CountingEffects()) as runtime:
        return [await (await runtime.start("planner", "go", thread="t1")).result() for _ in range(2)]


async def test_run_sync_leaves_the_event_loop_of_a_notebook_alone(path: Path) -> None:
    with Runtime.open(path, agents=[scripted_agent("hello")], durability="normal") as runtime:
        assert runtime.run_sync("planner", "go").output == "hello"

    assert_sound(path)
