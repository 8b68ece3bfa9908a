"""How `threadlog follow` writes a durable event on one line."""

from ...engine.events import (
    AssistantTurn,
    Fact,
    RunFinished,
    RunResult,
    RunResumed,
    RunStarted,
    Steered,
    ToolDecided,
    ToolFinished,
    ToolSuspended,
)
from ...reducers.tool_call import Suspension
from ..terminal import compact
from ..wording import call_text, decision_text, end_text, outcome_style


def event_text(fact: Fact) -> tuple[str, str]:
    """Return an event in words, and its color."""
    match fact:
        case RunStarted(run_id, thread_id):
            return f"run {run_id} begins on thread {thread_id}", "bold"
        case RunResumed(run_id):
            return f"run {run_id} resumes", "bold"
        case Steered(message):
            return f"user: {message.content}", "cyan"
        case AssistantTurn(message):
            calls = [f"→ {call_text(call)}" for call in message.tool_calls]
            return " ".join(filter(None, ["assistant:", message.content, *calls])), "green"
        case ToolSuspended(call_id, name, suspension):
            return f"{name} waits for a decision: {_question(call_id, suspension)}", "bold yellow"
        case ToolDecided(call_id, decision):
            return f"call {call_id} is {decision_text(decision)}", "cyan"
        case ToolFinished(outcome):
            text = f"{outcome.name} {outcome.outcome}: {compact(outcome.result)}"
            return text, outcome_style(outcome)
        case RunFinished(result):
            return _end(result), "bold"


def _question(call_id: str, suspension: Suspension) -> str:
    parameters = compact(suspension.parameters)
    return f"{suspension.message} {parameters}, call {call_id}, ticket {suspension.ticket}"


def _end(result: RunResult) -> str:
    if result.status == "waiting":
        return "the run waits for a person"
    output = f", {compact(result.output)}" if result.output is not None else ""
    return f"the run is over: {end_text(result.termination)}{output}"
