from hashlib import sha256
from typing import Any

import pytest
from pydantic import BaseModel

from support.behaviors import PhaseBehavior
from support.reducers import Budget, Spend, budget, counter
from support.tools import add, fail
from threadlog.engine import (
    Agent,
    Compaction,
    Handoff,
    Permission,
    Reminder,
    RetryPolicy,
    ScriptedModel,
    Truncation,
)
from threadlog.engine.agents.stop_policy import StopOnTool
from threadlog.reducers import Reducer
from threadlog.store.document import dumps
from threadlog.store.errors import DefinitionError


def agent(**fields: Any) -> Agent:
    return Agent("planner", **{"model": ScriptedModel(), **fields})


def nothing(context: object) -> None: ...


def described(n: int) -> int:
    """Described."""
    return n


def test_the_facts_of_an_agent_say_what_it_is_made_of() -> None:
    facts = agent(
        instructions="Be kind.",
        tools=[described],
        behaviors=[PhaseBehavior(nothing)],
        reducers=[budget, counter],
        agents=["researcher"],
        description="Plans.",
    ).snapshot()

    assert facts.name == "planner"
    assert facts.specification == {
        "model": "scripted",
        "fallbacks": [],
        "instructions": "Be kind.",
        "settings": {},
        "tools": [
            {
                "name": "described",
                "description": "Described.",
                "parameters": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["n"],
                    "properties": {"n": {"type": "integer", "title": "N"}},
                },
            }
        ],
        "agents": ["researcher"],
        "description": "Plans.",
        "behaviors": [{"name": "behavior", "settings": {}}],
        "reducers": ["budget", "run counter"],
        "retry": {"attempts": 2, "backoff": 0.25, "max_backoff": 2.0, "jitter": 0.2, "budget": 10.0},
        "stop_when": ["MaxRounds(rounds=10)"],
    }
    assert facts.fingerprint == sha256(dumps([facts.specification, facts.tool_execution])).hexdigest()


DIFFERENT: list[dict[str, Any]] = [
    {"model": ScriptedModel(name="other")},
    {"instructions": "Be brief."},
    {"tools": [add]},
    {"tools": [add, fail]},
    {"tools": [fail, add]},
    {"behaviors": [PhaseBehavior(nothing)]},
    {"behaviors": [Permission()]},
    {"behaviors": [Permission(allow=["add"])]},
    {"behaviors": [Handoff([Agent("writer", ScriptedModel())])]},
    {"behaviors": [Handoff([Agent("writer", ScriptedModel(), "Be brief.")])]},
    {"behaviors": [Reminder("Be brief.")]},
    {"behaviors": [Reminder("Be kind.")]},
    {"behaviors": [Truncation(1000)]},
    {"behaviors": [Truncation(2000)]},
    {"behaviors": [Compaction(ScriptedModel())]},
    {"behaviors": [Compaction(ScriptedModel(), keep=3)]},
    {"behaviors": [PhaseBehavior(nothing, "other")]},
    {"reducers": [budget]},
    {"model": ScriptedModel(), "fallbacks": [ScriptedModel()]},
    {"settings": {"temperature": 0.5}},
    {"tool_execution": "sequential"},
    {"tool_execution": "parallel_batch_approval"},
    {"max_rounds": 9},
    {"max_rounds": 0},
    {"stop_when": [StopOnTool("add")]},
    {"stop_when": [StopOnTool("fail")]},
    {"retry": RetryPolicy(attempts=3)},
]


def test_equal_agents_have_equal_fingerprints_and_different_ones_different() -> None:
    prints = [agent(**fields).snapshot().fingerprint for fields in ({}, *DIFFERENT)]

    assert prints == [agent(**fields).snapshot().fingerprint for fields in ({}, *DIFFERENT)]
    assert len(set(prints)) == len(prints)


def test_a_plain_function_among_the_tools_becomes_a_tool() -> None:
    assert list(agent(tools=[add, described]).toolbox()) == ["add", "described"]


class Other(BaseModel):
    """Another slice."""


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 5}, "the model of agent 'planner' has no name and stream()"),
    ({"tool_execution": "batch"}, "'sequential', 'parallel', 'parallel_batch_approval'), not 'batch'"),
    ({"tools": [add, add]}, "two tools of agent 'planner' have the same name"),
    ({"tools": [lambda n: n]}, "annotate the parameter 'n'"),
    (
        {"behaviors": [PhaseBehavior(nothing), PhaseBehavior(nothing)]},
        "two behaviors of agent 'planner' have the same name",
    ),
    (
        {"reducers": [budget, Reducer("budget", Other, (Spend,), "/x", "thread", budget.function)]},
        "two reducers are called 'budget'",
    ),
    (
        {"reducers": [budget, Reducer("other", Budget, (Spend,), "/x", "thread", budget.function)]},
        "two reducers handle Spend",
    ),
]


@pytest.mark.parametrize(("fields", "text"), WRONG)
def test_an_agent_that_cannot_work_is_refused_when_it_is_made(fields: dict[str, Any], text: str) -> None:
    """Not when a run starts: then the user's message would be in the log without an agent to answer it."""
    with pytest.raises(DefinitionError) as refused:
        agent(**fields)

    assert text in str(refused.value)
