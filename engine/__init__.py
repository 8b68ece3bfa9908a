"""The engine runs agents. Only this layer touches the world: clock, ids, models, tools, network.

Packages, from the top down; each imports only packages below it:

runtime      an open log, its agents, and the runs executed here
serve        agents for other programs: A2A
replay       a recorded run executed again and compared with its log
delegation   sub-agents as tools
runs         starting, finding, cancelling and recovering runs
remote       runs that follow an A2A task on another machine
loop         executing one epoch: steps, model calls, tool rounds
control      commands to a run, and endings written on its behalf
commit       how a run writes: workspace, append, publish
behaviors    ready-made behaviors
agents       what a user declares
events       what subscribers receive
models       what a model is, and the models of providers
"""

from ..store.changeset import ToolCall
from .agents import (
    AddContextMessage,
    AddMessage,
    AddRequestTransform,
    Agent,
    Behavior,
    Block,
    ConsecutiveErrors,
    ContentMatch,
    Context,
    ExcludeTool,
    IncludeOnlyTools,
    LoopDetection,
    MaxRounds,
    OverrideInference,
    OverrideModel,
    Registry,
    RemoteAgent,
    SetToolResult,
    State,
    StopOnTool,
    Suspend,
    Terminate,
    Timeout,
    TokenBudget,
    Tool,
    ToolContext,
    ToolError,
    ToolResult,
    tool,
)
from .behaviors import (
    ClearPrompts,
    Compaction,
    Handoff,
    OverridePermission,
    Permission,
    Prompts,
    PromptSegment,
    PutPrompt,
    Reminder,
    RemovePermission,
    RemovePrompt,
    RemovePrompts,
    SetPermission,
    Truncation,
)
from .commit import Effects, SystemEffects
from .control import Decision
from .events import RunResult
from .models import (
    Model,
    ModelAnswer,
    ModelError,
    ModelRequest,
    ProviderModel,
    RetryPolicy,
    ScriptedModel,
    Turn,
)
from .runs import ActiveRun, Recovered, Run, SubAgent
from .runtime import Runtime

__all__ = [
    "Agent",
    "RemoteAgent",
    "Runtime",
    "Run",
    "RunResult",
    "ActiveRun",
    "SubAgent",
    "Recovered",
    "Registry",
    "tool",
    "Tool",
    "ToolContext",
    "ToolResult",
    "ToolError",
    "ToolCall",
    "Behavior",
    "Context",
    "State",
    "AddContextMessage",
    "AddMessage",
    "AddRequestTransform",
    "Block",
    "ExcludeTool",
    "IncludeOnlyTools",
    "OverrideInference",
    "OverrideModel",
    "SetToolResult",
    "Suspend",
    "Terminate",
    "Permission",
    "SetPermission",
    "RemovePermission",
    "OverridePermission",
    "Prompts",
    "PromptSegment",
    "PutPrompt",
    "RemovePrompt",
    "RemovePrompts",
    "ClearPrompts",
    "Reminder",
    "Handoff",
    "Compaction",
    "Truncation",
    "Decision",
    "RetryPolicy",
    "MaxRounds",
    "Timeout",
    "TokenBudget",
    "ConsecutiveErrors",
    "StopOnTool",
    "ContentMatch",
    "LoopDetection",
    "ModelError",
    "Model",
    "ModelRequest",
    "Turn",
    "ModelAnswer",
    "ScriptedModel",
    "ProviderModel",
    "Effects",
    "SystemEffects",
]
