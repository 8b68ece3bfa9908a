"""How the demo prints what happens, in lines that fit a terminal of 80 columns."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.padding import Padding
from rich.text import Text

from ...engine import Run, RunResult
from ...engine.events import AssistantTurn, AttemptFailed, Event, ToolCallFinished
from ..terminal import compact_json, console, styled_text
from ..wording import call_text, outcome_style


@contextmanager
def silence(is_quiet: bool) -> Iterator[None]:
    """Print nothing inside the block if `is_quiet`."""
    before, console.quiet = console.quiet, is_quiet or console.quiet
    try:
        yield
    finally:
        console.quiet = before


def heading(text: str) -> None:
    """Print a rule with an empty line above it."""
    console.print()
    console.rule(styled_text(text, "bold"), align="left")


def say(text: object, style: str = "", *, indent: int = 0) -> None:
    """Print sentences, wrapped at the width of the terminal."""
    content = styled_text(text, style)
    console.print(Padding(content, (0, 0, 0, indent), expand=False) if indent else content)


def print_line(text: Text) -> None:
    """Print one line. A line that is too long is cut."""
    console.print(text, no_wrap=True, overflow="ellipsis")


def short(name: str) -> str:
    """Shorten a long id to the beginning of its last part."""
    before, prefix, id = name.rpartition("sub-agent-")
    return name if len(id) <= 12 else f"{before}{prefix}{id[:8]}…"


async def follow(run: Run) -> RunResult:
    """Print what a run does until it finishes or waits; return the result."""
    async for event in run:
        _print_event(event)
    return await run.result()


def _print_event(event: Event) -> None:
    match event:
        case AssistantTurn(message):
            if message.content:
                say(f"model: {message.content}", "green", indent=2)
            for call in message.tool_calls:
                print_line(styled_text(f"  → {call_text(call)}", "bold green"))
        case AttemptFailed(model, problem):
            say(f"Model {model} failed: {problem}", "red", indent=2)
        case ToolCallFinished(outcome):
            note = "" if outcome.outcome == "succeeded" else "the model reads "
            text = f"    ← {note}{compact_json(outcome.result)}"
            print_line(styled_text(text, outcome_style(outcome)))
