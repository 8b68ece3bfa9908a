"""Every error that threadlog raises, as one tree: a class exists where a caller would act differently.

ThreadlogError
├── LogError                  the file
│   ├── LogNotFound           there is no such file
│   ├── NotALog               the file is something else: a text, an image, another database
│   ├── NewerFormat           a later threadlog wrote it: upgrade
│   ├── OlderFormat           a version before the first release wrote it
│   ├── CorruptLog            the bytes are not what was written: run `threadlog verify`
│   ├── LogUnavailable        it cannot be written now: disk full, read-only, locked too long, closed
│   ├── VersionConflict       another writer appended first: read what it wrote, then decide again
│   └── ChangesetExists       a changeset with this id and other content is in the log
├── NotFound                  there is no such thread, version or run
├── ContentError              a value that the log cannot store
├── PatchError                a patch does not fit the document
├── ActionError               an action does not fit the state
├── PhaseError                an action is not legal in this phase
├── BehaviorError             a behavior failed: its run ends with this error
├── EffectError               an effect of a behavior failed
├── ToolError                 a tool call failed: the model reads why, and the run continues
├── ModelError                a model did not answer
├── DefinitionError           an agent, tool, reducer or behavior is declared in a way that cannot work
└── RunError                  a run cannot be started or continued as asked
    ├── RunOver               the run is finished
    └── ThreadAlreadyRunning  another run is active on the thread
"""

from .engine.agents import ToolError
from .engine.models import ModelError
from .store.errors import (
    ActionError,
    BehaviorError,
    ChangesetExists,
    ContentError,
    CorruptLog,
    DefinitionError,
    EffectError,
    LogError,
    LogNotFound,
    LogUnavailable,
    NewerFormat,
    NotALog,
    NotFound,
    OlderFormat,
    PatchError,
    PhaseError,
    RunError,
    RunOver,
    ThreadAlreadyRunning,
    ThreadlogError,
    VersionConflict,
)

__all__ = [
    "ThreadlogError",
    "LogError",
    "LogNotFound",
    "NotALog",
    "NewerFormat",
    "OlderFormat",
    "CorruptLog",
    "LogUnavailable",
    "VersionConflict",
    "ChangesetExists",
    "NotFound",
    "ContentError",
    "PatchError",
    "ActionError",
    "PhaseError",
    "BehaviorError",
    "EffectError",
    "ToolError",
    "ModelError",
    "DefinitionError",
    "RunError",
    "RunOver",
    "ThreadAlreadyRunning",
]
