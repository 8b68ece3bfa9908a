from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from runs import (
    Asking,
    CountedEffects,
    agent,
    asking,
    assert_sound,
    history,
    run,
    running,
)

from threadlog.engine import Agent, Context, ModelRequest, Runtime, ToolCall, Turn
from threadlog.engine.agents.registry import Registry
from threadlog.engine.events.event import RunResult
from threadlog.reducers import Set, replay
from threadlog.store import Log, Message, ThreadFacts
from threadlog.store.changeset import Inference, RunFacts, Termination, ToolOutcome, Usage
from threadlog.store.codec import encode

pytestmark = pytest.mark.anyio

CALLS = [ToolCall("add", {"a": 1, "b": 2}, "c1"), ToolCall("fail", {}, "c2")]
STEP = ["step_start", "before_inference", "after_inference", "step_end"]


async def contexts(path: Path, *turns: Any, **fields: Any) -> list[Context]:
    """What a behavior is given, in order, when the model answers with these turns."""
    seen: list[Context] = []
    await run(path, agent(*turns, behaviors=[Asking(seen.append)], **fields))
    return seen


async def test_the_phases_of_a_plain_answer(path: Path) -> None:
    seen = await contexts(path, "hello")

    assert [context.phase for context in seen] == ["run_start", *STEP, "run_end"]


ROUNDS = [
    ("sequential", ["before_tool_execute", "after_tool_execute"] * 2),
    ("parallel", ["before_tool_execute"] * 2 + ["after_tool_execute"] * 2),
]


@pytest.mark.parametrize(("execution", "tools"), ROUNDS)
async def test_the_phases_of_two_tool_calls_and_an_answer(
    path: Path, execution: str, tools: list[str]
) -> None:
    seen = await contexts(path, CALLS, "hello", tool_execution=execution)

    assert [context.phase for context in seen] == [
        "run_start",
        *STEP,
        *tools,
        *STEP,
        "run_end",
    ]


async def test_a_context_has_what_its_phase_is_about(path: Path) -> None:
    seen = await contexts(path, CALLS[:1], "hello")

    about = [
        (context.step, bool(context.turn), context.call and context.call.id, bool(context.outcome))
        for context in seen
    ]
    assert about == [
        (0, False, None, False),
        (0, False, None, False),
        (0, False, None, False),
        (0, True, None, False),
        (0, True, None, False),
        (0, False, "c1", False),
        (0, False, "c1", True),
        (1, False, None, False),
        (1, False, None, False),
        (1, True, None, False),
        (1, True, None, False),
        (2, False, None, False),
    ]


async def test_a_message_is_in_the_conversation_from_the_end_of_its_step_on(path: Path) -> None:
    """after_inference sees the answer, but not yet as a message: step_end does"""
    seen = await contexts(path, CALLS[:1], "hello")

    assert [len(context.messages) for context in seen] == [1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4]


async def test_nothing_can_be_changed_through_a_context(path: Path) -> None:
    def spoil(context: Context) -> None:
        for call in (context.call, *(context.turn.tool_calls if context.turn else ())):
            if call and isinstance(call.arguments, dict):
                call.arguments["text"] = "spoilt"
        if context.outcome and isinstance(context.outcome.result, dict):
            context.outcome.result["error"] = "spoilt"
        context.read("/list", []).append("spoilt")

    first = asking("run_start", Set("/list", ["a"]), name="first")
    result = await run(path, agent(ToolCall("fail", {"text": "no luck"}), behaviors=[first, Asking(spoil)]))

    assert result.termination.type == "natural_end"
    assert "spoilt" not in str(history(path))


async def test_a_tool_does_not_change_the_conversation_through_its_arguments(path: Path) -> None:
    def spoil(given: dict[str, Any]) -> None:
        given["list"].append("spoilt")

    result = await run(path, agent(ToolCall("spoil", {"given": {"list": []}}), tools=[spoil]))

    assert result.termination.type == "natural_end"
    assert "spoilt" not in str(history(path))


async def test_the_commits_of_a_run(path: Path) -> None:
    await run(path, agent(CALLS, "hello"))

    assert [changeset.reason for changeset in history(path)] == [
        "run_started",
        "assistant_turn",
        "tool_results",
        "tool_results",
        "assistant_turn",
        "run_finished",
    ]


async def test_the_run_is_running_from_its_first_commit_and_done_with_its_last(path: Path) -> None:
    result = await run(path, agent("hello"))

    first, *between, last = history(path)
    done = RunFacts(status="done", termination=Termination(type="natural_end"), output="hello")
    assert (first.run, [one.run for one in between], last.run) == (RunFacts(status="running"), [None], done)
    assert replay([first]).state["__run"] == {
        "id": result.run_id,
        "status": "running",
        "done_reason": None,
        "control": 0,
    }
    assert replay(history(path)).state["__run"] == {
        "id": result.run_id,
        "status": "done",
        "done_reason": "natural",
        "control": 0,
    }


async def test_an_answer_without_text_is_a_turn_and_no_output(path: Path) -> None:
    result = await run(path, agent(""))

    assert (result.termination.type, result.output) == ("natural_end", None)
    assert [(one.role, one.content) for one in replay(history(path)).messages] == [
        ("user", "go"),
        ("assistant", ""),
    ]


async def test_a_commit_has_something_to_keep(path: Path) -> None:
    """So the first is that of the start and its prompt, and there is none for nothing. There is no run
    without a log either: what is not kept could not be replayed."""
    await run(path, agent(CALLS, "hello", behaviors=[asking("step_start")]))

    assert all(one.messages or one.actions for one in history(path))
    assert [message.role for message in history(path)[0].messages] == ["user"]


async def test_every_changeset_of_a_run_says_that_it_is(path: Path) -> None:
    result = await run(path, agent(CALLS, "hello"))

    assert {(one.thread_id, one.run_id, one.epoch) for one in history(path)} == {("t1", result.run_id, 1)}
    with Log.open(path, readonly=True) as log:
        assert list(log.read_run(result.run_id)) == history(path)
        assert [row.agent for row in log.runs()] == ["planner"]


async def test_the_first_commit_says_who_runs_what_for_whom(path: Path) -> None:
    planner, facts = agent(CALLS, "hello"), ThreadFacts(owner="me", labels={"trip": "Kyoto"})
    async with running(path, planner, effects=CountedEffects()) as runtime:
        await (await runtime.start("planner", "go", thread="t1", facts=facts)).result()

    first, *others = history(path)
    assert first.executor is not None
    assert first.executor.id == "id1"
    registry = Registry([planner]).fingerprint
    in_force = planner.facts().model_copy(update={"registry": registry})
    assert (first.agent, first.thread) == (in_force, facts)
    assert [(one.executor, one.agent, one.thread) for one in others] == [(None, None, None)] * 5


async def test_the_result_says_how_it_ended(path: Path) -> None:
    usage = Usage(input_tokens=10, output_tokens=2, cache_read_tokens=4)
    turns = [Turn(tool_calls=CALLS[:1], usage=usage), Turn(text="hello", usage=usage)]

    result = await run(path, agent(*turns))

    assert (result.thread_id, result.status, result.output, result.version) == ("t1", "done", "hello", 5)
    assert result.termination == Termination(type="natural_end")
    assert result.usage == Usage(input_tokens=20, output_tokens=4, cache_read_tokens=8)
    last = history(path)[-1].run
    assert last is not None
    assert last.usage == result.usage


async def test_the_conversation_of_a_run(path: Path) -> None:
    result = await run(path, agent(Turn(text="I add", tool_calls=CALLS), "hello"), "go on")

    said = [
        (message.role, message.content, message.step, message.tool_call_id)
        for message in replay(history(path)).messages
    ]
    assert said == [
        ("user", "go on", None, None),
        ("assistant", "I add", 0, None),
        ("tool", "3", 0, "c1"),
        ("tool", '{"error":"Execution failed: no luck"}', 0, "c2"),
        ("assistant", "hello", 1, None),
    ]
    assert {message.run_id for message in replay(history(path)).messages} == {result.run_id}
    assert replay(history(path)).messages[1].tool_calls == tuple(CALLS)


async def test_a_text_from_a_tool_is_told_to_the_model_as_it_is(path: Path) -> None:
    def speak() -> str:
        return 'a "text"'

    await run(path, agent(ToolCall("speak"), tools=[speak]))

    assert replay(history(path)).messages[2].content == 'a "text"'


async def test_the_log_says_what_the_models_and_tools_did(path: Path) -> None:
    usage = Usage(input_tokens=10)
    await run(path, agent(Turn(tool_calls=CALLS, usage=usage)), effects=CountedEffects())

    turn, first, second = history(path)[1:4]
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
    await run(path, agent(CALLS, "hello"))

    scope = replay(history(path)).state["__tool_call_scope"]
    assert {id: record["tool_call_state"]["status"] for id, record in scope.items()} == {
        "c1": "succeeded",
        "c2": "failed",
    }
    assert replay(history(path)[:2]).state["__tool_call_scope"]["c2"]["tool_call_state"] == {
        "call_id": "c2",
        "name": "fail",
        "arguments": {},
        "status": "new",
        "suspension": None,
        "decision": None,
    }


async def test_calls_without_an_id_or_with_one_that_is_taken_get_their_own(path: Path) -> None:
    add: dict[str, Any] = {"a": 1, "b": 1}
    calls = [
        ToolCall("add", add),
        ToolCall("add", add, "c1"),
        ToolCall("add", add, "c1"),
        ToolCall("add", add),
    ]

    result = await run(path, agent(calls, "hello"))

    asked = replay(history(path)).messages[1]
    assert [call.id for call in asked.tool_calls] == [f"{asked.id}:0", "c1", f"{asked.id}:2", f"{asked.id}:3"]
    assert result.termination.type == "natural_end"


async def test_the_next_run_continues_the_conversation(path: Path) -> None:
    seen: list[list[tuple[str, str]]] = []

    def answer(request: ModelRequest) -> str:
        seen.append([(message.role, message.content) for message in request.messages])
        return f"answer {len(seen)}"

    planner = agent(answer, answer, instructions="Be kind.")
    await run(path, planner, "one")
    await run(path, planner, "two")

    system = ("system", "Be kind.")
    assert seen == [
        [system, ("user", "one")],
        [system, ("user", "one"), ("assistant", "answer 1"), ("user", "two")],
    ]
    assert [changeset.version for changeset in history(path)] == [1, 2, 3, 4, 5, 6]


async def test_the_instructions_are_not_in_the_conversation(path: Path) -> None:
    await run(path, agent("hello", instructions="Be kind."))

    assert [message.role for message in replay(history(path)).messages] == ["user", "assistant"]


async def test_the_model_is_offered_the_tools(path: Path) -> None:
    offered: list[str] = []

    def look(request: ModelRequest) -> str:
        offered.extend(spec.name for spec in request.tools)
        return "done"

    await run(path, agent(look))

    assert offered == ["add", "fail", "spend"]


async def test_a_run_may_start_with_messages_and_a_repeated_one_is_skipped(path: Path) -> None:
    asked: list[list[str]] = []

    def answer(request: ModelRequest) -> str:
        asked.append([message.content for message in request.messages])
        return "hello"

    planner = agent(answer, answer)
    first = Message(id="m1", role="user", content="one")
    again = [Message(id="m1", role="user", content="again"), Message(id="m2", role="user", content="two")]
    async with running(path, planner) as runtime:
        for messages in ([first, first], again):
            await (await runtime.start("planner", messages, thread="t1")).result()
        told = [message.content for message in runtime.messages("t1")]

    assert asked == [["one"], ["one", "hello", "two"]]
    assert told == ["one", "hello", "two", "hello"]


async def test_a_run_without_a_thread_gets_one_of_its_own(path: Path) -> None:
    async with running(path, agent("hello"), effects=CountedEffects()) as runtime:
        started = await runtime.start("planner", "go")
        await started.result()

        assert started.thread_id == "id2"
        assert runtime.state("id2")["__run"]["status"] == "done"
        assert [message.content for message in runtime.messages("id2")] == ["go", "hello"]
        assert runtime.messages("nobody's") == ()


async def test_runs_on_different_threads_go_on_together(path: Path) -> None:
    meeting = [anyio.Event(), anyio.Event()]

    async def meet(me: int) -> str:
        meeting[me].set()
        await meeting[1 - me].wait()
        return "met"

    def call(request: ModelRequest) -> ToolCall:
        return ToolCall("meet", {"me": int(request.messages[-1].content)})

    async with running(path, agent(call, call, tools=[meet])) as runtime:
        runs = [await runtime.start("planner", str(me), thread=f"t{me}") for me in (0, 1)]
        results = [await one.result() for one in runs]

    assert [result.termination.type for result in results] == ["natural_end"] * 2


def repeatable() -> Agent:
    behaviors = [asking("step_start", Set("/step", 1)), asking("run_end", Set("/end", [1.5]), name="end")]
    turns = [
        [ToolCall("spend", {"amount": 3}), *CALLS],
        "hello there",
        ToolCall("none", {}),
        ValueError("no"),
    ]
    return agent(*turns, behaviors=behaviors, tool_execution="sequential")


async def repeated(path: Path) -> list[bytes]:
    planner = repeatable()
    async with running(path, planner, effects=CountedEffects()) as runtime:
        for prompt in ("one", "two"):
            await (await runtime.start("planner", prompt, thread="t1")).result()
        return [encode(changeset) for changeset in runtime.log.read("t1")]


def test_a_run_repeated_with_the_same_answers_of_the_world_has_the_same_bytes(tmp_path: Path) -> None:
    """law 4: same effects in, same bytes out, under asyncio and trio alike"""
    contents = [
        anyio.run(partial(repeated, tmp_path / f"{n}.db"), backend=backend)
        for n, backend in enumerate(["asyncio", "trio", "asyncio"])
    ]

    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) == 11


def test_a_script_needs_no_event_loop(path: Path) -> None:
    with Runtime.open(path, agents=[agent(CALLS, "hello")], durability="normal") as runtime:
        result = runtime.run_sync("planner", "go", thread="t1")

    assert (result.output, result.version) == ("hello", 6)
    assert_sound(path)


def test_a_script_and_an_event_loop_make_the_same_run(tmp_path: Path) -> None:
    """there is one way to run an agent, and a script only waits for it"""
    contents = []
    for name in ("script", "loop"):
        path, turns = tmp_path / name, [Turn(text="hel", finish_reason="length"), "lo", ValueError("no")]
        planner = agent(*turns, behaviors=[asking("step_start", Set("/step", 1))])
        if name == "script":
            with Runtime.open(path, agents=[planner], effects=CountedEffects()) as runtime:
                results = [runtime.run_sync("planner", "go", thread="t1") for _ in range(2)]
        else:
            results = anyio.run(twice, path, planner)
        contents.append(([encode(changeset) for changeset in history(path)], results))

    assert contents[0] == contents[1]


async def twice(path: Path, planner: Agent) -> list[RunResult]:
    async with running(path, planner, effects=CountedEffects()) as runtime:
        return [await (await runtime.start("planner", "go", thread="t1")).result() for _ in range(2)]


async def test_a_notebook_has_an_event_loop_that_is_left_alone(path: Path) -> None:
    with Runtime.open(path, agents=[agent("hello")], durability="normal") as runtime:
        assert runtime.run_sync("planner", "go").output == "hello"

    assert_sound(path)
