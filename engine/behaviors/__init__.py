"""Ready-made behaviors: permission, prompts, hand-off, compaction, truncation."""

from .compaction import COMPACTION_REDUCER, Compaction
from .handoff import HANDOFF, HANDOFF_REDUCER, Handoff
from .permission import (
    OVERRIDE_REDUCER,
    PERMISSION_REDUCER,
    POLICY,
    OverridePermission,
    Permission,
    RemovePermission,
    SetPermission,
)
from .prompts import (
    PROMPT_REDUCER,
    ClearPrompts,
    Prompts,
    PromptSegment,
    PutPrompt,
    Reminder,
    RemovePrompt,
    RemovePrompts,
)
from .truncation import Truncation

__all__ = [
    "COMPACTION_REDUCER",
    "ClearPrompts",
    "Compaction",
    "HANDOFF",
    "HANDOFF_REDUCER",
    "Handoff",
    "OVERRIDE_REDUCER",
    "OverridePermission",
    "PERMISSION_REDUCER",
    "POLICY",
    "PROMPT_REDUCER",
    "Permission",
    "PromptSegment",
    "Prompts",
    "PutPrompt",
    "Reminder",
    "RemovePermission",
    "RemovePrompt",
    "RemovePrompts",
    "SetPermission",
    "Truncation",
]
