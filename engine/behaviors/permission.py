"""Permission: which calls go on, which are refused, and which a person must be asked about.

    Permission(allow=["Read", "Bash(npm *)"], deny=["Bash(rm *)"], ask=["mcp__*"], default="ask")

A person's answer is for the one call that was asked about, with its arguments, and for one execution of it:
when the model makes the call again, under whatever id, it is asked about again. An answer with the result
`{"remember": true}` also stores a rule for the whole tool in the thread's state, where the rules of later
runs are found, too; a stored rule counts like one of the behavior's own. An override is stored for the run
alone: to its end it stands in the place of the thread's rule about the same subject.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel

from ...reducers.reducer import Action, Reducer
from ...reducers.scope import RUN, TOOL_CALL_STATE, TOOL_CALLS
from ...store.changeset import ToolCall
from ...store.document import pointer
from ...store.errors import DefinitionError
from ..agents import FINAL_OUTPUT, Behavior, Block, Context, ExcludeTool, State, Suspend
from .permission_rule import Rule, Verdict, rule, strongest

POLICY = "/permission_policy"
OVERRIDES = "/permission_overrides"
CONFIRM = "tool:PermissionConfirm"
"""What a person is asked for."""


class PermissionPolicy(BaseModel):
    """The rules that a thread, or a run, has stored."""

    rules: dict[str, Verdict] = {}
    """By subject."""


class SetPermission(Action):
    """Store a rule, in the place of one with the same subject."""

    subject: str
    verdict: Verdict


class RemovePermission(Action):
    """Forget a stored rule."""

    subject: str


class OverridePermission(Action):
    """Store a rule for this run only, over what the thread has stored about the subject."""

    subject: str
    verdict: Verdict


def _reduce(
    slice: PermissionPolicy, action: SetPermission | RemovePermission | OverridePermission
) -> PermissionPolicy:
    kept: dict[str, Verdict] = dict(slice.rules)
    kept.pop(action.subject, None)
    if isinstance(action, RemovePermission):
        return PermissionPolicy(rules=kept)
    rule(action.subject, action.verdict)  # refused here, it cannot break a later run
    kept[action.subject] = action.verdict
    return PermissionPolicy(rules=kept)


PERMISSION_REDUCER = Reducer(
    "permission", PermissionPolicy, (SetPermission, RemovePermission), POLICY, "thread", _reduce
)
OVERRIDE_REDUCER = Reducer(
    "permission_overrides", PermissionPolicy, (OverridePermission,), OVERRIDES, "run", _reduce
)


class Permission(Behavior):
    """Allows, refuses or asks, by rules; what no rule is about goes by the default.

    Of `Block` and `Suspend` the last one counts: put it behind behaviors that suspend calls. Giving the
    run's structured output is no deed: unless a rule says otherwise it is allowed.

    Raises:
        DefinitionError: a rule is not written as `rule.py` says.
    """

    reducers = (PERMISSION_REDUCER, OVERRIDE_REDUCER)

    def __init__(
        self,
        *,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
        ask: Sequence[str] = (),
        default: Verdict = "ask",
    ) -> None:
        written: list[tuple[Verdict, Sequence[str]]] = [("allow", allow), ("deny", deny), ("ask", ask)]
        self._rules = [rule(subject, verdict) for verdict, subjects in written for subject in subjects]
        if default not in ("allow", "deny", "ask"):
            raise DefinitionError(f"the default of a permission is allow, deny or ask, not {default!r}")
        self._default: Verdict = default
        self.settings = {
            "allow": list(allow),
            "deny": list(deny),
            "ask": list(ask),
            "default": default,
        }

    def before_inference(self, context: Context) -> Iterator[ExcludeTool]:
        for one in self._in_force(context):
            if one.verdict == "deny" and one.tool:
                yield ExcludeTool(one.tool)

    def before_tool_execute(self, context: Context) -> Block | Suspend | State | None:
        assert context.call
        if context.decision:
            return _remembered(context)
        found = strongest(self._in_force(context), context.call)
        match found.verdict if found else self._default_for(context.call):
            case "allow":
                return None
            case "deny":
                return Block(_refusal(context.call, found))
            case "ask":
                return _question(context.call)

    def _in_force(self, context: Context) -> list[Rule]:
        stored = _stored(context, POLICY) | _stored(context, RUN + OVERRIDES)
        return self._rules + [rule(subject, verdict) for subject, verdict in sorted(stored.items())]

    def _default_for(self, call: ToolCall) -> Verdict:
        if call.name == FINAL_OUTPUT:
            return "allow"
        return self._default


def _stored(context: Context, path: str) -> dict[str, Verdict]:
    return PermissionPolicy.model_validate(context.read(path, {})).rules


def _refusal(call: ToolCall, found: Rule | None) -> str:
    by = f" by the rule {found.subject!r}" if found else ""
    return f"The tool {call.name!r} is denied{by}"


def _question(call: ToolCall) -> Suspend:
    asked = {"tool_name": call.name, "tool_args": call.arguments}
    return Suspend(CONFIRM, f"Running the tool {call.name!r} needs permission", asked)


def _remembered(context: Context) -> State | None:
    """The rule that the answer wants stored, if the question was one of permission and it wants one."""
    call, decision = context.call, context.decision
    assert call
    assert decision
    asked = context.read(TOOL_CALLS + pointer((call.id,)) + f"{TOOL_CALL_STATE}/suspension/action")
    wants = isinstance(decision.result, dict) and decision.result.get("remember") is True
    if asked != CONFIRM or not wants or rule(call.name, "ask").tool != call.name:
        return None
    verdict: Literal["allow", "deny"] = "allow" if decision.approved else "deny"
    return State(SetPermission(subject=call.name, verdict=verdict))
