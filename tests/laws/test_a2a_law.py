"""The updates that a client receives add up to what the log says, whatever the run does."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from a2a.types import StreamResponse, Task, TaskArtifactUpdateEvent
from hypothesis import given
from hypothesis import strategies as st

from support.a2a_servers import output, told
from support.agent_strategies import Curious, agents, answers, moves
from support.effects import CountingEffects
from support.happenings import meddled
from support.logs import fresh_path
from support.runtimes import open_runtime
from threadlog.engine import Agent, Decision, Runtime
from threadlog.engine.serve.a2a.task_list import AgentTasks
from threadlog.engine.serve.a2a.updates import Update, updates


def response(update: Update) -> StreamResponse:
    if isinstance(update, TaskArtifactUpdateEvent):
        return StreamResponse(artifact_update=update)
    return StreamResponse(status_update=update)


def seen(task: Task) -> tuple[Any, ...]:
    """A client's view of a task. The number of text pieces does not matter."""
    data = [part.data for artifact in task.artifacts for part in artifact.parts if part.HasField("data")]
    return task.id, task.context_id, task.status.state, task.status.message, output(task), data


async def follow(runtime: Runtime, run_id: str, found: list[tuple[Task, Task]]) -> None:
    """Follow a run from its beginning, and from every point where something was told of it."""
    tasks = AgentTasks(runtime.log, "planner")
    fold = tasks.fold(run_id)
    first, events = Task(), []
    first.CopyFrom(fold.task)
    async for update in updates(runtime, tasks, fold):
        events.append(response(update))
    found.append((told(first, events), tasks.fold(run_id).task))


async def completed(
    runtime: Runtime, happenings: Iterator[Any], said: list[bool], found: list[tuple[Task, Task]]
) -> None:
    """One run to its very end, followed by a client that comes at once, and ones that come when it asks."""
    run = await runtime.start("planner", "go", thread="t1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow, runtime, run.run_id, found)
        result = await meddled(runtime, run, happenings)
        for approved in said:
            asked = runtime.pending(run.run_id)
            if result.status == "done" or not asked:
                break
            tasks.start_soon(follow, runtime, run.run_id, found)
            await runtime.decide(run.run_id, [Decision(asked[0].call_id, approved)])
            result = await meddled(runtime, run, iter(()))
        await runtime.cancel(run.run_id, wait=True)


async def followed(planner: Agent, happenings: list[Any], said: list[bool], path: Path) -> None:
    found: list[tuple[Task, Task]] = []
    async with open_runtime(path, planner, effects=CountingEffects()) as runtime:
        for behavior in planner.behaviors:
            if isinstance(behavior, Curious):
                behavior.runtime = runtime
        await completed(runtime, iter(happenings), said, found)
    assert found
    for heard, read in found:
        assert seen(heard) == seen(read)


@given(st.data(), moves, answers, st.sampled_from(["asyncio", "trio"]))
def test_a_task_as_it_is_told_is_the_task_as_it_is_read(
    data: st.DataObject, happenings: list[Any], said: list[bool], backend: str
) -> None:
    """told(task at any point, updates behind it) == the fold of the run's changesets"""
    planner = data.draw(agents([]))

    with fresh_path() as path:
        anyio.run(partial(followed, planner, happenings, said, path), backend=backend)
