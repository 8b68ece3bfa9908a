"""Permission: which tool calls may run, which are blocked, and which need a person's approval.

    Permission(allow=["Read", "Bash(npm *)"], deny=["Bash(rm *)"], ask=["mcp__*"], default="ask")

An approval is valid for one execution of one call with its arguments. If the model makes the same call again,
under any id, the person is asked again. An answer with the result `{"remember": true}` also stores a rule for
the whole tool in the state of the thread. Later runs read stored rules too; they count like the rules that
the behavior was made with. An override is stored for the current run only, and replaces the stored rule of
the thread with the same subject until the run ends.
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
from .permission_rule import Rule, Verdict, parse_rule, strongest_rule

POLICY = "/permission_policy"
OVERRIDES = "/permission_overrides"
CONFIRM = "tool:PermissionConfirm"
"""The `action` of permission questions."""


class PermissionPolicy(BaseModel):
    """The stored rules of a thread, or the overrides of a run."""

    rules: dict[str, Verdict] = {}
    """Verdicts by subject."""


class SetPermission(Action):
    """Store a rule. It replaces the rule with the same subject."""

    subject: str
    verdict: Verdict


class RemovePermission(Action):
    """Remove a stored rule."""

    subject: str


class OverridePermission(Action):
    """Store a rule for this run only. It overrides the stored rule of the thread with the same subject."""

    subject: str
    verdict: Verdict


def _reduce(
    slice: PermissionPolicy, action: SetPermission | RemovePermission | OverridePermission
) -> PermissionPolicy:
    kept: dict[str, Verdict] = dict(slice.rules)
    kept.pop(action.subject, None)
    if isinstance(action, RemovePermission):
        return PermissionPolicy(rules=kept)
    parse_rule(action.subject, action.verdict)  # an invalid rule must not get into the state
    kept[action.subject] = action.verdict
    return PermissionPolicy(rules=kept)


PERMISSION_REDUCER = Reducer(
    "permission", PermissionPolicy, (SetPermission, RemovePermission), POLICY, "thread", _reduce
)
OVERRIDE_REDUCER = Reducer(
    "permission_overrides", PermissionPolicy, (OverridePermission,), OVERRIDES, "run", _reduce
)


class Permission(Behavior):
    """Allows, denies or asks, by rules. Calls that no rule applies to get the default verdict.

    The last `Block` or `Suspend` of a call wins, so list this behavior after others that suspend calls.
    Calls that give the structured output of a run are allowed unless a rule says otherwise.

    Raises:
        DefinitionError: a rule does not follow the syntax described in `permission_rule`.
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
        given: list[tuple[Verdict, Sequence[str]]] = [("allow", allow), ("deny", deny), ("ask", ask)]
        self._rules = [parse_rule(subject, verdict) for verdict, subjects in given for subject in subjects]
        if default not in ("allow", "deny", "ask"):
            raise DefinitionError(f"the default verdict must be allow, deny or ask, not {default!r}")
        self._default: Verdict = default
        self.settings = {
            "allow": list(allow),
            "deny": list(deny),
            "ask": list(ask),
            "default": default,
        }

    def before_inference(self, context: Context) -> Iterator[ExcludeTool]:
        for rule in self._rules_in_force(context):
            if rule.verdict == "deny" and rule.tool:
                yield ExcludeTool(rule.tool)

    def before_tool_execute(self, context: Context) -> Block | Suspend | State | None:
        assert context.call
        if context.decision:
            return _rule_to_remember(context)
        rule = strongest_rule(self._rules_in_force(context), context.call)
        match rule.verdict if rule else self._default_for(context.call):
            case "allow":
                return None
            case "deny":
                return Block(_refusal(context.call, rule))
            case "ask":
                return _question(context.call)

    def _rules_in_force(self, context: Context) -> list[Rule]:
        stored = _stored_rules(context, POLICY) | _stored_rules(context, RUN + OVERRIDES)
        return self._rules + [parse_rule(subject, verdict) for subject, verdict in sorted(stored.items())]

    def _default_for(self, call: ToolCall) -> Verdict:
        if call.name == FINAL_OUTPUT:
            return "allow"
        return self._default


def _stored_rules(context: Context, path: str) -> dict[str, Verdict]:
    return PermissionPolicy.model_validate(context.read(path, {})).rules


def _refusal(call: ToolCall, rule: Rule | None) -> str:
    by = f" by the rule {rule.subject!r}" if rule else ""
    return f"The tool {call.name!r} is denied{by}"


def _question(call: ToolCall) -> Suspend:
    parameters = {"tool_name": call.name, "tool_args": call.arguments}
    return Suspend(CONFIRM, f"Allow the tool {call.name!r} to run?", parameters)


def _rule_to_remember(context: Context) -> State | None:
    """Return the rule to store, if the question was about permission and the answer says to remember it."""
    call, decision = context.call, context.decision
    assert call
    assert decision
    question = context.read(TOOL_CALLS + pointer((call.id,)) + f"{TOOL_CALL_STATE}/suspension/action")
    is_requested = isinstance(decision.result, dict) and decision.result.get("remember") is True
    if question != CONFIRM or not is_requested or parse_rule(call.name, "ask").tool != call.name:
        return None
    verdict: Literal["allow", "deny"] = "allow" if decision.approved else "deny"
    return State(SetPermission(subject=call.name, verdict=verdict))
