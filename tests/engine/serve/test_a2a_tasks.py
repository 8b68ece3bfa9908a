"""A task from its message to its end: sent, read, listed and cancelled."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from a2a.helpers import get_data_parts, get_message_text
from a2a.types import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    InvalidParamsError,
    ListTasksRequest,
    PushNotificationNotSupportedError,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskNotCancelableError,
    TaskNotFoundError,
    TaskPushNotificationConfig,
    TaskState,
    UnsupportedOperationError,
)

from support.a2a_servers import (
    ASKING,
    CANCELED,
    COMPLETED,
    FAILED,
    SUBMITTED,
    WORKING,
    Gate,
    Peer,
    Served,
    answered,
    message,
    output,
    peer,
    serving,
    until,
    working,
)
from threadlog.store import Log

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


@pytest.fixture
async def planner(server: Served) -> AsyncIterator[Peer]:
    async with peer(server.urls["planner"]) as planner:
        yield planner


async def test_a_message_is_answered_with_the_task_when_it_is_over(planner: Peer, gate: Gate) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, gate, "Three days in Kyoto.")
        task = await planner.send(message("Plan a trip"))

    assert (task.status.state, output(task)) == (COMPLETED, "Three days in Kyoto.")
    assert [get_message_text(said) for said in task.history] == ["Plan a trip", "Three days in Kyoto."]
    assert task.history[0].message_id == "m1"


@pytest.mark.long
async def test_a_task_is_a_run_and_its_context_a_thread(planner: Peer, gate: Gate, path: Path) -> None:
    task_id = await working(planner, gate, context="trip-1")

    with Log.open(path, readonly=True) as log:
        row = log.run(task_id)
    assert row
    assert (row.thread_id, row.agent) == ("trip-1", "planner")


@pytest.mark.long
async def test_a_context_is_one_conversation(planner: Peer, gate: Gate) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, gate, "Kyoto.")
        await planner.send(message("Where to?", context="c1"))
    await working(planner, gate, "How long?", id="m2", context="c1")

    assert [said for _, said in (await gate.asked()).messages][-3:] == ["Where to?", "Kyoto.", "How long?"]


@pytest.mark.long
async def test_a_client_that_does_not_wait_gets_the_task_at_once(planner: Peer, gate: Gate) -> None:
    task_id = await working(planner, gate)
    assert (await planner.client.get_task(GetTaskRequest(id=task_id))).status.state == WORKING


async def test_the_same_message_is_the_same_task_and_starts_nothing(
    planner: Peer, gate: Gate, path: Path
) -> None:
    """with a context, and without one; another message is another task"""
    for context in ("c1", ""):
        first = await planner.send(message(context=context), wait=False)
        again = await planner.send(message(context=context), wait=False)
        other = await planner.send(message(id="m2", context=context), wait=False)
        assert (again.id, again.context_id) == (first.id, first.context_id)
        assert other.id != first.id

    with Log.open(path, readonly=True) as log:
        assert len(log.runs()) + len(log.queued()) == 4


@pytest.mark.long
async def test_clients_that_give_other_messages_the_same_id_get_tasks_of_their_own(
    planner: Peer, gate: Gate
) -> None:
    first = await planner.send(message("mine"), wait=False)
    other = await planner.send(message("yours"), wait=False)

    assert (other.id, other.context_id) != (first.id, first.context_id)


@pytest.mark.long
async def test_a_structured_output_is_data(server: Served) -> None:
    async with peer(server.urls["tripper"]) as client:
        task = await client.send(message())

    assert get_data_parts(task.artifacts[0].parts) == [{"city": "Kyoto", "days": 3}]


@pytest.mark.parametrize(
    ("agent", "why"), [("failing", "no such key"), ("stopping", "stopped by max_rounds")]
)
async def test_a_run_that_fails_or_is_stopped_is_a_failed_task_that_says_why(
    server: Served, agent: str, why: str
) -> None:
    async with peer(server.urls[agent]) as client:
        task = await client.send(message())

    assert task.status.state == FAILED
    assert why in get_message_text(task.status.message)


@pytest.mark.long
async def test_a_task_is_read_with_as_much_history_as_is_asked_for(planner: Peer, gate: Gate) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, gate, "Kyoto.")
        task = await planner.send(message("Where to?"), history=0)

    assert not task.history
    last = await planner.client.get_task(GetTaskRequest(id=task.id, history_length=1))
    assert [get_message_text(said) for said in last.history] == ["Kyoto."]


async def test_tasks_are_listed_in_pages_the_newest_first(planner: Peer, gate: Gate) -> None:
    ids = [await working(planner, gate, id=f"m{number}") for number in range(5)]
    listed: list[str] = []
    token = ""
    while not listed or token:
        page = await planner.client.list_tasks(ListTasksRequest(page_size=2, page_token=token))
        listed += [task.id for task in page.tasks]
        token = page.next_page_token
        assert (page.total_size, len(page.tasks) <= 2) == (5, True)

    assert listed == ids[::-1]


@pytest.mark.long
async def test_tasks_are_listed_by_context_and_status(planner: Peer, gate: Gate) -> None:
    first = await working(planner, gate, id="m1", context="c1")
    await working(planner, gate, id="m2", context="c2")
    queued = await planner.send(message(id="m3", context="c1"), wait=False)

    async def listed(context_id: str | None = None, status: TaskState | None = None) -> set[str]:
        page = await planner.client.list_tasks(ListTasksRequest(context_id=context_id, status=status))
        return {task.id for task in page.tasks}

    assert await listed(context_id="c1") == {first, queued.id}
    assert await listed(context_id="c1", status=WORKING) == {first}
    assert await listed(status=SUBMITTED) == {queued.id}
    assert await listed(status=ASKING) == set()


async def test_a_task_is_cancelled_once(planner: Peer, gate: Gate, path: Path) -> None:
    task_id = await working(planner, gate)

    assert (await planner.client.cancel_task(CancelTaskRequest(id=task_id))).status.state == CANCELED
    with pytest.raises(TaskNotCancelableError):
        await planner.client.cancel_task(CancelTaskRequest(id=task_id))
    with Log.open(path, readonly=True) as log:
        assert [row.termination and row.termination.type for row in log.runs()] == ["cancelled"]


async def test_a_task_in_a_context_where_one_goes_on_waits_for_its_turn(planner: Peer, gate: Gate) -> None:
    await working(planner, gate, "first", id="m1", context="c1")
    first = await gate.asked()
    second = await planner.send(message("second", id="m2", context="c1"), wait=False)
    assert (second.status.state, get_message_text(second.history[0])) == (SUBMITTED, "second")
    await first.end("one")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answered, gate, "two")
        # The same message again: to wait for its end.
        task = await planner.send(message("second", id="m2", context="c1"))
    assert (task.id, task.status.state, output(task)) == (second.id, COMPLETED, "two")


@pytest.mark.long
async def test_a_task_is_cancelled_before_its_turn_comes(server: Served, planner: Peer, gate: Gate) -> None:
    await working(planner, gate, "first", id="m1", context="c1")
    queued = await planner.send(message("second", id="m2", context="c1"), wait=False)
    async with peer(server.urls["planner"], streaming=True) as client:
        subscription = client.client.subscribe(SubscribeToTaskRequest(id=queued.id))
        await until(subscription, lambda event: event.HasField("task"))
        cancelled = await planner.client.cancel_task(CancelTaskRequest(id=queued.id))
        (last,) = [event async for event in subscription]

    assert cancelled.status.state == last.status_update.status.state == CANCELED
    with pytest.raises(TaskNotCancelableError):
        await planner.client.cancel_task(CancelTaskRequest(id=queued.id))


async def test_what_is_said_to_a_task_that_works_reaches_the_agent_once(planner: Peer, gate: Gate) -> None:
    task_id = await working(planner, gate)
    asked = await gate.asked()
    for _ in range(2):
        await planner.send(message("in spring", id="m2", task=task_id), wait=False)
    await asked.end("Kyoto.")

    again = await gate.asked()
    assert [said for role, said in again.messages if role == "user"] == ["go", "in spring"]
    await again.end("Kyoto in spring.")


@pytest.mark.long
async def test_what_is_said_to_a_task_that_waits_for_its_turn_is_heard_in_it(
    planner: Peer, gate: Gate
) -> None:
    await working(planner, gate, "first", id="m1", context="c1")
    first = await gate.asked()
    queued = await planner.send(message("second", id="m2", context="c1"), wait=False)
    await planner.send(message("in spring", id="m3", task=queued.id), wait=False)
    await first.end("one")

    assert [said for role, said in (await gate.asked()).messages if role == "user"][-2:] == [
        "second",
        "in spring",
    ]


@pytest.mark.long
async def test_another_agents_task_is_not_found(server: Served, planner: Peer, gate: Gate) -> None:
    task_id = await working(planner, gate)
    async with peer(server.urls["payer"], streaming=True) as payer:
        with pytest.raises(TaskNotFoundError):
            await payer.client.get_task(GetTaskRequest(id=task_id))
        with pytest.raises(TaskNotFoundError):
            await payer.client.cancel_task(CancelTaskRequest(id=task_id))
        with pytest.raises(TaskNotFoundError):
            await anext(payer.client.subscribe(SubscribeToTaskRequest(id=task_id)))
        assert not (await payer.client.list_tasks(ListTasksRequest())).tasks


@pytest.mark.long
async def test_what_is_over_takes_no_message_and_tells_nothing_more(server: Served, planner: Peer) -> None:
    async with peer(server.urls["failing"], streaming=True) as client:
        stream = client.client.send_message(SendMessageRequest(message=message()))
        (first, *_) = [event async for event in stream]
        task_id = first.task.id
        with pytest.raises(UnsupportedOperationError):
            await anext(client.client.subscribe(SubscribeToTaskRequest(id=task_id)))
        with pytest.raises(UnsupportedOperationError):
            await anext(
                client.client.send_message(SendMessageRequest(message=message(id="m2", task=task_id)))
            )


async def test_requests_that_make_no_sense_are_refused(planner: Peer, path: Path) -> None:
    with pytest.raises(TaskNotFoundError):
        await planner.client.get_task(GetTaskRequest(id="missing"))
    with pytest.raises(TaskNotFoundError):
        await planner.send(message(task="missing"))
    for wrong in (message(" "), message(context="control/x"), message(id="")):
        with pytest.raises(InvalidParamsError):
            await planner.send(wrong)
    for listing in (ListTasksRequest(page_token="?"), ListTasksRequest(page_size=0)):
        with pytest.raises(InvalidParamsError):
            await planner.client.list_tasks(listing)

    with Log.open(path, readonly=True) as log:
        assert log.position() == 0


async def test_what_is_not_offered_is_refused_as_such(planner: Peer) -> None:
    config = TaskPushNotificationConfig(task_id="t", url="http://localhost")
    request = GetTaskPushNotificationConfigRequest(task_id="t", id="c")
    with pytest.raises(PushNotificationNotSupportedError):
        await planner.client.create_task_push_notification_config(config)
    with pytest.raises(PushNotificationNotSupportedError):
        await planner.client.get_task_push_notification_config(request)
    card = await planner.client.get_extended_agent_card(GetExtendedAgentCardRequest())
    assert not card.capabilities.extended_agent_card
