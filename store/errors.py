"""The errors of the log, of the state and of runs. `threadlog.errors` shows the whole tree."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .changeset import Changeset


class ThreadlogError(Exception):
    """Base of every error of this package."""


class LogError(ThreadlogError):
    """A problem with the log file."""


class LogNotFound(LogError):
    """There is no file at this path. A log is created by opening it for writing."""


class NotALog(LogError):
    """The file is not a threadlog log. Nothing was changed in it."""


class NewerFormat(LogError):
    """The file was written by a later version of threadlog. Upgrade to read it."""


class OlderFormat(LogError):
    """The file was written by a version before the first release. Read it with that version."""


class CorruptLog(LogError):
    """The bytes are not what was written. Stop writing, copy the file, run `threadlog verify`."""


class LogUnavailable(LogError):
    """The log cannot be written now. Acknowledged appends are safe; this one was not written."""


class VersionConflict(LogError):
    """Another writer appended to the thread since it was read. Nothing was written.

    `between` holds the changesets in between: read them and decide again. Never retry the same changeset.
    """

    def __init__(
        self, thread_id: str, expected: int, actual: int, between: "Sequence[Changeset]" = ()
    ) -> None:
        super().__init__(thread_id, expected, actual, tuple(between))
        self.thread_id = thread_id
        self.expected = expected
        self.actual = actual
        self.between = tuple(between)

    def __str__(self) -> str:
        return (
            f"thread {self.thread_id!r} is at version {self.actual}, not {self.expected}; "
            "read what came between and decide again"
        )


class ChangesetExists(LogError):
    """A changeset with this id and other content is in the log. Nothing was written."""


class NotFound(ThreadlogError):
    """There is no such thread, version or run in this log."""


class ContentError(ThreadlogError):
    """A value that the log cannot store. Nothing was written.

    `pointer` (RFC 6901) locates the problem in the refused value.
    """

    def __init__(self, problem: str, pointer: str = "") -> None:
        super().__init__(problem, pointer)
        self.problem = problem
        self.pointer = pointer

    def __str__(self) -> str:
        return f"{self.problem} at {self.pointer!r}" if self.pointer else self.problem


class PatchError(ThreadlogError):
    """An operation does not fit the document, which is unchanged.

    `index` is the position of the operation in its patch; `operation` the operation itself.
    """

    def __init__(self, problem: str, index: int = 0, operation: Any = None) -> None:
        super().__init__(problem, index, operation)
        self.problem = problem
        self.index = index
        self.operation = operation

    def __str__(self) -> str:
        return f"operation {self.index}: {self.problem}"


class ActionError(ThreadlogError):
    """An action does not fit the state. It was not applied."""


class PhaseError(ThreadlogError):
    """An action was returned in a phase where it is not legal. Nothing was written."""


class BehaviorError(ThreadlogError):
    """A behavior raised, or returned what it may not. Its run ends with this error; other runs continue."""

    def __init__(self, behavior: str, phase: str, problem: str) -> None:
        super().__init__(behavior, phase, problem)
        self.behavior = behavior
        self.phase = phase
        self.problem = problem

    def __str__(self) -> str:
        return f"behavior {self.behavior!r} failed in {self.phase}: {self.problem}"


class EffectError(ThreadlogError):
    """An effect of a behavior failed, or its answer cannot be stored."""


class DefinitionError(ThreadlogError):
    """An agent, tool, reducer or behavior is declared in a way that cannot work."""


class RunError(ThreadlogError):
    """A run cannot be started or continued as asked. Nothing was written."""


class RunOver(RunError):
    """The run is finished and accepts no command. Nothing was written."""

    def __init__(self, run_id: str, how: str) -> None:
        super().__init__(run_id, how)
        self.run_id = run_id
        self.how = how

    def __str__(self) -> str:
        return f"run {self.run_id!r} is over ({self.how}): start another one on its thread"


class ThreadAlreadyRunning(RunError):
    """Another run is active on the thread. Nothing was written.

    `tickets` are the approvals that it waits for, if any.
    """

    def __init__(self, thread_id: str, run_id: str, status: str, tickets: Sequence[str] = ()) -> None:
        super().__init__(thread_id, run_id, status, tuple(tickets))
        self.thread_id = thread_id
        self.run_id = run_id
        self.status = status
        self.tickets = tuple(tickets)

    def __str__(self) -> str:
        what = f"waits for {list(self.tickets)}" if self.tickets else f"is {self.status}"
        return (
            f"run {self.run_id!r} {what} on thread {self.thread_id!r}: wait for its end, cancel it, "
            "or start with if_active='supersede' or 'queue'"
        )


def in_words(err: BaseException) -> str:
    """Return the text of an error as the log can store it, or its repr if it has none."""
    return keepable(str(err) or repr(err))


def keepable(text: str) -> str:
    """Return a text without lone surrogates, which the log cannot store: each becomes `?`."""
    return text.encode(errors="replace").decode()
