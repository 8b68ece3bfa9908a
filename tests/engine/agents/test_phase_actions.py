"""What each action of a behavior does, and that it does nothing in a phase where it is not legal."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PHASES, PhaseBehavior, act_in
from support.log_reads import read_history, read_reasons, read_state
from support.models import recorded_turn, request_messages
from support.runtimes import run_agent
from support.tools import add
from threadlog.engine import (
    AddContextMessage,
    AddMessage,
    AddRequestTransform,
    Block,
    Context,
    ExcludeTool,
    IncludeOnlyTools,
    ModelRequest,
    OverrideInference,
    OverrideModel,
    ScriptedModel,
    SetToolResult,
    State,
    Suspend,
    Terminate,
    ToolCall,
    Turn,
)
from threadlog.engine.agents.actions import LEGAL, PhaseAction
from threadlog.engine.agents.behavior import PhaseActions
from threadlog.reducers import Delete, Set
from threadlog.reducers.phase import Phase
from threadlog.store.changeset import Message, Termination

pytestmark = pytest.mark.anyio

CALL = ToolCall("add", {"a": 1, "b": 2}, "c1")


async def asked(path: Path, *behaviors: PhaseBehavior, rounds: int = 1, **fields: Any) -> list[ModelRequest]:
    """The requests of a run of one or more steps."""
    seen: list[ModelRequest] = []
    turns = [recorded_turn(seen, CALL)] * (rounds - 1)
    await run_agent(path, scripted_agent(*turns, recorded_turn(seen, "done"), behaviors=behaviors, **fields))
    return seen


ACTIONS: list[PhaseAction] = [
    State(Set("/a", 1)),
    AddContextMessage("key", "text"),
    ExcludeTool("add"),
    IncludeOnlyTools(["add"]),
    AddRequestTransform(lambda request: request),
    OverrideModel(ScriptedModel()),
    OverrideInference(temperature=0.5),
    Terminate(),
    Block(),
    Suspend("approve"),
    SetToolResult(5),
    AddMessage("text"),
]

ILLEGAL = [
    (phase, action) for phase in PHASES for action in ACTIONS if not isinstance(action, LEGAL[Phase(phase)])
]


def test_every_action_is_legal_where_the_design_says_so() -> None:
    """An action says all of itself: a `Suspend` gets its ticket from the loop, so none is without one."""
    legal = {phase: [type(a).__name__ for a in ACTIONS if isinstance(a, LEGAL[phase])] for phase in Phase}

    everywhere = {phase: ["State"] for phase in Phase}
    before_inference = ["State", "AddContextMessage", "ExcludeTool", "IncludeOnlyTools"]
    before_inference += ["AddRequestTransform", "OverrideModel", "OverrideInference", "Terminate"]
    assert legal == everywhere | {
        Phase.BEFORE_INFERENCE: before_inference,
        Phase.AFTER_INFERENCE: ["State", "Terminate"],
        Phase.BEFORE_TOOL_EXECUTE: ["State", "Block", "Suspend", "SetToolResult"],
        Phase.AFTER_TOOL_EXECUTE: ["State", "AddMessage"],
    }


@pytest.mark.parametrize(
    ("phase", "action"), ILLEGAL, ids=[f"{phase}-{type(action).__name__}" for phase, action in ILLEGAL]
)
async def test_an_action_where_it_is_not_legal_ends_the_run_and_nothing_of_the_phase_is_kept(
    path: Path, phase: str, action: PhaseAction
) -> None:
    first = act_in(phase, Set("/dropped", 1), name="first")
    illegal = act_in(phase, State(Set("/dropped", 2)), action, name="illegal")

    result = await run_agent(path, scripted_agent(CALL, "hello", behaviors=[first, illegal]))

    assert read_state(path) == {}
    if phase == "run_end":
        # How the run has ended cannot be changed any more.
        assert result.termination.type == "natural_end"
    else:
        problem = f"{type(action).__name__} is not legal in the phase '{phase}'"
        assert result.termination.detail == f"behavior 'illegal' failed in {phase}: {problem}"


async def test_excluding_and_including_shrink_the_tools_in_order(path: Path) -> None:
    (request,) = await asked(
        path, act_in("before_inference", IncludeOnlyTools(["add", "fail", "none"]), ExcludeTool("fail"))
    )

    assert [spec.name for spec in request.tools] == ["add"]


@pytest.mark.parametrize(
    ("actions", "left"),
    [
        ([IncludeOnlyTools([])], []),
        ([ExcludeTool("none")], ["add", "fail", "spend"]),
        ([ExcludeTool("add"), IncludeOnlyTools(["add", "spend"])], ["spend"]),
        ([IncludeOnlyTools(["add"]), IncludeOnlyTools(["fail"])], []),
    ],
)
async def test_nothing_brings_a_tool_back(path: Path, actions: list[PhaseAction], left: list[str]) -> None:
    (request,) = await asked(path, act_in("before_inference", *actions))

    assert [spec.name for spec in request.tools] == left


async def test_a_filter_is_for_one_step_only(path: Path) -> None:
    def first(context: Context) -> PhaseActions:
        once = context.phase == "before_inference" and context.step == 0
        return IncludeOnlyTools(["add"]) if once else None

    requests = await asked(path, PhaseBehavior(first), rounds=2)

    assert [len(request.tools) for request in requests] == [1, 3]


async def test_an_excluded_tool_that_is_called_all_the_same_is_called(path: Path) -> None:
    """to leave a tool out of the offer is no refusal: that is what `Block` is for"""
    await run_agent(path, scripted_agent(CALL, behaviors=[act_in("before_inference", ExcludeTool("add"))]))

    assert read_history(path)[2].tool_calls[0].result == 3


async def test_a_transform_sees_the_tools_that_are_left_and_may_change_all_of_the_request(
    path: Path,
) -> None:
    """There is no flag for the cache of a provider: settings are part of the request."""

    def transform(request: ModelRequest) -> ModelRequest:
        assert [tool.name for tool in request.tools] == ["add"]
        return replace(request, tools=(), settings={"temperature": 0})

    change = act_in("before_inference", IncludeOnlyTools(["add"]), AddRequestTransform(transform))
    (request,) = await asked(path, change, settings={"top_p": 0.9})

    assert (request.tools, request.settings) == ((), {"temperature": 0})
    inference = read_history(path)[1].inference
    assert inference is not None
    assert inference.settings == {"temperature": 0}


async def test_transforms_are_applied_in_order_to_the_complete_request(path: Path) -> None:
    def marking(mark: str) -> Callable[[ModelRequest], ModelRequest]:
        def mark_last(request: ModelRequest) -> ModelRequest:
            return replace(request, messages=(*request.messages, Message(id=mark, role="user", content=mark)))

        return mark_last

    transforms = [AddRequestTransform(marking("one")), AddRequestTransform(marking("two"))]
    (request,) = await asked(path, act_in("before_inference", AddContextMessage("k", "ctx"), *transforms))

    assert [content for _, content in request_messages(request)] == ["ctx", "go", "one", "two"]
    assert [message.content for message in read_history(path)[1].messages] == ["done"]


async def test_a_transform_runs_again_for_every_attempt(path: Path) -> None:
    seen: list[int] = []

    def transform(request: ModelRequest) -> ModelRequest:
        seen.append(len(request.messages))
        return request

    fields: dict[str, Any] = {"fallbacks": [ScriptedModel("fine")], "behaviors": []}
    fields["behaviors"] = [act_in("before_inference", AddRequestTransform(transform))]
    await run_agent(path, scripted_agent(ValueError("no"), **fields))

    assert seen == [1, 1]


async def test_settings_are_overridden_one_by_one_and_the_last_counts(path: Path) -> None:
    actions = [
        OverrideInference(temperature=0.1, max_tokens=5),
        OverrideInference(temperature=0.2, reasoning_effort="high"),
    ]

    requests = await asked(
        path, act_in("before_inference", *actions), settings={"top_p": 0.9, "max_tokens": 9}
    )

    expected = {"top_p": 0.9, "max_tokens": 5, "temperature": 0.2, "reasoning_effort": "high"}
    assert requests[0].settings == expected
    inference = read_history(path)[1].inference
    assert inference is not None
    assert inference.settings == expected


async def test_a_run_ended_before_inference_asks_no_model(path: Path) -> None:
    seen: list[str] = []

    def note(context: Context) -> PhaseActions:
        seen.append(context.phase)
        return Terminate() if context.phase == "before_inference" else None

    result = await run_agent(path, scripted_agent("never", behaviors=[PhaseBehavior(note)]))

    assert seen == ["run_start", "step_start", "before_inference", "run_end"]
    assert (result.termination, result.output) == (Termination(type="behavior_requested"), None)
    assert read_reasons(path) == ["run_started", "run_finished"]


OUTPUTS: list[tuple[str, Termination, str | None]] = [
    ("so far", Termination(type="behavior_requested"), "so far"),
    ("", Termination(type="behavior_requested"), None),
    ("so far", Termination(type="stopped", code="mine"), None),
]


@pytest.mark.parametrize(("text", "end", "output"), OUTPUTS)
async def test_the_output_of_a_run_that_is_ended_is_what_it_has_said_itself(
    path: Path, text: str, end: Termination, output: str | None
) -> None:
    """An end that was asked for is as good as one that came by itself: it has an output. Others have none."""

    def stop(context: Context) -> PhaseActions:
        return Terminate(end) if context.phase == "before_inference" and context.step == 1 else None

    await run_agent(path, scripted_agent("of an earlier run"))
    turn = Turn(text=text, tool_calls=[CALL])
    result = await run_agent(path, scripted_agent(turn, "never", behaviors=[PhaseBehavior(stop)]))

    assert (result.termination, result.output) == (end, output)


async def test_a_run_ended_after_inference_keeps_the_turn_and_calls_no_tool(path: Path) -> None:
    result = await run_agent(path, scripted_agent(CALL, behaviors=[act_in("after_inference", Terminate())]))

    assert result.termination.type == "behavior_requested"
    assert read_reasons(path) == ["run_started", "assistant_turn", "run_finished"]


async def test_the_last_of_several_ends_counts(path: Path) -> None:
    first = act_in("before_inference", Terminate(Termination(type="stopped", code="first")), name="first")
    second = act_in("before_inference", Terminate(Termination(type="stopped", code="second")), name="second")

    result = await run_agent(path, scripted_agent("never", behaviors=[first, second]))

    assert result.termination == Termination(type="stopped", code="second")


async def test_a_message_behind_a_tool_is_the_models_alone_and_a_blank_one_is_skipped(path: Path) -> None:
    added = act_in("after_tool_execute", AddMessage("be quick"), AddMessage(" \n"), AddMessage("me", "user"))

    requests: list[ModelRequest] = []
    await run_agent(path, scripted_agent(CALL, recorded_turn(requests, "done"), behaviors=[added]))

    assert [(role, text) for role, text in request_messages(requests[0])][2:] == [
        ("tool", "3"),
        ("system", "be quick"),
        ("user", "me"),
    ]
    assert [message.visibility for message in read_history(path)[2].messages] == [
        "all",
        "internal",
        "internal",
    ]


async def test_what_a_step_shows_once_may_be_taken_away_when_it_is_shown(path: Path) -> None:
    def remind(context: Context) -> PhaseActions:
        shown = context.read("/reminder")
        if context.phase != "before_inference" or not shown:
            return None
        return AddContextMessage("reminder", shown, on_emit=Delete("/reminder"))

    start = act_in("run_start", Set("/reminder", "drink"), name="start")
    requests = await asked(path, start, PhaseBehavior(remind), rounds=2, tools=[add])

    assert [("system", "drink") in request_messages(request) for request in requests] == [True, False]
    assert read_state(path) == {}
