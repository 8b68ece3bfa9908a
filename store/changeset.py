"""What one append writes: the changeset and the records it is made of. Data only, frozen and closed."""

from typing import Literal, Self

from pydantic import Field, JsonValue, model_validator

from .message import Message as Message
from .message import Origin as Origin
from .message import ToolCall as ToolCall
from .outcome import Attempt as Attempt
from .outcome import EffectRecord as EffectRecord
from .outcome import Inference as Inference
from .outcome import Interruption as Interruption
from .outcome import ToolOutcome as ToolOutcome
from .outcome import Usage as Usage
from .record import Int64 as Int64
from .record import Record as Record

Scope = Literal["thread", "run", "tool_call"]

Reason = Literal[
    "run_started",
    "user_message",
    "assistant_turn",
    "tools_started",
    "tool_results",
    "decision",
    "run_suspended",
    "run_resumed",
    "run_finished",
    "edited",
    "superseded",
    "recovered",
    "mirrored",
    "control",
]


ToolExecution = Literal["sequential", "parallel", "parallel_batch_approval"]

CONTROL = "control/"
"""How the names of control streams begin. Nothing else may be called so."""


def control_stream(run_id: str) -> str:
    """The name of the stream to which everything that is wanted of a run is appended."""
    return CONTROL + run_id


class ActionRecord(Record):
    """The intent behind a change of state: enough to reduce it again."""

    reducer: str
    """The reducer's name: `generic`, one of the kernel's, or the user's."""

    action: str
    """The action's name: `Set`, `Increment`, … or the name of the user's class."""

    payload: dict[str, JsonValue] = Field(default_factory=dict)
    """The action's own fields."""

    scope: Scope = "thread"
    """Which part of the state it is routed to."""

    call_id: str | None = None
    """The tool call whose part of the state is meant, in the scope `tool_call`."""

    source: str
    """Who asked: `agent_loop`, `behavior:<name>:<phase>`, `tool:<name>`."""


class TrackedPatch(Record):
    """An effect on the state, with who made it."""

    operations: tuple[dict[str, JsonValue], ...]
    """RFC 6902 operations, applied in order, all or none."""

    source: str
    """Who made it, as in the action."""

    action: int | None = None
    """The index in the changeset's actions of the one it came from; none for a patch made by hand."""


class Termination(Record):
    """Why a run ended or paused."""

    type: Literal["natural_end", "behavior_requested", "stopped", "cancelled", "suspended", "error"]
    """The kind of end."""

    code: str | None = None
    """Of `stopped`: which rule stopped it."""

    detail: str | None = None
    """The rest, in words: the error's message, the rule's reason."""

    interrupted: Interruption | None = None
    """Of `cancelled`: what the run was waiting for."""


class RunStatus(Record):
    """Where a run stands, written when that changes."""

    status: Literal["running", "waiting", "done"]
    """`done` is final within an epoch."""

    termination: Termination | None = None
    """Set when the run is not running."""

    usage: Usage = Usage()
    """Of all model calls of this run so far."""

    output: JsonValue = None
    """What the run came to, when it has come to its end by itself."""


class Executor(Record):
    """The runtime that executes a run."""

    id: str
    """Of one open Runtime."""

    host: str
    """The machine's name."""

    pid: int
    """The process on that machine."""


class LostCall(Record):
    """A tool call that was open when the process of its run died."""

    call_id: str
    """The call."""

    name: str
    """The tool."""

    fate: Literal["not_started", "unknown"]
    """Of a call that may have been started nobody knows whether it has had its effect."""


class Orphan(Record):
    """What the log knows of a run whose process died: evidence, for whoever must find out what happened."""

    executor: Executor | None = None
    """Who executed it."""

    version: int
    """Of the last changeset that it has written."""

    at: Int64
    """When that was: microseconds since 1970, UTC."""

    calls: tuple[LostCall, ...] = ()
    """The tool calls that had no result."""


class AgentSnapshot(Record):
    """The agent specification in force when a run started."""

    name: str
    """The agent's name in its registry."""

    fingerprint: str
    """SHA-256 of the canonical JSON of the specification and of how tools are executed."""

    specification: dict[str, JsonValue]
    """Model, instructions, tools with their schemas, behaviors."""

    tool_execution: ToolExecution | None = None
    """How the calls of one turn are made; None for a remote agent."""

    adopts_orphans: bool = False
    """Whether its runs are executed elsewhere and only followed here: orphans are resumed, not stopped."""

    registry: str = ""
    """SHA-256 of the specifications of all agents that were registered with it."""


class ThreadMetadata(Record):
    """Metadata of a thread. A later record changes the fields that it sets; the others keep their values."""

    parent: str | None = None
    """The thread that started this one."""

    owner: str | None = None
    """The owner, in the application's own terms."""

    labels: dict[str, str | None] = Field(default_factory=dict)
    """Labels to find threads by. Setting one keeps the others; None removes one."""

    def updated(self, change: "ThreadMetadata") -> "ThreadMetadata":
        """Return the metadata after a change."""
        changed = self.labels | change.labels
        labels: dict[str, str | None] = {key: text for key, text in changed.items() if text is not None}
        return ThreadMetadata(
            parent=change.parent or self.parent, owner=change.owner or self.owner, labels=labels
        )


class RunRequest(Record):
    """A run that was asked for while another one was active on its thread."""

    agent: str
    """The agent that is to run."""

    thread_id: str
    """The thread on which it waits for its turn."""

    messages: tuple[Message, ...] = ()
    """What it starts with."""

    metadata: ThreadMetadata | None = None
    """What it sets of the thread's metadata."""

    parent_run_id: str | None = None
    """The run that wants it."""

    state: dict[str, JsonValue] = Field(default_factory=dict)
    """What the thread's state has at its root when the run begins, beside what is there."""


class ControlEntry(Record):
    """What somebody wants of a run: on the run's control stream, for whoever executes the run."""

    id: str
    """Unique in the stream: the same entry again changes nothing."""

    kind: Literal["start", "decide", "cancel", "steer"]
    """What is wanted. `start` is the first entry of a run that waits for its turn on its thread."""

    by: str | None = None
    """Who wants it."""

    content: JsonValue = None
    """The decision; the text to steer by; the reason to cancel."""

    start: RunRequest | None = None
    """What to start, and only there."""

    @model_validator(mode="after")
    def _says_what_to_start(self) -> Self:
        if (self.kind == "start") != (self.start is not None):
            raise ValueError("an entry of the kind `start`, and no other, says what to start")
        return self


class Changeset(Record):
    """Everything that became true together: it is in the log whole, or not at all."""

    id: str
    """Unique in the log, chosen by the writer: a failed append is answered by looking for it."""

    thread_id: str
    """The thread whose history this extends."""

    version: int = 0
    """1, 2, 3, … within the thread, without gaps, given by the append; 0 before it."""

    reason: Reason
    """What happened."""

    at: Int64
    """When it was written: microseconds since 1970, UTC, from the writer's clock."""

    run_id: str | None = None
    """The run it belongs to."""

    parent_run_id: str | None = None
    """The run that started that run."""

    epoch: Int64 = 0
    """Which start of the run: 1 for the first, one more for each resume; 0 outside a run."""

    messages: tuple[Message, ...] = ()
    """Appended to the conversation, in order."""

    actions: tuple[ActionRecord, ...] = ()
    """The intents, in order."""

    patches: tuple[TrackedPatch, ...] = ()
    """The effects, applied in order."""

    run: RunStatus | None = None
    """The run's status, when it changed."""

    executor: Executor | None = None
    """Who executes the run, when it starts."""

    agent: AgentSnapshot | None = None
    """The agent in force, when a run starts."""

    thread: ThreadMetadata | None = None
    """Changes of the thread's metadata."""

    inference: Inference | None = None
    """The model call behind an assistant turn."""

    tool_calls: tuple[ToolOutcome, ...] = ()
    """The tool calls that ended with this changeset."""

    finished_step: Int64 | None = None
    """The step whose last tool call ended with this changeset."""

    entry: ControlEntry | None = None
    """On a control stream: what somebody wants of the run."""

    control: Int64 | None = None
    """Up to which version of the run's control stream this one has taken in what is there."""

    effects: tuple[EffectRecord, ...] = ()
    """What behaviors asked the world since the last one, in order."""

    cut_off: tuple[Interruption, ...] = ()
    """Interrupted behaviors and requests: their effects are recorded, their actions are not."""

    orphan: Orphan | None = None
    """Of a recovered run: what it was recovered from."""
