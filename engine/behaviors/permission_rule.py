r"""Permission rules: which calls a rule is about. Pure.

    Bash                         every call of the tool
    mcp__*                       every call of the tools whose names fit a glob
    /mcp__(mail|chat)__.+/       of those whose names fit a regular expression
    Bash(npm *)                  calls whose arguments fit a glob: the same as Bash(* ~ "npm *")
    Read(path ~ "/tmp/*")        calls in which this argument fits a glob
    Read(path = "a", n !=~ "1+") = is a text, =~ a regular expression, ! that it does not fit; all must hold
    Edit(files.*.path ~ "/tmp/*")   a path leads into the arguments: by keys and indices, * for each

A pattern is about the whole text of a value: a string as it is, everything else as JSON. In a pattern `"`
and `\` are written `\"` and `\\`. A value that is not there fits no pattern.

Where a path names several values a rule that allows wants every one to fit, any other rule wants one: more
is asked about and denied than was meant, never allowed. A glob is about text, not about what a tool makes
of it: `npm *` fits `npm test; rm -rf /`, too.

Of the rules about a call one that denies counts before one that allows, and that before one that asks.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any, Literal

from ...store.changeset import ToolCall
from ...store.document import dumps
from ...store.errors import DefinitionError

Verdict = Literal["allow", "deny", "ask"]

_STRENGTH: dict[Verdict, int] = {"ask": 0, "allow": 1, "deny": 2}
_MISSING = object()

_STEP = r"(?:[\w-]+|\*)"
_OPERATOR = r"!?=~|!?=|!?~"
_SUBJECT = re.compile(r"(?:/(?P<regex>.+?)/|(?P<name>[^\s()]+?))(?:\((?P<inside>.*)\))?", re.DOTALL)
_CONDITION = re.compile(
    rf'\s*(?P<path>{_STEP}(?:\.{_STEP})*)\s*(?P<operator>{_OPERATOR})\s*"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:,|$)',
    re.DOTALL,
)
_LIKE_A_CONDITION = re.compile(rf'\s*{_STEP}(?:\.{_STEP})*(?:\s*(?:{_OPERATOR})\s*"|\s+(?:{_OPERATOR})\s)')


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold of a value in the arguments."""

    path: tuple[str, ...]
    pattern: re.Pattern[str]
    negated: bool = False

    def holds(self, arguments: Any, *, everywhere: bool) -> bool:
        """Whether the values that the path names fit: all of them, or one."""
        fitting = [self._fits(value) for value in list(_values(arguments, self.path)) or [_MISSING]]
        return all(fitting) if everywhere else any(fitting)

    def _fits(self, value: Any) -> bool:
        fits = value is not _MISSING and self.pattern.fullmatch(_text(value)) is not None
        return fits is not self.negated


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of the calls that a subject describes."""

    subject: str
    verdict: Verdict
    name: re.Pattern[str]
    is_exact: bool
    """Whether it names one tool."""

    conditions: tuple[Condition, ...] = ()

    @property
    def tool(self) -> str | None:
        """The tool, if the rule is about all calls of this one."""
        return self.subject if self.is_exact and not self.conditions else None

    def matches(self, call: ToolCall) -> bool:
        """Whether it is about the call."""
        everywhere = self.verdict == "allow"
        return self.name.fullmatch(call.name) is not None and all(
            condition.holds(call.arguments, everywhere=everywhere) for condition in self.conditions
        )

    def rank(self) -> tuple[int, bool, int, int]:
        """The rule with the highest one counts: by verdict, then by how closely it describes the call."""
        return _STRENGTH[self.verdict], self.is_exact, len(self.conditions), len(self.subject)


@lru_cache(maxsize=1024)
def rule(subject: str, verdict: Verdict) -> Rule:
    """The rule that a subject says.

    Raises:
        DefinitionError: it is not written as the head of this module says.
    """
    found = _SUBJECT.fullmatch(subject.strip())
    if found is None or verdict not in _STRENGTH:
        raise DefinitionError(f"{subject!r} with {verdict!r} is no permission rule")
    regex, name, inside = found["regex"], found["name"], found["inside"]
    is_exact = regex is None and not set(name) & set("*?[")
    pattern = _compiled(regex, subject) if regex else re.compile(translate(name))
    conditions = () if inside is None else tuple(_conditions(inside, subject))
    return Rule(subject.strip(), verdict, pattern, is_exact, conditions)


def strongest(rules: Iterable[Rule], call: ToolCall) -> Rule | None:
    """Of the rules that are about the call, the one that counts."""
    return max((one for one in rules if one.matches(call)), key=Rule.rank, default=None)


def _conditions(inside: str, subject: str) -> Iterator[Condition]:
    place, found = 0, list[re.Match[str]]()
    while place < len(inside) and (match := _CONDITION.match(inside, place)):
        found.append(match)
        place = match.end()
    if found and place == len(inside):
        yield from (_condition(match, subject) for match in found)
    elif not inside.strip() or _LIKE_A_CONDITION.match(inside):
        raise DefinitionError(f"the conditions of the permission rule {subject!r} are not complete")
    else:
        yield Condition(("*",), re.compile(translate(inside.strip())))


def _condition(match: re.Match[str], subject: str) -> Condition:
    text = re.sub(r'\\(["\\])', r"\1", match["text"])
    operator = match["operator"].removeprefix("!")
    if operator == "=~":
        pattern = _compiled(text, subject)
    else:
        pattern = re.compile(re.escape(text) if operator == "=" else translate(text))
    return Condition(tuple(match["path"].split(".")), pattern, match["operator"].startswith("!"))


def _compiled(regex: str, subject: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as err:
        raise DefinitionError(f"the permission rule {subject!r} has no regular expression: {err}") from err


def _values(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if not path:
        yield value
        return
    for child in _children(value, path[0]):
        yield from _values(child, path[1:])


def _children(value: Any, step: str) -> list[Any]:
    match value:
        case dict():
            return list(value.values()) if step == "*" else [value[step]] if step in value else []
        case list() if step == "*":
            return value
        case list() if step.isdecimal() and int(step) < len(value):
            return [value[int(step)]]
    return []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
