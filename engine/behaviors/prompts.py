"""Prompts that outlive a request: segments kept in the state, and reminders.

    PutPrompt -> /__prompt_segments -> shown with every request, as its target and cooldown say

A segment stays until it is removed; one for `once` goes when it has really been shown. A request that is
never made, because a behavior ends the run before it, shows nothing and takes nothing away.
"""

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import assert_never

from pydantic import BaseModel

from ...reducers.reducer import Action, Reducer
from ..agents import AddContextMessage, AddMessage, Behavior, Context, Role, Target

SEGMENTS = "/__prompt_segments"


class PromptSegment(BaseModel):
    """A text that the model is shown in every request."""

    key: str
    """Names the segment: there is one of each key."""

    content: str
    target: Target = "system"
    role: Role = "system"
    cooldown: int = 0
    """Steps for which it is not shown again, unless it has changed."""

    once: bool = False
    """Whether it is removed when it was shown."""


class PromptSegments(BaseModel):
    """All segments, in the order in which they are shown."""

    items: list[PromptSegment] = []


class PutPrompt(Action):
    """Show this text from now on. It takes the place of the segment that has its key."""

    segment: PromptSegment


class RemovePrompt(Action):
    """Show the segment no more."""

    key: str


class RemovePrompts(Action):
    """Show none of the segments any more whose keys begin so."""

    prefix: str


class ClearPrompts(Action):
    """Show no segment any more."""


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
    """Shows the segments that behaviors and tools have put into the thread's state."""

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


Reminded = str | Callable[[Context], str | None]


class Reminder(Behavior):
    """Reminds the model of something: with its requests, or behind the results of tools.

    The text may be a function of the context: what it gives, or nothing for None. With `behind` (names of
    tools, or globs) it stands in the conversation, behind what these tools gave; else in every request at
    its very end, once in more than `cooldown` steps as long as it stays the same.
    """

    def __init__(
        self,
        text: Reminded,
        *,
        behind: Sequence[str] | None = None,
        cooldown: int = 0,
        name: str = "Reminder",
    ) -> None:
        self._text = text
        self._behind = behind
        self._cooldown = cooldown
        self._name = name
        self.settings = {
            "text": text if isinstance(text, str) else None,
            "behind": None if behind is None else list(behind),
            "cooldown": cooldown,
        }

    @property
    def name(self) -> str:
        return self._name

    def before_inference(self, context: Context) -> AddContextMessage | None:
        if self._behind is not None or not (text := self._said(context)):
            return None
        key = f"reminder:{self._name}"
        return AddContextMessage(key, system_reminder(text), "suffix_system", cooldown=self._cooldown)

    def after_tool_execute(self, context: Context) -> AddMessage | None:
        if not (context.outcome and self._follows(context.outcome.name)):
            return None
        if context.outcome.outcome == "suspended" or not (text := self._said(context)):
            return None
        return AddMessage(system_reminder(text))

    def _follows(self, tool: str) -> bool:
        return any(fnmatchcase(tool, pattern) for pattern in self._behind or ())

    def _said(self, context: Context) -> str | None:
        return self._text(context) if callable(self._text) else self._text


def system_reminder(text: str) -> str:
    """The text, marked as a reminder of the system's and no word of the user's."""
    return f"<system-reminder>{text}</system-reminder>"
