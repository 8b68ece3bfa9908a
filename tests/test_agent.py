from hashlib import sha256
from typing import Any

import pytest
from pydantic import BaseModel
from runs import Asking, Budget, Spend, add, budget, counter, fail

from threadlog.engine import Agent, ScriptedModel
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
        instructions="Be kind.", tools=[described], behaviors=[Asking(nothing)], reducers=[budget, counter]
    ).facts()

    assert facts.name == "planner"
    assert facts.specification == {
        "model": "scripted",
        "instructions": "Be kind.",
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
        "behaviors": ["asking"],
        "reducers": ["budget", "run counter"],
    }
    assert facts.fingerprint == sha256(dumps(facts.specification)).hexdigest()


DIFFERENT: list[dict[str, Any]] = [
    {"model": ScriptedModel(name="other")},
    {"instructions": "Be brief."},
    {"tools": [add]},
    {"tools": [add, fail]},
    {"tools": [fail, add]},
    {"behaviors": [Asking(nothing)]},
    {"behaviors": [Asking(nothing, "other")]},
    {"reducers": [budget]},
]


def test_equal_agents_have_equal_fingerprints_and_different_ones_different() -> None:
    prints = [agent(**fields).facts().fingerprint for fields in ({}, *DIFFERENT)]

    assert prints == [agent(**fields).facts().fingerprint for fields in ({}, *DIFFERENT)]
    assert len(set(prints)) == len(prints)


def test_a_plain_function_among_the_tools_becomes_a_tool() -> None:
    assert list(agent(tools=[add, described]).toolbox()) == ["add", "described"]


class Other(BaseModel):
    """Another slice."""


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": "openai"}, "the model of agent 'planner' has no name and stream()"),
    ({"tools": [add, add]}, "two tools of agent 'planner' have the same name"),
    ({"tools": [lambda n: n]}, "annotate the parameter 'n'"),
    (
        {"behaviors": [Asking(nothing), Asking(nothing)]},
        "two behaviors of agent 'planner' have the same name",
    ),
    (
        {"reducers": [budget, Reducer("budget", Other, (Spend,), "/x", "thread", budget.function)]},
        "two reducers are called 'budget'",
    ),
    (
        {"reducers": [budget, Reducer("other", Budget, (Spend,), "/x", "thread", budget.function)]},
        "two reducers want Spend",
    ),
]


@pytest.mark.parametrize(("fields", "text"), WRONG)
def test_an_agent_that_cannot_work_is_refused_when_it_is_made(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        agent(**fields)

    assert text in str(refused.value)
