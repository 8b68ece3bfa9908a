"""Servers that die, are started again, and stand side by side on one file: the log is all there is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGKILL

import anyio
import pytest
from a2a.types import CancelTaskRequest, GetTaskRequest, ListTasksRequest, SubscribeToTaskRequest, Task

from support.a2a_servers import (
    AGENTS,
    ASKING,
    CANCELED,
    COMPLETED,
    FAILED,
    WORKING,
    Gate,
    Peer,
    answer,
    message,
    output,
    peer,
    serving,
    tickets,
    until,
)
from support.command import run
from threadlog.store import Log

pytestmark = [pytest.mark.anyio, pytest.mark.long]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    async with Gate().open() as gate:
        yield gate


@asynccontextmanager
async def both(path: Path) -> AsyncIterator[tuple[Peer, Peer]]:
    """A client of `payer` at each of two servers."""
    with serving(path) as one, serving(path) as other:
        async with peer(one.urls["payer"]) as here, peer(other.urls["payer"]) as there:
            yield here, there


async def test_a_killed_server_loses_no_task_and_the_same_message_starts_none(path: Path, gate: Gate) -> None:
    with serving(path, gate=gate) as server:
        async with peer(server.urls["planner"]) as planner:
            task = await planner.send(message("go", context="c1"), wait=False)
            await gate.asked()
        server.end(SIGKILL)
    with serving(path, gate=gate) as server:
        async with peer(server.urls["planner"]) as planner:
            again = await planner.send(message("go", context="c1"), wait=False)
            listed = (await planner.client.list_tasks(ListTasksRequest())).tasks

    assert again.id == task.id
    assert [each.id for each in listed] == [task.id]
    # No server executes it any more: it is unchanged, or closed by the process that found out.
    assert again.status.state in (WORKING, FAILED)


async def test_a_task_that_asks_is_answered_at_a_server_that_was_started_again(path: Path) -> None:
    with serving(path) as server:
        async with peer(server.urls["payer"]) as payer:
            asking = await payer.send(message("pay it"))
        server.end(SIGKILL)
    with serving(path) as server:
        async with peer(server.urls["payer"]) as payer:
            known = await payer.client.get_task(GetTaskRequest(id=asking.id))
            task = await payer.send(answer(known, {"target": tickets(known)[0], "approved": True}))

    assert (known, task.status.state, output(task)) == (asking, COMPLETED, "The tool said: paid 7")


async def test_a_follower_is_told_the_rest_by_a_server_that_was_started_again(path: Path) -> None:
    with serving(path) as server:
        async with peer(server.urls["payer"]) as payer:
            asking = await payer.send(message("pay it"))
        server.end(SIGKILL)
    with serving(path) as server:
        async with peer(server.urls["payer"]) as payer, peer(server.urls["payer"], streaming=True) as client:
            subscription = client.client.subscribe(SubscribeToTaskRequest(id=asking.id))
            (first,) = await until(subscription, lambda event: event.HasField("task"))
            await payer.send(message("yes", id="a1", task=asking.id))
            last = [event async for event in subscription][-1]

    assert (first.task.status.state, last.status_update.status.state) == (ASKING, COMPLETED)


async def test_the_same_message_from_two_clients_at_two_servers_is_one_run(path: Path) -> None:
    found: list[Task] = []

    async def send(payer: Peer, number: int) -> None:
        said = message("pay it", id=f"m{number}", context=f"c{number % 3}")
        found.append(await payer.send(said, wait=False))

    async with both(path) as (here, there), anyio.create_task_group() as tasks:
        for number in range(12):
            for client in (here, there, here):
                tasks.start_soon(send, client, number)

    with Log.open(path, readonly=True) as log:
        ids = {row.run_id for row in log.runs()} | {row.run_id for row in log.queued()}
        assert log.verify() == []
    assert {task.id for task in found} == ids
    assert (len(found), len(ids)) == (36, 12)


async def test_the_same_answer_at_two_servers_counts_once(path: Path) -> None:
    found: list[Task] = []

    async def send(payer: Peer, asking: Task) -> None:
        decided = answer(asking, {"target": tickets(asking)[0], "approved": True})
        found.append(await payer.send(decided))

    async with both(path) as (here, there):
        asking = await here.send(message("pay it"))
        async with anyio.create_task_group() as tasks:
            for client in (here, there):
                tasks.start_soon(send, client, asking)

    assert [(task.status.state, output(task)) for task in found] == [(COMPLETED, "The tool said: paid 7")] * 2


async def test_what_was_served_is_sound_and_can_be_executed_again(path: Path) -> None:
    with serving(path) as server:
        async with peer(server.urls["payer"]) as payer, peer(server.urls["tripper"]) as tripper:
            asking = await payer.send(message("pay it", context="c1"))
            await payer.send(message("yes", id="a1", task=asking.id))
            await tripper.send(message(context="c1"))
        server.end(SIGKILL)

    assert run(f"verify --db {path}").code == 0
    assert run(f"replay --level run --agents {AGENTS} --db {path}").code == 0


async def test_a_task_is_cancelled_at_another_server(path: Path, gate: Gate) -> None:
    with serving(path, gate=gate) as one, serving(path, gate=gate) as other:
        async with peer(one.urls["planner"]) as here, peer(other.urls["planner"]) as there:
            task = await here.send(message(), wait=False)
            await gate.asked()
            cancelled = await there.client.cancel_task(CancelTaskRequest(id=task.id))

    assert cancelled.status.state == CANCELED
