"""What a user declares: agents, tools, behaviors, stop policies, and the registry that holds them."""

from .actions import (
    AddContextMessage,
    AddMessage,
    AddRequestTransform,
    Block,
    ExcludeTool,
    IncludeOnlyTools,
    OverrideInference,
    OverrideModel,
    PhaseAction,
    Role,
    SetToolResult,
    State,
    Suspend,
    Target,
    Terminate,
    refuse_illegal,
)
from .agent import Agent
from .behavior import Behavior, Context, PhaseActions, PhaseResult
from .behavior_order import order_behaviors
from .output import FINAL_OUTPUT, MAX_REMINDERS, NOT_GIVEN, REMINDER, find_output, restore_output
from .registry import Registered, Registry
from .remote_agent import RemoteAgent
from .stop_policy import (
    ConsecutiveErrors,
    ContentMatch,
    LoopDetection,
    MaxRounds,
    Progress,
    RoundSummary,
    StopOnTool,
    Timeout,
    TokenBudget,
    check_policies,
    past_rounds,
)
from .tool import Tool, tool
from .tool_context import ToolContext
from .tool_parameters import summarize_errors
from .tool_result import ToolAnswer, ToolError, ToolResult

__all__ = [
    "AddContextMessage",
    "AddMessage",
    "AddRequestTransform",
    "Agent",
    "Behavior",
    "Block",
    "ConsecutiveErrors",
    "ContentMatch",
    "Context",
    "ExcludeTool",
    "FINAL_OUTPUT",
    "IncludeOnlyTools",
    "LoopDetection",
    "MAX_REMINDERS",
    "MaxRounds",
    "NOT_GIVEN",
    "OverrideInference",
    "OverrideModel",
    "PhaseAction",
    "Progress",
    "REMINDER",
    "Registered",
    "Registry",
    "RemoteAgent",
    "PhaseResult",
    "Role",
    "RoundSummary",
    "SetToolResult",
    "State",
    "StopOnTool",
    "Suspend",
    "Target",
    "Terminate",
    "Timeout",
    "TokenBudget",
    "Tool",
    "ToolAnswer",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "PhaseActions",
    "check_policies",
    "find_output",
    "order_behaviors",
    "past_rounds",
    "refuse_illegal",
    "restore_output",
    "summarize_errors",
    "tool",
]
