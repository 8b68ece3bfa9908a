"""The shell: runs agents. The only floor that touches the world: clock, ids, models, tools.

effects     time, ids, model and tool calls
model       what a model is: requests in, typed parts out
scripted    a model that says what it was told to say
tool        plain functions that a model may call
behavior    how a user takes part in a run
agent       name, model, instructions, tools, behaviors (registry.py: a snapshot of all agents)
workspace   reduce, queue, commit: the one place from which a run writes (journal.py: where to)
facts       what a changeset says to those who listen
publish     from commits to events
stream      one run's events to any number of listeners (waiters.py: how they are woken)
follow      the streams of all runs, those executed elsewhere too
epoch       how an epoch of a run begins and ends
loop        the run loop (step.py, round.py, phases.py: its parts)
entries     what is wanted of a run, in its control stream
control     the run's ear for it; inbox: on its way to the calls and words it is for
closing     the ends that others write: of runs that wait, and of superseded ones
liveness    who is alive: a lock for each open runtime (locks.py, flock.py, windows_lock.py: its kinds)
recovery    finds runs whose process died (orphan.py: what is written of them; ledger.py: of their calls)
replay      a recorded run executed again (record.py: the world as it was; divergence.py: what differs)
launch      begins epochs of runs, and executes them
dispatch    who acts on what is wanted: runs here, runs that wait, queued ones
run         the handle of a run
runs, views what may be wanted of runs, and asked about them (ends.py: to bring them to their end)
delegation  the tools with which an agent has others work for it (fork.py: what they are given)
sub_agents  how those are: a view of each one's own log
catalogue   a behavior: shows an agent who may work for it, and how those are that do
equipment   an agent as it runs, with the behaviors and tools for the others
runtime     an open log, its agents, the runs that go on

permission  a behavior: calls that are allowed, refused, or asked about (rule.py: which ones)
prompts     behaviors: texts that stay in the request, and reminders
handoff     a behavior: another agent takes over on the same thread
compaction  a behavior: a summary in the place of old messages (excerpt.py: what is shown)
truncation  a behavior: the oldest messages left out of requests that are too long
output      the structured output of a run

a2a/        agents behind the A2A protocol: those of others, followed, and ours, served
"""

from ..store.changeset import ToolCall
from .a2a.agent import RemoteAgent
from .actions import (
    AddContextMessage,
    AddMessage,
    AddRequestTransform,
    Block,
    ExcludeTool,
    IncludeOnlyTools,
    OverrideInference,
    OverrideModel,
    SetToolResult,
    State,
    Suspend,
    Terminate,
)
from .agent import Agent
from .behavior import Behavior, Context
from .compaction import Compaction
from .decision import Decision
from .effects import Effects
from .events import RunResult
from .handoff import Handoff
from .inference import RetryPolicy
from .model import Model, ModelError, ModelRequest, Paid, Turn
from .permission import OverridePermission, Permission, RemovePermission, SetPermission
from .prompts import (
    ClearPrompts,
    Prompts,
    PromptSegment,
    PutPrompt,
    Reminder,
    RemovePrompt,
    RemovePrompts,
)
from .provider import ProviderModel
from .recovery import Recovered
from .registry import Registry
from .run import Run
from .runtime import Runtime
from .scripted import ScriptedModel
from .stop import ConsecutiveErrors, ContentMatch, LoopDetection, MaxRounds, StopOnTool, Timeout, TokenBudget
from .sub_agents import SubAgent
from .tool import Tool, ToolContext, ToolError, ToolResult, tool
from .truncation import Truncation
from .views import ActiveRun

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
    "Paid",
    "ScriptedModel",
    "ProviderModel",
    "Effects",
]
