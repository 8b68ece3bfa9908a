from pathlib import Path

import anyio
import pytest

from support.agents import scripted_agent
from support.behaviors import act_in
from support.effects import CountingEffects
from support.log_reads import read_history
from support.runtimes import open_runtime, run_agent
from support.tools import ADD_AND_FAIL
from threadlog.engine import ModelRequest, ToolCall, Turn
from threadlog.engine.agents.registry import Registry
from threadlog.reducers import replay
from threadlog.store import Log, ThreadMetadata
from threadlog.store.changeset import Inference, RunStatus, Termination, ToolOutcome, Usage

pytestmark = pytest.mark.anyio


async def test_the_commits_of_a_run(path: Path) -> None:
    await run_agent(path, scripted_agent(ADD_AND_FAIL, "hello"))

    assert [changeset.reason for changeset in read_history(path)] == [
        "run_started",
        "assistant_turn",
        "tool_results",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]


async def test_the_run_is_running_from_its_first_commit_and_done_with_its_last(path: Path) -> None:
    result = await run_agent(path, scripted_agent("hello"))

    first, *between, last = read_history(path)
    done = RunStatus(status="done", termination=Termination(type="natural_end"), output="hello")
    assert (first.run, [one.run for one in between], last.run) == (RunStatus(status="running"), [None], done)
    assert replay([first]).state["__run"] == {
        "id": result.run_id,
        "status": "running",
        "done_reason": None,
        "control": 0,
    }
    assert replay(read_history(path)).state["__run"] == {
        "id": result.run_id,
        "status": "done",
        "done_reason": "natural",
        "control": 0,
    }


async def test_an_answer_without_text_is_a_turn_and_no_output(path: Path) -> None:
    result = await run_agent(path, scripted_agent(""))

    assert (result.termination.type, result.output) == ("natural_end", None)
    assert [(one.role, one.content) for one in replay(read_history(path)).messages] == [
        ("user", "go"),
        ("assistant", ""),
    ]


async def test_a_commit_has_something_to_keep(path: Path) -> None:
    """So the first is that of the start and its prompt, and there is none for nothing. There is no run
    without a log either: what is not kept could not be replayed."""
    await run_agent(path, scripted_agent(ADD_AND_FAIL, "hello", behaviors=[act_in("step_start")]))

    assert all(one.messages or one.actions for one in read_history(path))
    assert [message.role for message in read_history(path)[0].messages] == ["user"]


async def test_every_changeset_of_a_run_says_that_it_is(path: Path) -> None:
    result = await run_agent(path, scripted_agent(ADD_AND_FAIL, "hello"))

    assert {(one.thread_id, one.run_id, one.epoch) for one in read_history(path)} == {
        ("t1", result.run_id, 1)
    }
    with Log.open(path, readonly=True) as log:
        assert list(log.read_run(result.run_id)) == read_history(path)
        assert [row.agent for row in log.runs()] == ["planner"]


async def test_the_first_commit_says_who_runs_what_for_whom(path: Path) -> None:
    planner, facts = (
        scripted_agent(ADD_AND_FAIL, "hello"),
        ThreadMetadata(owner="me", labels={"trip": "Kyoto"}),
    )
    async with open_runtime(path, planner, effects=CountingEffects()) as runtime:
        await (await runtime.start("planner", "go", thread="t1", metadata=facts)).result()

    first, *others = read_history(path)
    assert first.executor is not None
    assert first.executor.id == "id1"
    registry = Registry([planner]).fingerprint
    in_force = planner.snapshot().model_copy(update={"registry": registry})
    assert (first.agent, first.thread) == (in_force, facts)
    assert [(one.executor, one.agent, one.thread) for one in others] == [(None, None, None)] * 5


async def test_the_result_says_how_it_ended(path: Path) -> None:
    usage = Usage(input_tokens=10, output_tokens=2, cache_read_tokens=4)
    turns = [Turn(tool_calls=ADD_AND_FAIL[:1], usage=usage), Turn(text="hello", usage=usage)]

    result = await run_agent(path, scripted_agent(*turns))

    assert (result.thread_id, result.status, result.output, result.version) == ("t1", "done", "hello", 5)
    assert result.termination == Termination(type="natural_end")
    assert result.usage == Usage(input_tokens=20, output_tokens=4, cache_read_tokens=8)
    last = read_history(path)[-1].run
    assert last is not None
    assert last.usage == result.usage


async def test_the_log_says_what_the_models_and_tools_did(path: Path) -> None:
    usage = Usage(input_tokens=10)
    await run_agent(
        path, scripted_agent(Turn(tool_calls=ADD_AND_FAIL, usage=usage)), effects=CountingEffects()
    )

    turn, first, second = read_history(path)[1:4]
    assert turn.inference is not None
    assert len(turn.inference.request_digest) == 64
    assert turn.inference.model_copy(update={"request_digest": ""}) == Inference(
        model="scripted", usage=usage, finish_reason="tool_calls", latency=1
    )
    assert (*first.tool_calls, *second.tool_calls) == (
        ToolOutcome(call_id="c1", name="add", outcome="succeeded", result=3, duration=1),
        ToolOutcome(
            call_id="c2",
            name="fail",
            outcome="failed",
            result={"error": "Execution failed: no luck"},
            duration=1,
        ),
    )


async def test_the_state_has_a_record_of_every_call(path: Path) -> None:
    await run_agent(path, scripted_agent(ADD_AND_FAIL, "hello"))

    scope = replay(read_history(path)).state["__tool_call_scope"]
    assert {id: record["tool_call_state"]["status"] for id, record in scope.items()} == {
        "c1": "succeeded",
        "c2": "failed",
    }
    assert replay(read_history(path)[:2]).state["__tool_call_scope"]["c2"]["tool_call_state"] == {
        "call_id": "c2",
        "name": "fail",
        "arguments": {},
        "status": "new",
        "suspension": None,
        "decision": None,
    }


async def test_a_run_without_a_thread_gets_one_of_its_own(path: Path) -> None:
    async with open_runtime(path, scripted_agent("hello"), effects=CountingEffects()) as runtime:
        started = await runtime.start("planner", "go")
        await started.result()

        assert started.thread_id == "id2"
        assert runtime.state("id2")["__run"]["status"] == "done"
        assert [message.content for message in runtime.messages("id2")] == ["go", "hello"]
        assert runtime.messages("missing's") == ()


async def test_runs_on_different_threads_go_on_together(path: Path) -> None:
    meeting = [anyio.Event(), anyio.Event()]

    async def meet(me: int) -> str:
        meeting[me].set()
        await meeting[1 - me].wait()
        return "met"

    def call(request: ModelRequest) -> ToolCall:
        return ToolCall("meet", {"me": int(request.messages[-1].content)})

    async with open_runtime(path, scripted_agent(call, call, tools=[meet])) as runtime:
        runs = [await runtime.start("planner", str(me), thread=f"t{me}") for me in (0, 1)]
        results = [await one.result() for one in runs]

    assert [result.termination.type for result in results] == ["natural_end"] * 2
