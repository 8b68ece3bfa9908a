"""What runs are tried with: agents, behaviors, effects, tools; and what must hold of a log after them."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from pydantic import BaseModel

from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    Effects,
    ModelRequest,
    Runtime,
    ScriptedModel,
    State,
    SystemEffects,
    ToolCall,
    ToolResult,
    tool,
)
from threadlog.engine.agents.actions import PhaseAction
from threadlog.engine.agents.behavior import PhaseActions, PhaseResult
from threadlog.engine.events.event import RunResult
from threadlog.engine.models.scripted import Answer, Script
from threadlog.reducers import Action, Reducer, Reducers, Set, StateAction, check_reducers, reducer, replay
from threadlog.reducers.phase import Phase
from threadlog.reducers.tool_call import calls
from threadlog.store import Changeset, Log
from threadlog.store.changeset import Termination
from threadlog.store.document import same


class CountedEffects(SystemEffects):
    """A clock that goes on one microsecond with every look, counted ids, and sleep that takes no time."""

    def __init__(self, jitter: Callable[[float, float], float] = lambda seconds, part: seconds) -> None:
        self._jitter = jitter
        self.slept: list[float] = []
        """The seconds of every sleep."""
        self._times = count(1_700_000_000_000_000)
        self._ids = count(1)

    def now(self) -> int:
        return next(self._times)

    def clock(self) -> Callable[[], int]:
        return self.now

    def stopwatch(self) -> Callable[[], int]:
        return lambda: 1

    def new_id(self) -> str:
        return f"id{next(self._ids)}"

    def jitter(self, seconds: float, part: float) -> float:
        return self._jitter(seconds, part)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()


class Asking(Behavior):
    """Asks in every phase for what a function makes of the context."""

    def __init__(self, ask: Callable[[Context], PhaseActions], name: str = "asking") -> None:
        self._ask = ask
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def run_start(self, context: Context) -> PhaseResult:
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


PHASES = [phase.value for phase in Phase]

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("fail", {}, "c2")]


def assert_ended(path: Path, result: RunResult, termination: Termination) -> None:
    """The result, the log and the state say the same of how the run ended."""
    last = history(path)[-1]
    assert result.termination == termination
    assert last.run is not None
    assert (last.reason, last.run.status, last.run.termination) == ("run_finished", "done", termination)
    assert replay(history(path)).state["__run"]["status"] == "done"


async def waiting(path: Path, *, behaviors: Any = ()) -> tuple[Agent, anyio.Event]:
    """An agent whose tool waits for ever, and an event that says that it does."""
    started = anyio.Event()

    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    return agent(ToolCall("wait", id="c1"), tools=[wait], behaviors=behaviors), started


def before(*actions: PhaseAction, name: str = "before") -> Asking:
    return wanting("before_inference", *actions, name=name)
