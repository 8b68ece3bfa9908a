"""Prompts: text segments that the state keeps for every request, and reminders.

    PutPrompt -> /__prompt_segments -> shown with every request, at its target, with its cooldown

A segment stays until it is removed. A segment with `once` is removed after a request has shown it. If a
behavior ends the run before the request, the segment was not shown, and it stays.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import assert_never

from pydantic import BaseModel

from ...reducers.reducer import Action, Reducer
from ..agents import AddContextMessage, AddMessage, Behavior, Context, Role, Target

SEGMENTS = "/__prompt_segments"


class PromptSegment(BaseModel):
    """A text that every request shows to the model."""

    key: str
    """The unique key of the segment."""

    content: str
    target: Target = "system"
    role: Role = "system"
    cooldown: int = 0
    """How many steps to wait before an unchanged text is shown again."""

    once: bool = False
    """Whether the segment is removed once it was shown."""


class PromptSegments(BaseModel):
    """The segments of a thread, in the order in which they are shown."""

    items: list[PromptSegment] = []


class PutPrompt(Action):
    """Add a segment, or replace the segment with the same key."""

    segment: PromptSegment


class RemovePrompt(Action):
    """Remove the segment with this key."""

    key: str


class RemovePrompts(Action):
    """Remove all segments whose keys begin with this prefix."""

    prefix: str


class ClearPrompts(Action):
    """Remove all segments."""


def _reduce(
    slice: PromptSegments, action: PutPrompt | RemovePrompt | RemovePrompts | ClearPrompts
) -> PromptSegments:
    items = slice.items
    match action:
        case PutPrompt(segment=segment) if any(item.key == segment.key for item in items):
            return PromptSegments(items=[segment if item.key == segment.key else item for item in items])
        case PutPrompt(segment=segment):
            return PromptSegments(items=[*items, segment])
        case RemovePrompt(key=key):
            return PromptSegments(items=[item for item in items if item.key != key])
        case RemovePrompts(prefix=prefix):
            return PromptSegments(items=[item for item in items if not item.key.startswith(prefix)])
        case ClearPrompts():
            return PromptSegments()
    assert_never(action)


PROMPT_REDUCER = Reducer(
    "prompts",
    PromptSegments,
    (PutPrompt, RemovePrompt, RemovePrompts, ClearPrompts),
    SEGMENTS,
    "thread",
    _reduce,
    reserved=True,
)


class Prompts(Behavior):
    """Shows the model the segments that behaviors and tools have put into the state."""

    reducers = (PROMPT_REDUCER,)

    def before_inference(self, context: Context) -> Iterator[AddContextMessage]:
        for segment in PromptSegments.model_validate(context.read(SEGMENTS, {})).items:
            yield AddContextMessage(
                key=segment.key,
                content=segment.content,
                target=segment.target,
                role=segment.role,
                cooldown=segment.cooldown,
                on_emit=RemovePrompt(key=segment.key) if segment.once else None,
            )


ReminderText = str | Callable[[Context], str | None]


class Reminder(Behavior):
    """Reminds the model of something, in its requests or after the results of tools.

    The text may be a function of the context that returns a text, or None for no reminder. With `after_tools`
    (names or globs of tools), the reminder joins the conversation after each result of these tools. Otherwise
    it is shown at the end of each request; an unchanged text again only after more than `cooldown` steps.
    """

    def __init__(
        self,
        text: ReminderText,
        *,
        after_tools: Sequence[str] | None = None,
        cooldown: int = 0,
        name: str = "Reminder",
    ) -> None:
        self._text = text
        self._after_tools = after_tools
        self._cooldown = cooldown
        self._name = name
        self.settings = {
            "text": text if isinstance(text, str) else None,
            "after_tools": None if after_tools is None else list(after_tools),
            "cooldown": cooldown,
        }

    @property
    def name(self) -> str:
        return self._name

    def before_inference(self, context: Context) -> AddContextMessage | None:
        if self._after_tools is not None or not (text := self._current_text(context)):
            return None
        key = f"reminder:{self._name}"
        return AddContextMessage(key, system_reminder(text), "suffix_system", cooldown=self._cooldown)

    def after_tool_execute(self, context: Context) -> AddMessage | None:
        if not (context.outcome and self._follows(context.outcome.name)):
            return None
        if context.outcome.outcome == "suspended" or not (text := self._current_text(context)):
            return None
        return AddMessage(system_reminder(text))

    def _follows(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self._after_tools or ())

    def _current_text(self, context: Context) -> str | None:
        return self._text(context) if callable(self._text) else self._text


def system_reminder(text: str) -> str:
    """Return the text marked as a reminder of the system, which sets it apart from the user's words."""
    return f"<system-reminder>{text}</system-reminder>"
