"""The shell: runs agents. The only floor that touches the world: clock, ids, models, tools.

effects     time, ids, model and tool calls
model       what a model is: requests in, typed parts out
scripted    a model that says what it was told to say
provider    real models by name, over pydantic-ai (provider_client asks, provider_messages converts)
tool        plain functions that a model may call
behavior    how a user takes part in a run
agent       name, model, instructions, tools, behaviors
workspace   reduce, queue, commit: the one place from which a run writes
publish     from commits to events
loop        the run loop
run         the handle of a run
runtime     an open log, its agents, the runs that go on
"""

from ..store.changeset import ToolCall
from .agent import Agent
from .behavior import Behavior, Context, State
from .effects import Effects
from .events import RunResult
from .model import Model, ModelRequest, Turn
from .provider import ProviderModel
from .run import Run
from .runtime import Runtime
from .scripted import ScriptedModel
from .tool import Tool, ToolContext, ToolError, ToolResult, tool

__all__ = [
    "Agent",
    "Runtime",
    "Run",
    "RunResult",
    "tool",
    "Tool",
    "ToolContext",
    "ToolResult",
    "ToolError",
    "ToolCall",
    "Behavior",
    "Context",
    "State",
    "Model",
    "ModelRequest",
    "Turn",
    "ScriptedModel",
    "ProviderModel",
    "Effects",
]
