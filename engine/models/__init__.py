"""Models: they take requests and stream typed parts. Scripted models, and the models of providers."""

from .history import digest, ends_round, repair_history
from .model import (
    Collector,
    ErrorKind,
    FinishPart,
    Model,
    ModelAnswer,
    ModelError,
    ModelRequest,
    Part,
    TextPart,
    ToolCallDelta,
    ToolCallPart,
    ToolSpec,
    Turn,
)
from .provider import ProviderModel
from .retry import RetryPolicy
from .scripted import Answer, ScriptedModel
from .settings import SETTINGS

__all__ = [
    "Answer",
    "Collector",
    "ErrorKind",
    "FinishPart",
    "Model",
    "ModelError",
    "ModelRequest",
    "ModelAnswer",
    "Part",
    "ProviderModel",
    "RetryPolicy",
    "SETTINGS",
    "ScriptedModel",
    "TextPart",
    "ToolCallDelta",
    "ToolCallPart",
    "ToolSpec",
    "Turn",
    "digest",
    "ends_round",
    "repair_history",
]
