"""The record of a tool call in the state, moved by the run's loop."""

from ...reducers.tool_call import MoveToolCall, Status, ToolCallState
from ...store.changeset import ToolCall
from .identity import LOOP
from .workspace import Workspace


def move_call(work: Workspace, call: ToolCall | ToolCallState, status: Status) -> None:
    """Move a call to a status; a new one gets its record."""
    call_id = call.id if isinstance(call, ToolCall) else call.call_id
    moved = MoveToolCall(call_id=call_id, name=call.name, arguments=call.arguments, status=status)
    work.act([moved], source=LOOP, call_id=call_id)
