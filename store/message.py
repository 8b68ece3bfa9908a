"""Messages of a conversation and the tool calls in them."""

from typing import Any, Literal

from pydantic import JsonValue

from .record import Record

Origin = Literal["prompt", "steer", "note", "tool", "model"]
"""Who a message of a run comes from.

prompt   the user, when the run started or resumed
steer    the user, while the run was active
note     threadlog, a behavior or a tool, as a remark to the model
tool     a tool call: its result
model    the model: its turn; on a mirror thread, the remote agent
"""


class ToolCall(Record):
    """A model's request to call a tool."""

    name: str
    """The tool's name, as offered to the model."""

    arguments: JsonValue
    """An object for every well-formed call; otherwise whatever the model returned."""

    id: str
    """The provider's id of the call, which its result names. Empty until a run has assigned one."""

    def __init__(self, name: str, arguments: JsonValue = None, id: str = "", **data: Any) -> None:
        data |= {"name": name, "arguments": {} if arguments is None else arguments, "id": id}
        super().__init__(**data)


class Message(Record):
    """One message of the conversation."""

    id: str
    """Unique in the thread: readers skip a message whose id occurred before."""

    role: Literal["system", "user", "assistant", "tool"]
    """The speaker."""

    content: str = ""
    """The text; in a tool message, the JSON text of the tool's result."""

    tool_calls: tuple[ToolCall, ...] = ()
    """The tool calls that the assistant asks for, in order."""

    tool_call_id: str | None = None
    """In a tool message: the call that it answers."""

    visibility: Literal["all", "internal"] = "all"
    """Internal messages are sent to the model and hidden from people by default."""

    origin: Origin | None = None
    """The origin; None for a message that no run has written."""

    command_id: str | None = None
    """In a steering message: the id of its command."""

    run_id: str | None = None
    """The run that wrote it."""

    step: int | None = None
    """The step of that run; 0 is the first."""

    provider: str | None = None
    """The provider's own response: JSON text, kept byte for byte, never read by a fold."""
