from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from support.log_reads import read_history, read_messages, read_payloads, read_tool_results
from support.models import offered_tools, recording_model, request_messages
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Agent, Decision, Handoff, Permission, ScriptedModel, ToolCall, ToolResult, tool
from threadlog.reducers import Action, reducer, replay
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio


@tool
async def book(city: str) -> str:
    """Book a night."""
    return f"booked {city}"


@tool
async def search(text: str) -> str:
    """Search the web."""
    return f"found {text}"


@tool
async def clock() -> str:
    """Tell the time."""
    return "noon"


BOOK = ToolCall("book", {"city": "Kyoto"})
SEARCH = ToolCall("search", {"text": "inns"})


def to(name: str, message: str | None = None) -> ToolCall:
    arguments: dict[str, Any] = {"agent_id": name, "message": message}
    return ToolCall("agent_handoff", arguments if message else {"agent_id": name})


def planner(model: ScriptedModel, *agents: Agent, **fields: Any) -> Agent:
    """The run's own agent, and whom it may hand over to."""
    given: dict[str, Any] = {"instructions": "You plan.", "tools": [book, clock], "settings": {"top_p": 0.5}}
    return Agent("planner", model, **{**given, "behaviors": [Handoff(agents)], **fields})


def researcher(model: ScriptedModel, **fields: Any) -> Agent:
    given: dict[str, Any] = {"instructions": "You research.", "tools": [search, clock]}
    return Agent("researcher", model, **{**given, "settings": {"temperature": 0.1}, **fields})


def active(path: Path) -> Any:
    return replay(read_history(path)).state["agent_handoff"]["active_agent"]


async def test_the_other_agent_answers_from_the_next_inference_on(path: Path) -> None:
    model, requests = recording_model(to("researcher"))
    other, others = recording_model(SEARCH, "found it", name="other")

    result = await run_agent(path, planner(model, researcher(other)))

    assert (result.output, active(path)) == ("found it", "researcher")
    assert [len(requests), len(others)] == [1, 2]
    assert read_tool_results(path) == ['{"status":"handoff_initiated","target":"researcher"}', "found inns"]
    assert request_messages(others[0])[:2] == [("system", "You plan."), ("system", "You research.")]
    assert others[0].settings == {"top_p": 0.5, "temperature": 0.1}
    models = [changeset.inference.model for changeset in read_history(path) if changeset.inference]
    assert models == ["scripted", "other", "other"]


async def test_each_agent_is_offered_its_own_tools_and_the_way_on(path: Path) -> None:
    model, requests = recording_model(to("researcher"))
    other, others = recording_model("done", name="other")

    await run_agent(path, planner(model, researcher(other)))

    assert offered_tools(requests[0]) == ["book", "clock", "agent_handoff"]
    assert offered_tools(others[0]) == ["clock", "agent_handoff", "search"]


async def test_a_tool_of_another_agent_is_refused(path: Path) -> None:
    model, _ = recording_model([SEARCH, BOOK], to("researcher"))
    other, _ = recording_model([BOOK, SEARCH], name="other")

    await run_agent(path, planner(model, researcher(other)))

    refused = '{{"error":"The agent {!r} has no tool {!r}"}}'
    assert sorted(read_tool_results(path)) == sorted(
        [
            refused.format("planner", "search"),
            "booked Kyoto",
            '{"status":"handoff_initiated","target":"researcher"}',
            refused.format("researcher", "book"),
            "found inns",
        ]
    )


async def test_a_call_beside_the_hand_off_is_held_to_the_tools_of_the_agent_that_made_it(path: Path) -> None:
    model, _ = recording_model([to("researcher"), BOOK])

    await run_agent(
        path, planner(model, researcher(recording_model(name="other")[0]), tool_execution="sequential")
    )

    assert read_tool_results(path)[1] == "booked Kyoto"


async def test_handing_over_to_the_run_s_own_agent_is_the_way_back(path: Path) -> None:
    """In other systems its name stays in the state for ever, as if it were one of the others"""
    model, requests = recording_model(to("researcher"), "done")
    other, _ = recording_model(to("planner"), name="other")

    await run_agent(path, planner(model, researcher(other)))

    assert offered_tools(requests[1]) == ["book", "clock", "agent_handoff"]
    assert [role for role, _ in request_messages(requests[1])].count("system") == 1
    assert active(path) is None


async def test_nobody_is_handed_over_to_who_is_not_there(path: Path) -> None:
    """Other systems take every name, and go on as before"""
    model, _ = recording_model(to("missing"), "done")

    await run_agent(path, planner(model, researcher(recording_model()[0])))

    problem = "unknown agent 'missing': hand over to one of ['researcher']"
    assert read_tool_results(path) == [f'{{"error":"{problem}"}}']
    assert read_payloads(path, "RequestHandoff") == []


async def test_the_message_is_a_visible_one_of_the_user_behind_the_tool_s(path: Path) -> None:
    model, _ = recording_model(to("researcher", "Find an inn."))

    await run_agent(path, planner(model, researcher(recording_model(name="other")[0])))

    said = [(message.role, message.content, message.visibility) for message in read_messages(path)][3]
    assert said == ("user", "Find an inn.", "all")


@pytest.mark.parametrize(("spares", "end"), [(["found it"], "natural_end"), ([], "error")])
async def test_an_agent_that_took_over_falls_back_on_its_own_models_only(
    path: Path, spares: list[str], end: str
) -> None:
    model, _ = recording_model(to("researcher"), "never")
    fallbacks = [ScriptedModel(text, name="spare") for text in spares]
    other = researcher(ScriptedModel(ValueError("no")), fallbacks=fallbacks)

    result = await run_agent(path, planner(model, other, fallbacks=[model]))

    assert (result.termination.type, [result.output]) == (end, [*spares, None][:1])


async def test_the_thread_keeps_who_is_active_across_runs(path: Path) -> None:
    model, requests = recording_model(to("researcher"))
    other, others = recording_model("one", "two", name="other")
    async with open_runtime(path, planner(model, researcher(other))) as runtime:
        for prompt in ("go", "again"):
            await (await runtime.start("planner", prompt, thread="t1")).result()

    assert [len(requests), len(others)] == [1, 2]


async def test_a_run_of_an_agent_that_does_not_know_the_active_one_is_its_own(path: Path) -> None:
    model, requests = recording_model(to("researcher"), "mine")
    other, _ = recording_model("one", name="other")
    first, second = planner(model, researcher(other)), Agent("second", model, behaviors=[Handoff([])])
    async with open_runtime(path, first, second) as runtime:
        await (await runtime.start("planner", "go", thread="t1")).result()
        result = await (await runtime.start("second", "again", thread="t1")).result()

    assert (result.output, len(requests)) == ("mine", 2)


class Notes(BaseModel):
    count: int = 0


class Note(Action):
    """Count one more."""


@reducer("/notes")
def notes(slice: Notes, action: Note) -> Notes:
    return Notes(count=slice.count + 1)


@tool
async def note() -> ToolResult:
    """Make a note."""
    return ToolResult("noted", [Note()])


async def test_an_agent_that_takes_over_brings_the_reducers_of_its_tools(path: Path) -> None:
    model, _ = recording_model(to("researcher"))
    other, _ = recording_model(ToolCall("note"), name="other")

    await run_agent(path, planner(model, researcher(other, tools=[note], reducers=[notes])))

    assert replay(read_history(path)).state["notes"] == {"count": 1}


class Answer(BaseModel):
    text: str


async def test_an_agent_that_took_over_can_give_the_run_s_structured_output(path: Path) -> None:
    model, _ = recording_model(to("researcher"))
    other, others = recording_model(ToolCall("final_output", {"text": "an inn"}), name="other")

    result = await run_agent(path, planner(model, researcher(other), output_type=Answer))

    assert (result.output, offered_tools(others[0])[-1]) == (Answer(text="an inn"), "final_output")


async def test_what_the_active_agent_may_not_call_is_not_asked_about(path: Path) -> None:
    model, _ = recording_model(to("researcher"))
    other, _ = recording_model(BOOK, name="other")
    behaviors = [Handoff([researcher(other)]), Permission(allow=["agent_handoff"])]

    result = await run_agent(path, planner(model, behaviors=behaviors))

    assert (result.status, read_tool_results(path)[1]) == (
        "done",
        "{\"error\":\"The agent 'researcher' has no tool 'book'\"}",
    )


async def test_a_call_that_waited_goes_on_although_another_agent_has_taken_over(path: Path) -> None:
    model, _ = recording_model([ToolCall("book", {"city": "Kyoto"}, "c1"), to("researcher")])
    other, _ = recording_model("while we wait", "done", name="other")
    behaviors = [Handoff([researcher(other)]), Permission(allow=["agent_handoff"])]
    async with open_runtime(path, planner(model, behaviors=behaviors)) as runtime:
        started = await runtime.start("planner", "go", thread="t1")
        assert (await started.result()).status == "waiting"
        resumed = await runtime.decide(started.run_id, [Decision.approve("c1")])
        assert resumed
        await resumed.result()

    assert (read_tool_results(path)[-1], active(path)) == ("booked Kyoto", "researcher")


def test_two_agents_to_hand_over_to_have_names_of_their_own() -> None:
    with pytest.raises(DefinitionError, match="same name"):
        Handoff([researcher(ScriptedModel()), researcher(ScriptedModel())])


def test_a_tool_of_the_same_name_that_does_something_else_is_refused() -> None:
    async def book(title: str) -> str:
        """Recommend a book."""
        return title

    with pytest.raises(DefinitionError, match="two tools"):
        planner(ScriptedModel(), researcher(ScriptedModel(), tools=[book]))
