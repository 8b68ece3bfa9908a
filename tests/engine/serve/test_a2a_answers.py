"""A task that asks: the questions, and answers to them."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from a2a.helpers import get_data_parts, get_message_text, new_data_part
from a2a.types import (
    InvalidParamsError,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
)

from support.a2a_servers import (
    ASKING,
    COMPLETED,
    SUBMITTED,
    Peer,
    Served,
    answer,
    message,
    output,
    peer,
    serving,
    tickets,
    told,
    until,
)
from support.log_reads import read_commands
from threadlog.reducers.tool_call import calls
from threadlog.store import Log

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers") / "log.db"


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[Served]:
    """One for all: every test has a context of its own."""
    with serving(path) as server:
        yield server


@pytest.fixture
def context(request: pytest.FixtureRequest) -> str:
    return str(request.node.nodeid)


@pytest.fixture
async def payer(server: Served) -> AsyncIterator[Peer]:
    async with peer(server.urls["payer"]) as payer:
        yield payer


@pytest.fixture
async def asking(payer: Peer, context: str) -> Task:
    """A task that asks about one call."""
    task = await payer.send(message("pay it", context=context))
    assert task.status.state == ASKING
    return task


@pytest.fixture
async def asking_twice(payer: Peer, context: str) -> Task:
    """A task that asks about two."""
    return await payer.send(message("pay both", context=context))


async def test_a_task_that_asks_says_what_in_words_and_as_data(asking: Task) -> None:
    (data,) = get_data_parts(asking.status.message.parts)
    (asked,) = data["pending"]

    assert get_message_text(asking.status.message) == f'Call pay? {{"amount": 7}} (ticket {asked["ticket"]})'
    assert {name: asked[name] for name in ("tool", "message", "arguments", "response_schema")} == {
        "tool": "pay",
        "message": "Call pay?",
        "arguments": {"amount": 7},
        "response_schema": None,
    }


async def test_an_approved_call_is_made_and_the_task_goes_on_to_its_end(payer: Peer, asking: Task) -> None:
    task = await payer.send(answer(asking, {"target": tickets(asking)[0], "approved": True}))

    assert (task.id, task.status.state, output(task)) == (asking.id, COMPLETED, "The tool said: paid 7")


async def test_a_denied_call_is_not_made_and_the_model_is_told_why(payer: Peer, asking: Task) -> None:
    denied = {"target": tickets(asking)[0], "approved": False, "reason": "too much"}

    assert "too much" in output(await payer.send(answer(asking, denied)))


@pytest.mark.parametrize(("word", "made"), [("yes", True), (" No ", False)])
async def test_one_question_is_answered_with_yes_or_no(
    payer: Peer, asking: Task, word: str, made: bool
) -> None:
    task = await payer.send(message(word, id="a1", task=asking.id))

    assert (task.status.state, "paid 7" in output(task)) == (COMPLETED, made)


async def test_a_partial_answer_leaves_the_rest_asked(payer: Peer, asking_twice: Task, path: Path) -> None:
    first, second = tickets(asking_twice)
    task = await payer.send(answer(asking_twice, {"target": first, "approved": True}))
    assert (task.status.state, tickets(task)) == (ASKING, [second])

    task = await payer.send(answer(task, {"target": second, "approved": True}, id="a2"))
    assert task.status.state == COMPLETED
    with Log.open(path, readonly=True) as log:
        assert [call.status for call in calls(log.state(task.context_id))] == ["succeeded", "succeeded"]


async def test_several_questions_are_answered_at_once(payer: Peer, asking_twice: Task) -> None:
    decisions = [{"target": ticket, "approved": True} for ticket in tickets(asking_twice)]

    assert output(await payer.send(answer(asking_twice, *decisions))) == "The tool said: paid 7 paid 8"


async def test_an_answer_counts_once_by_its_id(payer: Peer, asking: Task, path: Path) -> None:
    decision = {"target": tickets(asking)[0], "approved": True}
    for _ in range(2):
        task = await payer.send(answer(asking, decision))
        assert task.status.state == COMPLETED

    assert [(entry.kind, entry.by) for entry in read_commands(path, asking.id)] == [("decide", "a2a")]


def parts(*given: Part) -> list[Part]:
    return list(given)


@pytest.mark.parametrize(
    "said",
    [
        parts(Part(text="yes, please")),
        parts(Part(text="")),
        parts(new_data_part({"decisions": []})),
        parts(new_data_part({"decisions": [{"target": "missing", "approved": True}]})),
        parts(new_data_part({"decisions": [{"target": "missing", "approved": "yes"}]})),
        parts(new_data_part({"decisions": [{"target": "x", "approved": True, "why": 1}]})),
        parts(new_data_part([1])),
        parts(new_data_part({"decisions": []}), Part(text="yes")),
    ],
    ids=lambda said: str(said[-1].WhichOneof("content")),
)
async def test_what_is_no_answer_is_refused_and_nothing_is_written(
    payer: Peer, asking: Task, path: Path, said: list[Part]
) -> None:
    wrong = Message(message_id="a1", task_id=asking.id, role=Role.ROLE_USER, parts=said)
    with pytest.raises(InvalidParamsError):
        await payer.send(wrong)

    assert read_commands(path, asking.id) == []


async def test_yes_is_no_answer_to_two_questions(payer: Peer, asking_twice: Task) -> None:
    with pytest.raises(InvalidParamsError, match="waits for decisions about"):
        await payer.send(message("yes", id="a1", task=asking_twice.id))


async def test_another_answer_to_what_was_answered_is_refused(payer: Peer, asking_twice: Task) -> None:
    first, _ = tickets(asking_twice)
    await payer.send(answer(asking_twice, {"target": first, "approved": True}))

    with pytest.raises(InvalidParamsError, match="already decided"):
        await payer.send(answer(asking_twice, {"target": first, "approved": False}, id="a2"))


async def test_an_answer_from_another_context_is_refused(payer: Peer, asking: Task) -> None:
    with pytest.raises(InvalidParamsError, match="does not belong to context"):
        await payer.send(message("yes", id="a1", task=asking.id, context="c9"))


async def test_a_stream_ends_when_the_task_asks_and_begins_again_with_the_answer(
    server: Served, context: str
) -> None:
    async with peer(server.urls["payer"], streaming=True) as client:
        asking = await streamed(client, message("pay it", context=context))
        assert asking.status.state == ASKING
        decided = answer(asking, {"target": tickets(asking)[0], "approved": True})
        assert (await streamed(client, decided)).status.state == COMPLETED


async def streamed(client: Peer, said: Message) -> Task:
    """The task as it was told in a stream, to the stream's end."""
    events = [event async for event in client.client.send_message(SendMessageRequest(message=said))]
    return told(events[0].task, events[1:])


async def test_a_subscription_outlasts_the_questions(server: Served, payer: Peer, asking: Task) -> None:
    async with peer(server.urls["payer"], streaming=True) as client:
        subscription = client.client.subscribe(SubscribeToTaskRequest(id=asking.id))
        await until(subscription, lambda event: event.HasField("task"))
        await payer.send(message("yes", id="a1", task=asking.id))
        events = [event async for event in subscription]

    assert events[-1].status_update.status.state == COMPLETED


async def test_a_message_without_the_task_waits_behind_the_one_that_asks(payer: Peer, context: str) -> None:
    asking = await payer.send(message("pay it", context=context))
    queued = await payer.send(message("pay it", id="m2", context=context), wait=False)
    assert queued.status.state == SUBMITTED

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(payer.send, message("yes", id="a1", task=asking.id))
        again = await payer.send(message("pay it", id="m2", context=context))
    assert (again.id, again.status.state) == (queued.id, ASKING)


async def test_whole_numbers_of_an_answer_stay_whole(payer: Peer, asking: Task, path: Path) -> None:
    """the protocol has one kind of number, and the log two"""
    result: dict[str, Any] = {"amount": 7, "rate": 0.5, "all": [1, {"b": 2}]}
    await payer.send(answer(asking, {"target": tickets(asking)[0], "approved": True, "result": result}))

    (entry,) = read_commands(path, asking.id)
    assert isinstance(entry.content, dict)
    assert repr(entry.content["result"]) == repr({"all": [1, {"b": 2}], "amount": 7, "rate": 0.5})
