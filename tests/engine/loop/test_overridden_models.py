"""The model of one step, overridden by behaviors, and its fallbacks."""

from pathlib import Path

import pytest

from support.agents import scripted_agent
from support.behaviors import act_in
from support.log_reads import read_history
from support.runtimes import run_agent
from threadlog.engine import OverrideInference, OverrideModel, ScriptedModel

pytestmark = pytest.mark.anyio


async def test_an_overriding_model_answers_instead_and_is_in_the_log(path: Path) -> None:
    other = ScriptedModel("from the other", name="other")

    result = await run_agent(
        path, scripted_agent("from the agent's", behaviors=[act_in("before_inference", OverrideModel(other))])
    )

    inference = read_history(path)[1].inference
    assert inference is not None
    assert (result.output, inference.model) == ("from the other", "other")


def failing_model(name: str) -> ScriptedModel:
    return ScriptedModel(ValueError(name), ValueError(name), name=name)


async def test_an_overriding_model_has_fallbacks_of_its_own_only(path: Path) -> None:
    fields = {"fallbacks": [ScriptedModel("the agent's fallback")]}

    result = await run_agent(
        path,
        scripted_agent(
            behaviors=[act_in("before_inference", OverrideModel(failing_model("other")))], **fields
        ),
    )

    assert result.termination.detail == "model 'other' failed on attempt 1 of 2: unknown: other"


async def test_earlier_fallbacks_survive_a_later_model_without_any(path: Path) -> None:
    fallback = ScriptedModel("from the fallback")
    actions = [OverrideModel(failing_model("a"), [fallback]), OverrideModel(failing_model("b"))]

    result = await run_agent(path, scripted_agent(behaviors=[act_in("before_inference", *actions)]))

    assert result.output == "from the fallback"


async def test_each_model_is_asked_once_and_one_without_a_name_not_at_all(path: Path) -> None:
    """the agent's own fallbacks too"""
    other, fallback = failing_model("other"), failing_model("fallback")
    actions = [act_in("before_inference", OverrideModel(other, ["", fallback, other, fallback]))]

    result = await run_agent(path, scripted_agent(behaviors=actions))
    again = await run_agent(path, scripted_agent(model=other, fallbacks=[fallback, other]), "again")

    for ended in (result, again):
        assert ended.termination.detail == "model 'fallback' failed on attempt 1 of 2: unknown: fallback"
    inferences = [one.inference for one in read_history(path) if one.inference]
    assert [[one.model for one in inference.attempts] for inference in inferences] == [
        ["other", "fallback"],
        ["other", "fallback"],
    ]


async def test_fallbacks_without_a_model_are_ignored(path: Path) -> None:
    override = OverrideInference(fallbacks=[ScriptedModel("never")])

    result = await run_agent(
        path, scripted_agent(ValueError("no"), behaviors=[act_in("before_inference", override)])
    )

    assert result.termination.type == "error"
