from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, field_serializer

from support.log_reads import read_history, read_messages, read_tool_results
from support.models import offered_tools, recording_model
from support.runtimes import open_runtime, run_agent
from support.trip_output import TRIP, Trip, final
from threadlog.engine import (
    Agent,
    Behavior,
    Context,
    Decision,
    Permission,
    ScriptedModel,
    SetToolResult,
    Terminate,
    ToolCall,
    Turn,
)
from threadlog.engine.agents.output import MAX_REMINDERS, NOT_GIVEN, REMINDER
from threadlog.engine.agents.stop_policy import MaxRounds
from threadlog.store.changeset import Termination
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ADD = ToolCall("add", {"a": 1, "b": 2}, "c1")


def agent(*turns: Any, **fields: Any) -> Agent:
    given = {"model": ScriptedModel(*turns), "tools": [add], "output_type": Trip, **fields}
    return Agent("planner", **given)


async def test_the_output_is_an_instance_and_the_log_has_its_json(path: Path) -> None:
    result = await run_agent(path, agent(ADD, final()))

    assert (result.output, result.termination) == (TRIP, Termination(type="natural_end"))
    kept = {"begin": "2026-05-01", "stays": [{"city": "Kyoto", "nights": 2}]}
    assert read_history(path)[-2].tool_calls[0].result == kept


async def test_the_model_is_offered_a_tool_with_the_schema_of_the_output(path: Path) -> None:
    model, requests = recording_model(final())

    await run_agent(path, agent(model=model))

    spec = requests[0].tools[-1]
    schema = Trip.model_json_schema()
    assert offered_tools(requests[0]) == ["add", "final_output"]
    assert spec.description.endswith("\n\nA journey.")
    assert spec.parameters == {key: schema[key] for key in ("$defs", "properties", "required", "type")}


async def test_an_output_that_does_not_fit_is_answered_with_what_is_wrong(path: Path) -> None:
    wrong = {"begin": "soon", "stays": [{"city": "Kyoto", "numberOfNights": 0}]}

    result = await run_agent(path, agent(final(wrong), final()))

    assert result.output == TRIP
    assert read_tool_results(path)[0].startswith('{"error":"Invalid arguments: begin: ')
    assert "stays.0.numberOfNights: Input should be greater than 0" in read_tool_results(path)[0]


async def test_a_text_is_answered_with_a_note_that_asks_for_the_call(path: Path) -> None:
    result = await run_agent(path, agent("Kyoto is nice.", final()))

    note = read_messages(path)[2]
    assert result.output == TRIP
    assert (note.role, note.content, note.visibility) == ("user", REMINDER, "internal")


async def test_a_model_that_never_makes_the_call_ends_the_run_with_an_error(path: Path) -> None:
    result = await run_agent(path, agent(*["Kyoto is nice."] * 9))

    assert (result.output, result.termination) == (None, Termination(type="error", detail=NOT_GIVEN))
    assert [m.content for m in read_messages(path) if m.visibility == "internal"] == [
        REMINDER
    ] * MAX_REMINDERS


async def test_a_text_that_was_cut_off_is_gone_on_with_first(path: Path) -> None:
    result = await run_agent(path, agent(Turn(text="Kyo", finish_reason="length"), "to", final()))

    notes = [m.content for m in read_messages(path) if m.visibility == "internal"]
    assert (result.output, notes[1:]) == (TRIP, [REMINDER])
    assert notes[0] != REMINDER


async def test_other_calls_of_the_turn_that_gives_the_output_are_made_too(path: Path) -> None:
    result = await run_agent(path, agent([final(), ADD]))

    assert (result.output, sorted(read_tool_results(path))[0]) == (TRIP, "3")


async def test_the_first_output_of_a_turn_counts(path: Path) -> None:
    other = {"begin": "2026-06-01", "stays": []}

    result = await run_agent(path, agent([final("text"), final(), final(other)], tool_execution="sequential"))

    assert result.output == TRIP


async def test_the_round_that_gives_the_output_is_not_stopped(path: Path) -> None:
    result = await run_agent(path, agent(ADD, final(), max_rounds=2, stop_when=[MaxRounds(2)]))

    assert (result.output, result.termination.type) == (TRIP, "natural_end")


async def test_a_run_that_others_end_has_no_output(path: Path) -> None:
    """A text of the model is not an output: readers of the output expect an instance."""

    class Ends(Behavior):
        def after_inference(self, context: Context) -> Terminate:
            return Terminate()

    result = await run_agent(path, agent("Kyoto is nice.", behaviors=[Ends()]))

    assert (result.output, result.termination.type) == (None, "behavior_requested")


async def test_a_run_that_waits_gives_its_output_when_it_goes_on(path: Path) -> None:
    planner = agent([ADD, final()], final(), behaviors=[Permission()])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        waiting = await started.result()
        resumed = await runtime.decide(started.run_id, [Decision.approve("c1")])
        assert resumed
        result = await resumed.result()

    assert (waiting.status, waiting.output, result.output) == ("waiting", None, TRIP)


async def test_an_output_that_a_person_approves_ends_the_run(path: Path) -> None:
    model, requests = recording_model(final(id="c1"))
    planner = agent(model=model, behaviors=[Permission(ask=["final_output"])])
    async with open_runtime(path, planner) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        await started.result()
        resumed = await runtime.decide(started.run_id, [Decision.approve("c1")])
        assert resumed
        result = await resumed.result()

    assert (result.output, result.termination.type, len(requests)) == (TRIP, "natural_end", 1)


async def test_a_text_while_a_person_has_to_decide_is_not_asked_to_be_more(path: Path) -> None:
    async def ask() -> str:
        """Ask."""
        return "asked"

    behaviors = [Permission(allow=["ask"])]
    planner = agent([ADD, ToolCall("ask")], "I wait.", tools=[add, ask], behaviors=behaviors)

    result = await run_agent(path, planner)

    assert (result.status, read_messages(path)[-1].content) == ("waiting", "I wait.")


class Answers(Behavior):
    """Answers every call."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def before_tool_execute(self, context: Context) -> SetToolResult:
        return SetToolResult(self._output)


async def test_an_output_that_a_behavior_has_given_is_the_output(path: Path) -> None:
    answer = Answers({"begin": "2026-06-01", "stays": []})

    result = await run_agent(path, agent(final(), behaviors=[answer]))

    assert result.output == Trip(begin=date(2026, 6, 1), stays=[])


async def test_an_answer_of_a_behavior_that_is_no_output_is_an_error(path: Path) -> None:
    result = await run_agent(path, agent(final(), behaviors=[Answers("Kyoto")]))

    assert result.termination.type == "error"
    assert "the output as JSON makes no Trip again" in (result.termination.detail or "")


class Odd(BaseModel):
    n: int

    @field_serializer("n")
    def said(self, n: int) -> str:
        return f"number {n}"


async def test_an_output_that_its_json_does_not_give_again_is_an_error(path: Path) -> None:
    result = await run_agent(path, agent(final({"n": 1}), output_type=Odd))

    assert result.termination.type == "error"
    assert "the output as JSON makes no Odd again: n: " in (result.termination.detail or "")


class Tree(BaseModel):
    name: str
    children: list["Tree"] = []


async def test_an_output_may_contain_itself(path: Path) -> None:
    model, requests = recording_model(final({"name": "a", "children": [{"name": "b"}]}))

    result = await run_agent(path, agent(model=model, output_type=Tree))

    assert result.output == Tree(name="a", children=[Tree(name="b")])
    assert requests[0].tools[-1].parameters["type"] == "object"


class Numbers(RootModel[list[int]]):
    """No object."""


@pytest.mark.parametrize("output_type", [dict, Numbers, "Trip"])
def test_an_output_type_that_is_no_model_of_an_object_is_refused(output_type: Any) -> None:
    with pytest.raises(DefinitionError):
        agent(output_type=output_type)


def test_the_name_of_the_tool_is_taken() -> None:
    async def final_output(text: str) -> str:
        """Something else."""
        return text

    with pytest.raises(DefinitionError, match="two tools"):
        agent(tools=[final_output])
