"""Status changes of tool calls, made by the run loop."""

from ...reducers.tool_call import MoveToolCall, Status, ToolCallState
from ...store.changeset import ToolCall
from .identity import LOOP
from .workspace import Workspace


def move_call(work: Workspace, call: ToolCall | ToolCallState, status: Status) -> None:
    """Set the status of a call in the state. The status `new` creates its record."""
    call_id = call.id if isinstance(call, ToolCall) else call.call_id
    moved = MoveToolCall(call_id=call_id, name=call.name, arguments=call.arguments, status=status)
    work.act([moved], source=LOOP, call_id=call_id)
