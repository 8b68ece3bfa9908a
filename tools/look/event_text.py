"""Durable events in words, one line each, for `threadlog follow`."""

from ...engine.events import (
    AssistantTurn,
    ChildStarted,
    DurableEvent,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    StateChanged,
    Steered,
    StepFinished,
    ToolCallDecided,
    ToolCallFinished,
    ToolCallSuspended,
)
from ...reducers.tool_call import Suspension
from ..terminal import compact_json
from ..wording import call_text, decision_text, end_text, outcome_style


def event_text(event: DurableEvent) -> tuple[str, str]:
    """Return an event in words, and its color."""
    match event:
        case RunStarted(run_id, thread_id):
            return f"run {run_id} starts on thread {thread_id}", "bold"
        case RunResumed(run_id):
            return f"run {run_id} resumes", "bold"
        case Steered(message):
            return f"user: {message.content}", "cyan"
        case AssistantTurn(message):
            calls = [f"→ {call_text(call)}" for call in message.tool_calls]
            return " ".join(filter(None, ["assistant:", message.content, *calls])), "green"
        case ToolCallSuspended(call_id, name, suspension):
            return f"{name} is waiting for approval: {_question(call_id, suspension)}", "bold yellow"
        case ToolCallDecided(call_id, decision):
            return f"call {call_id} was {decision_text(decision)}", "cyan"
        case ToolCallFinished(outcome):
            text = f"{outcome.name} {outcome.outcome}: {compact_json(outcome.result)}"
            return text, outcome_style(outcome)
        case StateChanged(operations, source):
            return f"state changed by {source}: {compact_json([dict(each) for each in operations])}", "dim"
        case ChildStarted(run_id, _, agent):
            return f"run {run_id} of {agent} starts below this run", "bold"
        case StepFinished(step):
            return f"step {step} finished", "dim"
        case RunFinished(result):
            return _end(result), "bold"


def _question(call_id: str, suspension: Suspension) -> str:
    parameters = compact_json(suspension.parameters)
    return f"{suspension.message} {parameters}, call {call_id}, ticket {suspension.ticket}"


def _end(result: RunResult) -> str:
    if result.status == "waiting":
        return "run waits for a person"
    output = f", {compact_json(result.output)}" if result.output is not None else ""
    return f"run finished: {end_text(result.termination)}{output}"
