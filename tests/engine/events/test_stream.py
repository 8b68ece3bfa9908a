"""The buffer that a run's listeners share: everybody gets every fact once and in order, however slowly."""

import math
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from hypothesis import given
from hypothesis import strategies as st

from support.logs import changeset, fresh_log
from threadlog.engine.events import Broadcast, Cursor, Subscription
from threadlog.engine.events.durable import Past, durable_events
from threadlog.engine.events.event import (
    AssistantTurn,
    AttemptFailed,
    Event,
    Lagged,
    RunStarted,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from threadlog.store import Log, Message
from threadlog.store.changeset import RunStatus, Termination, ToolOutcome
from threadlog.store.history import Entry

pytestmark = pytest.mark.anyio

DONE = RunStatus(status="done", termination=Termination(type="natural_end"))

KINDS: dict[str, dict[str, Any]] = {
    "another run": {"run_id": "r2", "reason": "run_started"},
    "an edit": {},
    "no fact": {"run_id": "r1"},
    "a turn": {"run_id": "r1", "messages": (Message(id="m", role="assistant"),)},
    "outcomes": {
        "run_id": "r1",
        "tool_calls": tuple(ToolOutcome(call_id=f"c{n}", name="add", outcome="succeeded") for n in range(3)),
    },
}


class Listener:
    """Listens from a cursor on, as long as it is given time to."""

    def __init__(self, live: Broadcast, after: Cursor) -> None:
        self.after = after
        self.heard: list[Event] = []
        self._events = Subscription(live, after)
        self._time: float = 0
        self._given = anyio.Event()

    def give(self, time: float) -> None:
        """Time for so many events."""
        self._time += time
        self._given.set()
        self._given = anyio.Event()

    async def listen(self) -> None:
        async for event in self._events:
            self.heard.append(event)
            while len(self.heard) > self._time:
                await self._given.wait()

    def facts(self) -> list[Event]:
        return [event for event in self.heard if event.cursor]


class Stream:
    """A run whose changesets are committed, and told some time later."""

    def __init__(self, log: Log, tasks: TaskGroup) -> None:
        self.log = log
        self.listeners: list[Listener] = []
        self._tasks = tasks
        self._committed: list[Entry] = []
        self._told = 0
        self._turns = 0
        self._words = 0

    def begin(self, size: int) -> None:
        """From here on the run is published."""
        self._told = len(self._committed)
        self.live = Broadcast(Past(self.log, "r1", "t1", Cursor.before(1)), self._told, size)

    def commit(self, kind: str, **fields: Any) -> None:
        version = len(self._committed)
        self.log.append(changeset(f"c{version}", **{**KINDS.get(kind, {}), **fields}), version)
        self._committed += self.log.entries(version)

    def tell(self) -> None:
        """Tell the facts of the next changeset, if it is in the log."""
        for told in self._committed[self._told :][:1]:
            self._told += 1
            found = durable_events(told) if told.changeset.run_id == "r1" else []
            if self._words and found and not isinstance(found[0], AssistantTurn):
                # Nothing else is published while an answer is being written.
                self.live.publish([AttemptFailed("m", "no")])
            for fact in found:
                self._turns, self._words = self._turns + 1, 0
                self.live.publish([fact])

    def say(self) -> None:
        """A piece of an answer whose text says which it is and how far it is."""
        self.live.publish([TextDelta(f"{self._turns}.{self._words} ")])
        self._words += 1

    def listen(self, after: Cursor) -> None:
        self.listeners.append(Listener(self.live, after))
        self._tasks.start_soon(self.listeners[-1].listen)

    async def end(self) -> None:
        self.commit("the end", run_id="r1", reason="run_finished", run=DONE)
        while self._told < len(self._committed):
            self.tell()
        for listener in self.listeners:
            listener.give(math.inf)


def assert_heard_all(log: Log, listener: Listener) -> None:
    told = [
        each for entry in log.entries() if entry.changeset.run_id == "r1" for each in durable_events(entry)
    ]
    assert listener.facts() == [fact for fact in told if fact.cursor > listener.after]


def assert_text_is_an_answers(listener: Listener) -> None:
    """Between two turns, and from a marker on, what is heard is an answer from its beginning."""
    text = ""
    for event in listener.heard:
        match event:
            case TextDelta(more):
                text += more
            case AssistantTurn() | AttemptFailed() | Lagged():
                text = ""
        words = text.split()
        assert words == [f"{words[0].split('.')[0]}.{n}" for n in range(len(words))]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.sampled_from(sorted(KINDS))),
        st.tuples(st.sampled_from(["tell", "tell", "say", "say", "pass"]), st.none()),
        st.tuples(st.just("listen"), st.builds(Cursor, st.integers(0, 12), st.integers(-1, 3))),
        st.tuples(st.just("give"), st.tuples(st.integers(0, 5), st.integers(1, 4))),
    ),
    max_size=40,
)


async def happened(before: list[str], size: int, steps: list[tuple[str, Any]]) -> None:
    with fresh_log() as log:
        async with anyio.create_task_group() as tasks:
            stream = Stream(log, tasks)
            for kind in before:
                stream.commit(kind)
            stream.begin(size)
            for step, what in steps:
                match step:
                    case "commit":
                        stream.commit(what)
                    case "tell":
                        stream.tell()
                    case "say":
                        stream.say()
                    case "pass":
                        stream.live.publish([ToolCallStarted("c1", "add")])
                    case "listen":
                        stream.listen(what)
                    case "give" if what[0] < len(stream.listeners):
                        stream.listeners[what[0]].give(what[1])
                await anyio.wait_all_tasks_blocked()
            await stream.end()
        for listener in stream.listeners:
            assert_heard_all(log, listener)
            assert_text_is_an_answers(listener)


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=4), st.integers(1, 6), steps)
def test_every_subscriber_gets_each_durable_event_once_and_in_order(
    before: list[str], size: int, steps: list[tuple[str, Any]]
) -> None:
    """received == durable events of the log after the cursor, for slow, late and returning subscribers"""
    anyio.run(happened, before, size, steps)


def live(log: Log, size: int = 4) -> Broadcast:
    return Broadcast(Past(log, "r1", "t1", Cursor.before(1)), 0, size)


def started(log: Log, told: Broadcast) -> RunStarted:
    log.append(changeset("c0", run_id="r1", reason="run_started"), 0)
    fact = RunStarted("r1", "t1", Cursor(1, 0))
    told.publish([fact])
    return fact


async def heard(events: Subscription, live: Broadcast) -> list[Event]:
    """All that is there, and then the end."""
    live.finish()
    return [event async for event in events]


async def test_a_slow_subscriber_gets_joined_deltas(log: Log) -> None:
    told = live(log, size=9)
    events = Subscription(told, Cursor.after(0))
    fact = started(log, told)
    passing: list[Event] = [TextDelta("one "), TextDelta("two "), ToolCallDelta("add", "{")]
    passing += [ToolCallDelta("add", "}"), ToolCallDelta("fail", "{}"), AttemptFailed("m", "no")]
    for event in [*passing, TextDelta("three")]:
        told.publish([event])

    assert await heard(events, told) == [
        fact,
        TextDelta("one two "),
        ToolCallDelta("add", "{}"),
        ToolCallDelta("fail", "{}"),
        AttemptFailed("m", "no"),
        TextDelta("three"),
    ]


async def test_a_subscriber_that_falls_out_of_the_buffer_gets_lagged(log: Log) -> None:
    told = live(log)
    events = Subscription(told, Cursor.after(0))
    fact = started(log, told)
    assert await anext(events) == fact
    for n in range(9):
        told.publish([TextDelta(f"{n}")])

    assert await heard(events, told) == [Lagged(), TextDelta("012345678")]


async def test_a_late_subscriber_gets_the_text_of_the_unfinished_answer(log: Log) -> None:
    told = live(log)
    fact = started(log, told)
    told.publish([TextDelta("lost")])
    told.publish([AttemptFailed("m", "no")])
    for n in range(9):
        told.publish([TextDelta(f"{n}")])

    assert await heard(Subscription(told, Cursor.after(0)), told) == [fact, TextDelta("012345678")]


async def test_subscribers_share_one_bounded_buffer(log: Log) -> None:
    told = live(log, size=100)
    fact = started(log, told)
    events = [Subscription(told, Cursor.after(0)) for _ in range(10)]
    assert [await anext(one) for one in events] == [fact] * 10
    for n in range(1000):
        told.publish([ToolCallStarted(f"c{n}", "add")])

    assert (told.first, told.end) == (901, 1001)


async def test_a_failure_is_raised_after_all_published_events(log: Log) -> None:
    told = live(log)
    events = Subscription(told, Cursor.after(0))
    started(log, told)
    told.finish(ValueError("no luck"))

    assert isinstance(await anext(events), RunStarted)
    with pytest.raises(ValueError, match="no luck"):
        await anext(events)
