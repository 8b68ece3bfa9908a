"""The fields of a changeset and of a message that a workspace does not fill in by itself."""

from typing import Literal, TypedDict

from ...store.changeset import (
    AgentFacts,
    Executor,
    Inference,
    Orphan,
    RunFacts,
    ThreadFacts,
    ToolCall,
    ToolOutcome,
)


class MessageFields(TypedDict, total=False):
    """The further fields of a message."""

    step: int | None
    tool_calls: tuple[ToolCall, ...]
    tool_call_id: str | None
    visibility: Literal["all", "internal"]
    provider: str | None


class Facts(TypedDict, total=False):
    """The further fields of a changeset."""

    run: RunFacts
    executor: Executor
    agent: AgentFacts
    thread: ThreadFacts | None
    inference: Inference | None
    tool_calls: tuple[ToolOutcome, ...]
    orphan: Orphan
