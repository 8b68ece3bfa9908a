"""The eight phases of a run, and which actions are legal in which. Pure."""

from enum import StrEnum


class Phase(StrEnum):
    """A named point in a run, in the order in which they are reached."""

    RUN_START = "run_start"
    """Once, when the run begins."""

    STEP_START = "step_start"
    """Before each inference."""

    BEFORE_INFERENCE = "before_inference"
    """Before each inference, behind `step_start`: the request may still be changed."""

    AFTER_INFERENCE = "after_inference"
    """When the model has answered; its message is not in the conversation yet."""

    BEFORE_TOOL_EXECUTE = "before_tool_execute"
    """Before each tool call."""

    AFTER_TOOL_EXECUTE = "after_tool_execute"
    """After each tool call, failed ones included."""

    STEP_END = "step_end"
    """When the model's message is in the conversation, before its tools are called."""

    RUN_END = "run_end"
    """Once, however the run ends; the run's record has its final status."""
