"""What a runtime does with its runs when it is left, and which runs it refuses to start."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from support.agents import hanging_agent, scripted_agent
from support.behaviors import act_in
from support.checks import assert_ended, assert_sound
from support.log_reads import read_history, read_reasons, read_state
from support.runtimes import open_runtime
from threadlog.engine import Runtime, ToolCall
from threadlog.reducers import Set, replay
from threadlog.store import Message
from threadlog.store.changeset import Interruption, Termination
from threadlog.store.errors import DefinitionError, LogUnavailable, RunError, ThreadAlreadyRunning

pytestmark = pytest.mark.anyio


async def test_a_run_that_goes_on_is_cancelled_when_the_runtime_is_left(path: Path) -> None:
    planner, started = hanging_agent(behaviors=[act_in("run_end", Set("/end", 1))])
    async with open_runtime(path, planner) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()

    assert_ended(
        path, await going.result(), Termination(type="cancelled", interrupted=Interruption(kind="tools"))
    )
    assert read_state(path) == {"end": 1}
    call = replay(read_history(path)).state["__tool_call_scope"]["c1"]["tool_call_state"]
    assert call["status"] == "cancelled"


async def test_a_runtime_that_is_itself_cancelled_cancels_its_runs(path: Path) -> None:
    planner, started = hanging_agent()
    with anyio.CancelScope() as scope:
        async with open_runtime(path, planner) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await started.wait()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert read_reasons(path)[-1] == "run_finished"
    assert_sound(path)


async def test_an_error_in_the_block_of_a_runtime_comes_out_as_itself(path: Path) -> None:
    planner, started = hanging_agent()

    async def block() -> None:
        async with open_runtime(path, planner) as runtime:
            await runtime.start("planner", "go", thread="t1")
            await started.wait()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await block()

    assert read_reasons(path)[-1] == "run_finished"
    assert_sound(path)


def test_an_error_in_the_block_of_a_script_comes_out_as_itself(path: Path) -> None:
    def block() -> None:
        with Runtime.open(path, agents=[scripted_agent("hello")], durability="normal") as runtime:
            runtime.run_sync("planner", "go", thread="t1")
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()

    assert_sound(path)


async def test_a_second_run_on_a_busy_thread_is_refused_and_writes_nothing(path: Path) -> None:
    planner, started = hanging_agent()
    async with open_runtime(path, planner) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        await started.wait()

        with pytest.raises(
            RunError, match=f"run '{going.run_id}' is running on thread 't1': wait for its end"
        ):
            await runtime.start("planner", "again", thread="t1")

        assert runtime.log.position() == 2


async def test_a_thread_is_free_when_its_run_has_ended(path: Path) -> None:
    async with open_runtime(path, scripted_agent("one", "two")) as runtime:
        first = await (await runtime.start("planner", "go", thread="t1")).result()
        second = await (await runtime.start("planner", "go", thread="t1")).result()

    assert (first.output, second.output, second.version) == ("one", "two", 6)


async def test_an_agent_that_is_not_there_is_refused_and_nothing_is_written(path: Path) -> None:
    async with open_runtime(path, scripted_agent("hello"), scripted_agent("hi", name="writer")) as runtime:
        with pytest.raises(
            RunError, match=r"there is no agent 'reader' here; there are \['planner', 'writer'\]"
        ):
            await runtime.start("reader", "go", thread="t1")

        assert runtime.log.position() == 0


def test_a_script_is_told_of_refusals_too(path: Path) -> None:
    with (
        Runtime.open(path, agents=[scripted_agent("hello")], durability="normal") as runtime,
        pytest.raises(RunError, match="there is no agent 'reader'"),
    ):
        runtime.run_sync("reader", "go")


def test_two_agents_of_one_name_are_refused_and_the_file_is_closed(path: Path) -> None:
    with pytest.raises(DefinitionError, match="two agents have the same name"):
        Runtime.open(path, agents=[scripted_agent("a"), scripted_agent("b")])


async def test_a_failed_run_leaves_others_alone(path: Path) -> None:
    meeting = anyio.Event()

    async def meet() -> str:
        await meeting.wait()
        return "met"

    good, bad = scripted_agent(ToolCall("meet"), tools=[meet]), scripted_agent(ValueError("no"), name="bad")
    async with open_runtime(path, good, bad) as runtime:
        going = await runtime.start("planner", "go", thread="t1")
        failed = await (await runtime.start("bad", [Message(id="m", role="user")], thread="t2")).result()
        meeting.set()
        result = await going.result()

    assert (failed.termination.type, result.output) == ("error", "done")


async def test_of_many_that_start_at_the_same_moment_one_does(path: Path) -> None:
    """In two runtimes, as in two processes: one run is active, and the other starts are refused."""
    ready = anyio.Event()
    outcomes: list[str] = []

    async def hold() -> None:
        await ready.wait()

    planner = scripted_agent(*[ToolCall("hold"), "done"] * 6, tools=[hold])

    async def start(runtime: Runtime) -> None:
        try:
            run = await runtime.start("planner", "go", thread="t1")
            outcomes.append("started")
            ready.set()
            await run.result()
        except ThreadAlreadyRunning as err:
            outcomes.append(err.status)
            if len(outcomes) == 5:
                ready.set()

    async with (
        open_runtime(path, planner) as one,
        open_runtime(path, planner) as other,
        anyio.create_task_group() as tasks,
    ):
        for runtime in (one, other, one, other, one):
            tasks.start_soon(start, runtime)

    assert outcomes.count("started") >= 1
    own = read_reasons(path)
    starts = [place for place, reason in enumerate(own) if reason == "run_started"]
    assert all(own[place - 1] == "run_finished" for place in starts[1:])


CALLS: dict[str, Callable[[Runtime], Awaitable[object]]] = {
    "start": lambda runtime: runtime.start("planner", "go"),
    "resume": lambda runtime: runtime.resume("r1"),
    "decide": lambda runtime: runtime.decide("r1", []),
    "steer": lambda runtime: runtime.steer("r1", "go on"),
    "cancel": lambda runtime: runtime.cancel("r1"),
    "cancel_and_wait": lambda runtime: runtime.cancel("r1", wait=True),
    "stop": lambda runtime: runtime.cancel("r1", wait=True),
    "recover": lambda runtime: runtime.recover(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_runtime_that_is_not_entered_says_so(
    path: Path, call: Callable[[Runtime], Awaitable[object]]
) -> None:
    runtime = Runtime.open(path, agents=[scripted_agent("done")])

    with pytest.raises(RunError, match="not open"):
        await call(runtime)

    assert runtime.active_runs() == []
    runtime.log.close()


def test_a_script_that_has_not_entered_its_runtime_is_told_so(path: Path) -> None:
    runtime = Runtime.open(path, agents=[scripted_agent("done")])
    with pytest.raises(RunError, match="not open"):
        runtime.run_sync("planner", "go")
    runtime.log.close()


async def test_a_runtime_is_entered_once(path: Path) -> None:
    runtime = Runtime.open(path, agents=[scripted_agent("done")])
    async with runtime:
        with pytest.raises(RunError, match="already open"):
            await runtime.__aenter__()
        assert (await (await runtime.start("planner", "go")).result()).output == "done"

    with pytest.raises(LogUnavailable, match="closed"):
        await runtime.__aenter__()


async def test_agents_are_replaced_and_events_followed_only_in_an_open_runtime(path: Path) -> None:
    runtime = Runtime.open(path, agents=[scripted_agent("done")])
    for call in (runtime.get_run, runtime.subscribe):
        with pytest.raises(RunError, match="not open"):
            call("r1")
    with pytest.raises(RunError, match="not open"):
        await runtime.replace([scripted_agent("other")])
    runtime.log.close()
