"""Models that fail: what is tried again, when, with which model, and that the log records all of it."""

from pathlib import Path
from typing import Any

import pytest

from support.agents import scripted_agent
from support.behaviors import PhaseBehavior
from support.effects import CountingEffects
from support.log_reads import read_reasons, read_state
from support.models import recorded_turn, request_messages
from support.retries import RetriedRun, model_error
from support.runtimes import open_runtime, run_agent
from threadlog.engine import Context, ModelRequest, RetryPolicy, ScriptedModel, State, SystemEffects
from threadlog.engine.events.event import AttemptFailed
from threadlog.engine.models.model import ErrorKind
from threadlog.reducers import Append
from threadlog.store.errors import DefinitionError

pytestmark = pytest.mark.anyio

RETRYABLE: list[ErrorKind] = ["rate_limit", "timeout", "connection", "overloaded", "server"]
FINAL: list[ErrorKind] = ["auth", "request", "context_length", "unknown"]


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_what_may_pass_is_tried_again(path: Path, kind: ErrorKind) -> None:
    tried = RetriedRun(path, scripted_agent(model_error(kind), "hello"))

    assert (await tried.run()).output == "hello"
    assert (tried.attempts(), tried.effects.slept) == ([("scripted", kind)], [0.25])


@pytest.mark.parametrize("kind", FINAL)
async def test_what_will_not_pass_goes_to_the_next_model_at_once(path: Path, kind: ErrorKind) -> None:
    tried = RetriedRun(
        path, scripted_agent(model_error(kind), "never", fallbacks=[ScriptedModel("hello", name="second")])
    )

    assert (await tried.run()).output == "hello"
    assert (tried.attempts(), tried.effects.slept) == ([("scripted", kind)], [])
    assert tried.inferences()[0].model == "second"


async def test_every_model_has_its_attempts_in_order(path: Path) -> None:
    errors = [model_error("server")] * 9
    models = [ScriptedModel(*errors, name="second"), ScriptedModel(*errors, name="third")]
    tried = RetriedRun(path, scripted_agent(*errors, fallbacks=models))

    result = await tried.run()

    assert [model for model, _ in tried.attempts()] == ["scripted"] * 2 + ["second"] * 2 + ["third"] * 2
    assert result.termination.detail == "model 'third' failed on attempt 2 of 2: server: server!"
    assert read_reasons(path) == ["run_started", "run_finished"]


async def test_waits_are_doubled_up_to_the_longest(path: Path) -> None:
    policy = RetryPolicy(attempts=6, backoff=0.5, max_backoff=3, budget=100)
    tried = RetriedRun(path, scripted_agent(*[model_error("server")] * 5, "hello", retry=policy))

    await tried.run()

    assert tried.effects.slept == [0.5, 1, 2, 3, 3]
    assert [a.wait for a in tried.inferences()[0].attempts] == [
        500_000,
        1_000_000,
        2_000_000,
        3_000_000,
        3_000_000,
    ]


async def test_what_the_provider_asks_to_wait_is_waited_whole(path: Path) -> None:
    """jitter does not shorten it"""
    tried = RetriedRun(path, scripted_agent(model_error("rate_limit", 7.5), "hello"))
    tried.effects = CountingEffects(lambda seconds, part: 0.0)

    assert (await tried.run()).output == "hello"
    assert tried.effects.slept == [7.5]


async def test_a_wait_beyond_the_budget_is_not_waited_for(path: Path) -> None:
    tried = RetriedRun(
        path, scripted_agent(model_error("rate_limit", 10.5), "never", fallbacks=[ScriptedModel("never")])
    )

    result = await tried.run()

    detail = "model 'scripted' failed on attempt 1 of 2: rate_limit: rate_limit! (retry budget exhausted)"
    assert (result.termination.detail, tried.effects.slept) == (detail, [])


async def test_the_budget_is_of_all_waits_of_an_inference_together(path: Path) -> None:
    """of the waits alone: what models took for their answers is not known again when a run is replayed"""
    policy = RetryPolicy(attempts=9, backoff=1, max_backoff=9, budget=6)
    tried = RetriedRun(path, scripted_agent(*[model_error("server")] * 8, retry=policy))

    result = await tried.run()

    assert tried.effects.slept == [1, 2]
    assert str(result.termination.detail).endswith("(retry budget exhausted)")


async def test_the_jitter_makes_a_wait_longer_or_shorter_by_its_part() -> None:
    """the longest one, too: to cut it there would bring half of all who wait back at the same moment"""
    waits = [SystemEffects().jitter(10, 0.2) for _ in range(100)]

    assert all(8 <= wait <= 12 for wait in waits)
    assert len(set(waits)) > 1


async def test_a_wait_is_jittered_by_a_fifth_unless_the_agent_says_otherwise(path: Path) -> None:
    tried = RetriedRun(path, scripted_agent(model_error("server"), "hello"))
    jitters: list[tuple[float, float]] = []

    def jitter(seconds: float, part: float) -> float:
        jitters.append((seconds, part))
        return 3.0

    tried.effects = CountingEffects(jitter)

    await tried.run()

    assert (jitters, tried.effects.slept) == ([(0.25, 0.2)], [3.0])


async def test_with_one_attempt_nothing_is_tried_again(path: Path) -> None:
    """Other systems have a switch for the start of a stream besides; here an attempt is one whole request."""
    tried = RetriedRun(path, scripted_agent(model_error("server"), "never", retry=RetryPolicy(attempts=1)))

    assert (
        await tried.run()
    ).termination.detail == "model 'scripted' failed on attempt 1 of 1: server: server!"


WRONG = ({"attempts": 0}, {"backoff": -1}, {"max_backoff": -1}, {"jitter": -0.1}, {"budget": -1})


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_a_policy_that_asks_nobody_or_waits_less_than_nothing_is_refused(fields: Any) -> None:
    """Other systems make one attempt of none"""
    with pytest.raises(DefinitionError):
        RetryPolicy(**fields)


async def test_an_unknown_error_of_a_model_is_an_answer_of_the_world(path: Path) -> None:
    tried = RetriedRun(path, scripted_agent(KeyError("what")))

    result = await tried.run()

    assert result.termination.detail == "model 'scripted' failed on attempt 1 of 2: unknown: 'what'"


async def test_an_error_without_utf_8_does_not_cost_the_run_its_end(path: Path) -> None:
    result = await RetriedRun(path, scripted_agent(ValueError("\ud800"))).run()

    assert result.termination.detail == "model 'scripted' failed on attempt 1 of 2: unknown: ?"
    assert read_reasons(path)[-1] == "run_finished"


async def test_behaviors_are_told_that_no_model_answered(path: Path) -> None:
    """by the text, which names the model and the kind of error"""

    def note(context: Context) -> list[State]:
        told = (context.phase.value, context.error, context.turn)
        return [State(Append("/told", told[0]))] if told[1:] == (problem, None) else []

    problem = "model 'scripted' failed on attempt 2 of 2: server: server!"
    errors = [model_error("server")] * 2

    await RetriedRun(path, scripted_agent(*errors, behaviors=[PhaseBehavior(note)])).run()

    assert read_state(path) == {"told": ["after_inference", "step_end"]}


async def test_listeners_are_told_of_failed_attempts(path: Path) -> None:
    async with open_runtime(
        path, scripted_agent(model_error("server"), "hello"), effects=CountingEffects()
    ) as runtime:
        events = [event async for event in await runtime.start("planner", "go", thread="t1")]

    assert [e for e in events if isinstance(e, AttemptFailed)] == [
        AttemptFailed("scripted", "server: server!")
    ]


async def test_the_next_run_works_after_every_model_has_failed(path: Path) -> None:
    requests: list[ModelRequest] = []
    planner = scripted_agent(ValueError("no"), recorded_turn(requests, "fine"))

    for _ in range(2):
        await run_agent(path, planner)

    assert request_messages(requests[0]) == [("user", "go"), ("user", "go")]
