"""The eight phases of a run. Pure."""

from enum import StrEnum


class Phase(StrEnum):
    """The phases, in the order of a run."""

    RUN_START = "run_start"
    """Once, when the run begins."""

    STEP_START = "step_start"
    """Before each inference."""

    BEFORE_INFERENCE = "before_inference"
    """Before each inference, after `step_start`. Actions may change the request."""

    AFTER_INFERENCE = "after_inference"
    """After each inference. The answer is not in the conversation yet."""

    BEFORE_TOOL_EXECUTE = "before_tool_execute"
    """Before each tool call."""

    AFTER_TOOL_EXECUTE = "after_tool_execute"
    """After each tool call, also if it failed."""

    STEP_END = "step_end"
    """When the answer is in the conversation, before its tools are called."""

    RUN_END = "run_end"
    """Once, however the run ends. The record of the run has its final status."""
