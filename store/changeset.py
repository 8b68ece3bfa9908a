"""The changeset, which is what one append writes, and its records. Data only: frozen and closed."""

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
"""The prefix of the names of control streams, reserved for them."""


def control_stream(run_id: str) -> str:
    """Return the name of the stream to which the commands to a run are appended."""
    return CONTROL + run_id


class ActionRecord(Record):
    """The intent behind a change of state, complete enough to reduce it again."""

    reducer: str
    """The reducer's name: `generic`, a name of threadlog, or the user's."""

    action: str
    """The action's name: `Set`, `Increment`, … or the name of the user's class."""

    payload: dict[str, JsonValue] = Field(default_factory=dict)
    """The action's own fields."""

    scope: Scope = "thread"
    """The part of the state that it is routed to."""

    call_id: str | None = None
    """In the scope `tool_call`: the tool call whose part of the state it changes."""

    source: str
    """The origin: `agent_loop`, `behavior:<name>:<phase>` or `tool:<name>`."""


class TrackedPatch(Record):
    """A change of the state and its origin."""

    operations: tuple[dict[str, JsonValue], ...]
    """RFC 6902 operations, applied in order, atomically."""

    source: str
    """The origin, as in the action."""

    action: int | None = None
    """The index of its action in the changeset; None for a patch made by hand."""


class Termination(Record):
    """Why a run finished or paused."""

    type: Literal["natural_end", "behavior_requested", "stopped", "cancelled", "suspended", "error"]
    """The kind of end."""

    code: str | None = None
    """Of `stopped`: the rule that stopped it."""

    detail: str | None = None
    """The text of the error, or the reason of the rule."""

    interrupted: Interruption | None = None
    """Of `cancelled`: what the run was waiting for."""


class RunStatus(Record):
    """The status of a run, written when it changes."""

    status: Literal["running", "waiting", "done"]
    """`done` is final within an epoch."""

    termination: Termination | None = None
    """Set when the run is not running."""

    usage: Usage = Usage()
    """Tokens of all model calls of this run so far."""

    output: JsonValue = None
    """The output of a run that finished by itself."""


class Executor(Record):
    """The runtime that executes a run."""

    id: str
    """The id of one open Runtime."""

    host: str
    """The name of the machine."""

    pid: int
    """The process id on that machine."""


class LostCall(Record):
    """A tool call that was open when the process of its run died."""

    call_id: str
    """The call."""

    name: str
    """The tool."""

    fate: Literal["not_started", "unknown"]
    """A call that may have started is `unknown`: it may have had its effect."""


class Orphan(Record):
    """The evidence of a run whose process died."""

    executor: Executor | None = None
    """The runtime that executed it."""

    version: int
    """The version of the last changeset that it wrote."""

    at: Int64
    """The time of that changeset: microseconds since 1970, UTC."""

    calls: tuple[LostCall, ...] = ()
    """The tool calls without a result."""


class AgentSnapshot(Record):
    """The agent in force when a run started."""

    name: str
    """The agent's name in its registry."""

    fingerprint: str
    """SHA-256 of the canonical JSON of the specification and of how tools are executed."""

    specification: dict[str, JsonValue]
    """Model, instructions, tools with their schemas, behaviors."""

    tool_execution: ToolExecution | None = None
    """How the calls of one turn are executed; None for a remote agent."""

    adopts_orphans: bool = False
    """Whether its runs are executed elsewhere and only followed here: orphans are then resumed, not stopped.
    """

    registry: str = ""
    """SHA-256 of the specifications of all agents in its registry."""


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
    """The request for a run that is queued behind another run of its thread."""

    agent: str
    """The name of the agent."""

    thread_id: str
    """The thread that it is queued on."""

    messages: tuple[Message, ...] = ()
    """The messages that it starts with."""

    metadata: ThreadMetadata | None = None
    """Changes of the thread's metadata."""

    parent_run_id: str | None = None
    """The run that asks for it."""

    state: dict[str, JsonValue] = Field(default_factory=dict)
    """Keys to set at the root of the thread's state when the run starts."""


class ControlEntry(Record):
    """A command to a run, on the run's control stream, applied by the executing process."""

    id: str
    """Unique in the stream: appending it again is a no-op."""

    kind: Literal["start", "decide", "cancel", "steer"]
    """The kind of command. `start` is the first entry of a queued run."""

    by: str | None = None
    """Who gives the command."""

    content: JsonValue = None
    """The decision, the text of the message, or the reason to cancel."""

    start: RunRequest | None = None
    """The request of a `start` command."""

    @model_validator(mode="after")
    def _says_what_to_start(self) -> Self:
        if (self.kind == "start") != (self.start is not None):
            raise ValueError("an entry of the kind `start`, and no other, says what to start")
        return self


class Changeset(Record):
    """Everything that one append writes, atomically."""

    id: str
    """Unique in the log, chosen by the writer, so that a failed append can be looked up."""

    thread_id: str
    """The thread that it extends."""

    version: int = 0
    """1, 2, 3, … within the thread, without gaps, assigned by the append; 0 before it."""

    reason: Reason
    """What happened."""

    at: Int64
    """The writer's clock: microseconds since 1970, UTC."""

    run_id: str | None = None
    """The run it belongs to."""

    parent_run_id: str | None = None
    """The run that started that run."""

    epoch: Int64 = 0
    """The epoch of the run: 1 for the first, one more for each resume; 0 outside a run."""

    messages: tuple[Message, ...] = ()
    """Messages appended to the conversation, in order."""

    actions: tuple[ActionRecord, ...] = ()
    """The actions, in order."""

    patches: tuple[TrackedPatch, ...] = ()
    """The patches, in the order in which they apply."""

    run: RunStatus | None = None
    """The run's status, when it changed."""

    executor: Executor | None = None
    """The runtime that executes the run, when an epoch starts."""

    agent: AgentSnapshot | None = None
    """The agent in force, when an epoch starts."""

    thread: ThreadMetadata | None = None
    """Changes of the thread's metadata."""

    inference: Inference | None = None
    """The model call of an assistant turn."""

    tool_calls: tuple[ToolOutcome, ...] = ()
    """The tool calls that ended with this changeset."""

    finished_step: Int64 | None = None
    """The step whose last tool call ended with this changeset."""

    entry: ControlEntry | None = None
    """On a control stream: the command."""

    control: Int64 | None = None
    """The version of the run's control stream up to which commands are applied now."""

    effects: tuple[EffectRecord, ...] = ()
    """The effects of behaviors since the last changeset, in order."""

    cut_off: tuple[Interruption, ...] = ()
    """Interrupted behaviors and requests: their effects are recorded, their actions are not."""

    orphan: Orphan | None = None
    """Of a recovered run: the evidence."""
