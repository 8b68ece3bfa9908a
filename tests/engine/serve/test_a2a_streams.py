"""The events of a task, to the client that sent it and to one that follows it later."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from a2a.helpers import get_message_text
from a2a.types import GetTaskRequest, SendMessageRequest, StreamResponse, SubscribeToTaskRequest

from support.a2a_servers import (
    COMPLETED,
    FAILED,
    Gate,
    Served,
    answered,
    message,
    output,
    peer,
    serving,
    told,
    until,
    working,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate().open() as gate:
        yield gate


@pytest.fixture
async def server(path: Path, gate: Gate) -> AsyncIterator[Served]:
    with serving(path, gate=gate) as server:
        yield server


async def test_a_stream_tells_the_text_as_it_is_written(server: Served, gate: Gate) -> None:
    async with peer(server.urls["planner"], streaming=True) as client:
        stream = client.client.send_message(SendMessageRequest(message=message()))
        events = await until(stream, lambda event: event.HasField("task"))
        await answered(gate, "Three ", "days.")
        events += [event async for event in stream]
        task = await client.client.get_task(GetTaskRequest(id=events[0].task.id))

    written = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert [(part.text, each.append) for each in written for part in each.artifact.parts] == [
        ("Three ", False),
        ("days.", True),
    ]
    assert (output(told(events[0].task, events[1:])), events[-1].status_update.status) == (
        output(task),
        task.status,
    )


async def test_a_client_that_left_follows_from_where_the_task_is(server: Served, gate: Gate) -> None:
    async with peer(server.urls["planner"], streaming=True) as client:
        stream = client.client.send_message(SendMessageRequest(message=message()))
        (first,) = await until(stream, lambda event: event.HasField("task"))
        asked = await gate.asked()
        await asked.say("Three ")
        subscription = client.client.subscribe(SubscribeToTaskRequest(id=first.task.id))
        events = await until(subscription, is_written)
        await asked.end("days.")
        events += [event async for event in subscription]

    assert output(told(first.task, events)) == "Three days."
    assert events[-1].status_update.status.state == COMPLETED


def is_written(event: StreamResponse) -> bool:
    return bool(event.HasField("artifact_update"))


async def test_a_follower_hears_whole_text_of_a_task_that_goes_on_in_another_server(
    server: Served, gate: Gate, path: Path
) -> None:
    with serving(path, gate=gate) as other:
        async with peer(server.urls["planner"]) as here, peer(other.urls["planner"], streaming=True) as there:
            task_id = await working(here, gate)
            subscription = there.client.subscribe(SubscribeToTaskRequest(id=task_id))
            events = await until(subscription, lambda event: event.HasField("task"))
            await answered(gate, "Three ", "days.")
            events += [event async for event in subscription]

    assert output(told(events[0].task, events[1:])) == "Three days."
    assert events[-1].status_update.status.state == COMPLETED


async def test_text_of_an_attempt_that_failed_is_replaced(server: Served, gate: Gate) -> None:
    async with peer(server.urls["planner"], streaming=True) as client:
        stream = client.client.send_message(SendMessageRequest(message=message()))
        events = await until(stream, lambda event: event.HasField("task"))
        asked = await gate.asked()
        await asked.say("Thr")
        events += await until(stream, is_written)
        await asked.fail("no such key")
        events += [event async for event in stream]

    task = told(events[0].task, events[1:])
    assert (task.status.state, output(task)) == (FAILED, "")
    assert "no such key" in get_message_text(task.status.message)
