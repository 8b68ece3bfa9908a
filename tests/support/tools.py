"""Tools of a test agent, and calls of them."""

from support.reducers import Spend
from threadlog.engine import ToolCall, ToolResult, tool
from threadlog.reducers import Set


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
def fail(text: str = "no luck") -> str:
    """Fail."""
    raise ValueError(text)


@tool
def spend(amount: int) -> ToolResult:
    """Spend money."""
    return ToolResult(f"spent {amount}", [Spend(amount=amount), Set("/note", "spent", scope="tool_call")])


@tool(needs_approval=True)
def erase(amount: int = 0) -> str:
    """Erase."""
    return "erased"


TOOLS = (add, fail, spend)

ADD = ToolCall("add", {"a": 1, "b": 2}, "c1")
ERASE = ToolCall("erase", {"amount": 7}, "c1")
ADD_AND_FAIL = [ADD, ToolCall("fail", {}, "c2")]
