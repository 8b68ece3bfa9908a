"""The optional fields of messages and changesets that a `Workspace` takes as keyword arguments."""

from typing import Literal, TypedDict

from ...store.changeset import (
    AgentSnapshot,
    Executor,
    Inference,
    Orphan,
    RunStatus,
    ThreadMetadata,
    ToolCall,
    ToolOutcome,
)


class MessageFields(TypedDict, total=False):
    """Optional fields of a message."""

    step: int | None
    tool_calls: tuple[ToolCall, ...]
    tool_call_id: str | None
    visibility: Literal["all", "internal"]
    provider: str | None


class ChangesetFields(TypedDict, total=False):
    """Optional fields of a changeset."""

    run: RunStatus
    executor: Executor
    agent: AgentSnapshot
    thread: ThreadMetadata | None
    inference: Inference | None
    tool_calls: tuple[ToolOutcome, ...]
    finished_step: int | None
    orphan: Orphan
