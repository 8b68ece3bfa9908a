"""How the acts print what they do, in lines that fit a terminal of 80 columns."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.padding import Padding
from rich.text import Text

from ...engine import Decision, Run, RunResult
from ...engine.events import AssistantTurn, AttemptFailed, Event, ToolCallFinished
from ...reducers.tool_call import ToolCallState
from ..terminal import compact_json, console, styled_text
from ..wording import call_text, outcome_style


@contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Print nothing inside the block, if wanted."""
    before, console.quiet = console.quiet, wanted or console.quiet
    try:
        yield
    finally:
        console.quiet = before


def heading(text: str) -> None:
    """Print a rule with an empty line above it."""
    console.print()
    console.rule(styled_text(text, "bold"), align="left")


def say(text: object, style: str = "", *, indent: int = 0) -> None:
    """Print sentences, folded to the terminal's width."""
    console.print(Padding(styled_text(text, style), (0, 0, 0, indent), expand=False))


def print_line(text: Text) -> None:
    """Print one line; what does not fit is cut off."""
    console.print(text, no_wrap=True, overflow="ellipsis")


def short(name: str) -> str:
    """Shorten a long id to the beginning of its last part."""
    before, prefix, id = name.rpartition("sub-agent-")
    return name if len(id) <= 12 else f"{before}{prefix}{id[:8]}…"


async def follow(run: Run) -> RunResult:
    """Print what a run does until it ends or waits; return the result."""
    async for event in run:
        _print_event(event)
    return await run.result()


def print_decision(call: ToolCallState, decision: Decision) -> None:
    """Print a question and a person's answer."""
    print_line(styled_text(f"  ? may {call.name} be called with {compact_json(call.arguments)}", "bold cyan"))
    print_line(styled_text(f"    {'yes' if decision.approved else f'no: {decision.reason}'}", "cyan"))


def _print_event(event: Event) -> None:
    match event:
        case AssistantTurn(message):
            if message.content:
                say(message.content, "green", indent=2)
            for call in message.tool_calls:
                print_line(styled_text(f"  → {call_text(call)}", "bold green"))
        case AttemptFailed(model, problem):
            say(f"{model} failed ({problem}), it is asked again", "red", indent=2)
        case ToolCallFinished(outcome):
            text = f"    {outcome.outcome}: {compact_json(outcome.result)}"
            print_line(styled_text(text, outcome_style(outcome)))
