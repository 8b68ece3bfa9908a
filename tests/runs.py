"""What runs are tried with: agents, behaviors, effects, tools; and what must hold of a log after them."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from hypothesis import strategies as st
from pydantic import BaseModel
from strategies import json, keys, places

from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    Effects,
    ModelRequest,
    Runtime,
    ScriptedModel,
    State,
    ToolResult,
    tool,
)
from threadlog.engine.agents.behavior import Wanted
from threadlog.engine.events.event import RunResult
from threadlog.engine.models.scripted import Answer, Script
from threadlog.reducers import (
    Action,
    Append,
    Decrement,
    Delete,
    Increment,
    Insert,
    Merge,
    Reducer,
    Reducers,
    Remove,
    Set,
    StateAction,
    check_reducers,
    reducer,
    replay,
)
from threadlog.reducers.phase import Phase
from threadlog.reducers.tool_call import calls
from threadlog.store import Changeset, Log
from threadlog.store.changeset import Scope
from threadlog.store.codec import decode, encode
from threadlog.store.document import same
from threadlog.store.errors import ActionError
from threadlog.store.patch import MISSING, find


class CountedEffects(Effects):
    """A clock that goes on one microsecond with every look, counted ids, and sleep that takes no time."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        """The seconds of every sleep."""
        self._times = count(1_700_000_000_000_000)
        self._ids = count(1)

    def now(self) -> int:
        return next(self._times)

    def clock(self) -> Callable[[], int]:
        return self.now

    def mark(self, what: str) -> int:
        return 0

    def since(self, what: str, mark: int) -> int:
        return 1

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def jittered(self, seconds: float, part: float) -> float:
        return seconds

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


class Asking(Behavior):
    """Asks in every phase for what a function makes of the context."""

    def __init__(self, ask: Callable[[Context], Wanted], name: str = "asking") -> None:
        self._ask = ask
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def run_start(self, context: Context) -> Wanted:
        return self._ask(context)

    step_start = before_inference = after_inference = step_end = run_start
    before_tool_execute = after_tool_execute = run_end = run_start


def asking(phase: str, *actions: StateAction, name: str = "asking") -> Asking:
    """Asks for the actions in one phase."""
    return Asking(lambda context: map(State, actions) if context.phase == phase else None, name)


def wanting(phase: str, *actions: Any, name: str = "wanting") -> Asking:
    """Asks for actions of any kind in one phase."""
    return Asking(lambda context: actions if context.phase == phase else None, name)


def failing(phase: str, name: str = "failing") -> Asking:
    """Fails in one phase, after it has asked for an action."""

    def fail(context: Context) -> Iterator[State]:
        if context.phase == phase:
            yield State(Set("/failing", True))
            raise ValueError("no luck")

    return Asking(fail, name)


class Budget(BaseModel):
    """A slice."""

    spent: int = 0
    items: list[str] = []


class Spend(Action):
    """An action on it."""

    amount: int
    item: str = "something"


@reducer("/budget")
def budget(slice: Budget, action: Spend) -> Budget:
    if action.amount < 0:
        raise ValueError("money does not come back")
    slice.items.append(action.item)
    return slice.model_copy(update={"spent": slice.spent + action.amount})


class Count(Action):
    """An action without a field."""


class Counter(BaseModel):
    n: int = 0


@reducer("/counter", scope="run", name="run counter")
def counter(slice: Counter, action: Count) -> Counter:
    return Counter(n=slice.n + 1)


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fail(text: str = "no luck") -> str:
    """Fail."""
    raise ValueError(text)


@tool
def spend(amount: int) -> ToolResult:
    """Spend money."""
    return ToolResult(f"spent {amount}", [Spend(amount=amount), Set("/note", "spent", scope="tool_call")])


@tool(needs_approval=True)
def erase(amount: int = 0) -> str:
    """Erase."""
    return "erased"


TOOLS = (add, fail, spend)
REDUCERS: Sequence[Reducer] = (budget, counter)


def agent(*turns: Any, **fields: Any) -> Agent:
    """A planner with these tools and reducers, whose model answers with the turns."""
    given = {"name": "planner", "model": ScriptedModel(*turns), "tools": TOOLS, "reducers": REDUCERS}
    return Agent(**{**given, **fields})


def hearing(requests: list[ModelRequest], turn: Script) -> Callable[[ModelRequest], Answer]:
    """A turn that notes the request it answers."""

    def answer(request: ModelRequest) -> Answer:
        requests.append(request)
        return turn(request) if callable(turn) else turn

    return answer


def said(request: ModelRequest) -> list[tuple[str, str]]:
    """The messages of a request: who speaks, and what."""
    return [(message.role, message.content) for message in request.messages]


def told(path: Path) -> list[str]:
    """What the model was told of its calls, in the order of the log."""
    return [message.content for message in replay(history(path)).messages if message.role == "tool"]


def statuses(path: Path) -> dict[str, str]:
    """Where each call stands."""
    return {call.call_id: call.status for call in calls(replay(history(path)).state)}


def reasons(path: Path) -> list[str]:
    return [changeset.reason for changeset in history(path)]


def assert_sound(path: Path, reducers: Sequence[Reducer] = REDUCERS) -> None:
    """What holds of every log after every run: it is intact, and reduced or replayed again it is the same."""
    with Log.open(path, readonly=True) as log:
        assert log.verify() == []
        for row in log.threads():
            history = list(log.read(row.thread_id))
            assert list(check_reducers(history, Reducers(reducers))) == []
            assert [changeset.version for changeset in history] == list(range(1, row.version + 1))
            assert same(replay(history).state, log.state(row.thread_id))


@asynccontextmanager
async def running(path: Path, *agents: Agent, effects: Effects | None = None) -> AsyncIterator[Runtime]:
    """A runtime; after it, the log is sound."""
    async with Runtime.open(path, agents=agents, durability="normal", effects=effects) as runtime:
        yield runtime
    assert_sound(path, [reducer for agent in agents for reducer in agent.reducers])


async def run(path: Path, agent: Agent, prompt: str = "go", *, effects: Effects | None = None) -> RunResult:
    """One run of the agent on thread t1, to its end."""
    async with running(path, agent, effects=effects) as runtime:
        started = await runtime.start(agent.name, prompt, thread="t1")
        return await started.result()


def history(path: Path, thread: str = "t1") -> list[Changeset]:
    with Log.open(path, readonly=True) as log:
        return list(log.read(thread))


def state(path: Path, thread: str = "t1") -> Any:
    """The state document, without what threadlog keeps in it."""
    with Log.open(path, readonly=True) as log:
        return {key: value for key, value in log.state(thread).items() if not key.startswith("__")}


@contextmanager
def fresh_path() -> Iterator[Path]:
    """A place for a log of its own, for every example of a law."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "log.db"


numbers = st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from([2**63 - 1, -(2**63), 1e308, 0.5, -0.0])
paths = st.lists(keys, max_size=3).map(
    lambda way: "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in way)
)


@st.composite
def generic_actions(draw: st.DrawFn, document: Any, scope: Scope = "thread") -> StateAction:
    """An action that means a place of the document, or one that is not there; it may be refused."""
    there = sorted(path for path, _ in places(document))
    path = draw(st.sampled_from(there) | st.sampled_from(there) | paths)
    found = find(document, path)
    item = st.sampled_from(found) | json if type(found) is list and found else json
    match draw(st.sampled_from([Set, Delete, Append, Insert, Remove, Merge, Increment, Decrement])).__name__:
        case "Delete":
            return Delete(path, scope=scope)
        case "Insert":
            return Insert(path, draw(st.integers(-1, 4)), draw(json), scope=scope)
        case "Remove":
            return Remove(path, draw(item), scope=scope)
        case "Merge":
            return Merge(path, draw(st.dictionaries(keys, json, max_size=3)), scope=scope)
        case "Append":
            return Append(path, draw(json), scope=scope)
        case "Increment":
            return Increment(path, draw(numbers), scope=scope)
        case "Decrement":
            return Decrement(path, draw(numbers), scope=scope)
    value = draw(json | st.just({} if found is MISSING else found))
    return Set(path, value, scope=scope)


user_actions: st.SearchStrategy[StateAction] = st.one_of(
    st.builds(Spend, amount=st.integers(-1, 9), item=st.text(max_size=3)), st.just(Count())
)

CALL = "call.1/~"
"""A call id that would be more than one token if it were not escaped."""

BASES: dict[Scope, str] = {"thread": "", "run": "/__run", "tool_call": "/__tool_call_scope/call.1~1~0"}


@st.composite
def any_actions(draw: st.DrawFn, document: Any) -> StateAction:
    """A generic action in any scope, or one of the user's."""
    if draw(st.integers(0, 2)) == 0:
        return draw(user_actions)
    scope: Scope = draw(st.sampled_from(["thread", "thread", "run", "tool_call"]))
    found = find(document, BASES[scope])
    return draw(generic_actions({} if found is MISSING else found, scope))


@st.composite
def reduced_histories(draw: st.DrawFn, *, longest: int = 6) -> list[Changeset]:
    """Changesets of thread t1 as they come back from the log: their patches are what their actions gave."""
    reducers = Reducers(REDUCERS)
    document: Any = {}
    made: list[Changeset] = []
    for _ in range(draw(st.integers(1, longest))):
        wanted = draw(st.lists(any_actions(document), max_size=4))
        try:
            records = [reducers.record(action, source="test", call_id=CALL) for action in wanted]
            reduction = reducers.reduce(document, records)
        except ActionError:
            continue
        document = reduction.state
        changeset = Changeset(
            id=f"c{len(made)}",
            thread_id="t1",
            reason="edited",
            at=0,
            actions=reduction.actions,
            patches=reduction.patches,
        )
        made.append(decode(encode(changeset), version=len(made) + 1))
    return made


PHASES = [phase.value for phase in Phase]
