r"""Permission rules: which tool calls a rule applies to. Pure.

    Bash                         every call of this tool
    mcp__*                       every call of the tools whose names match a glob
    /mcp__(mail|chat)__.+/       every call of the tools whose names match a regular expression
    Bash(npm *)                  calls with an argument that matches a glob: short for Bash(* ~ "npm *")
    Read(path ~ "/tmp/*")        calls in which this argument matches a glob
    Read(path = "a", n !=~ "1+") `=` compares text, `=~` is a regular expression, `!` negates; all must hold
    Edit(files.*.path ~ "/tmp/*")   a path leads into the arguments: keys and indices, `*` for each of them

A pattern must match the whole text of a value: a string as it is, any other value as JSON. Inside a pattern,
write `"` and `\` as `\"` and `\\`. A missing value matches no pattern.

If a path names several values, an `allow` rule needs all of them to match, other rules need one. So a rule
may ask or deny more than its author meant, but never allow more. A glob matches text, not what a tool does
with the text: `npm *` also matches `npm test; rm -rf /`.

If several rules apply to a call, `deny` wins over `allow`, and `allow` wins over `ask`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from shlex import split
from typing import Literal

from pydantic import JsonValue

from ...store.changeset import ToolCall
from ...store.document import dumps
from ...store.errors import DefinitionError

Verdict = Literal["allow", "deny", "ask"]

_STRENGTH: dict[Verdict, int] = {"ask": 0, "allow": 1, "deny": 2}

_SUBJECT = re.compile(
    r"""
    (?: / (?P<regex>.+?) / | (?P<name>[^\s()]+?) )
    (?: \( (?P<body>.*) \) )?
    """,
    re.VERBOSE | re.DOTALL,
)
_CONDITION = re.compile(
    r"""
    \s* (?P<path> (?:[\w-]+|\*) (?: \. (?:[\w-]+|\*) )* )
    (?= \s* !?(?:=~?|~) \s* " | \s+ !?(?:=~?|~) \s )        # otherwise it is a glob, such as `cd ~/*`
    \s* (?P<negation>!?) (?P<operator>=~?|~) \s*
    (?: (?P<quoted> "(?:[^"\\]|\\.)*" ) \s* (?:,|$) )?      # without it, the condition is incomplete
    """,
    re.VERBOSE | re.DOTALL,
)
_TO_REGEX: dict[str, Callable[[str], str]] = {"=": re.escape, "~": translate, "=~": str}


@dataclass(frozen=True, slots=True)
class ArgumentCondition:
    """A pattern for the values at one path in the arguments of a call."""

    path: tuple[str, ...]
    pattern: re.Pattern[str]
    negated: bool = False

    def holds(self, arguments: JsonValue, *, match_all: bool) -> bool:
        """Return whether the values at the path match: all of them, or at least one."""
        values = list(_values(arguments, self.path))
        if not values:
            return self.negated
        matches = (bool(self.pattern.fullmatch(_text(value))) is not self.negated for value in values)
        return all(matches) if match_all else any(matches)


@dataclass(frozen=True, slots=True)
class Rule:
    """The verdict for the calls that a subject describes."""

    subject: str
    verdict: Verdict
    name: re.Pattern[str]
    is_exact: bool
    """Whether the subject names one tool."""

    conditions: tuple[ArgumentCondition, ...] = ()

    @property
    def tool(self) -> str | None:
        """The tool, if the rule applies to every call of one tool."""
        return self.subject if self.is_exact and not self.conditions else None

    def matches(self, call: ToolCall) -> bool:
        """Return whether the rule applies to the call."""
        match_all = self.verdict == "allow"
        return self.name.fullmatch(call.name) is not None and all(
            condition.holds(call.arguments, match_all=match_all) for condition in self.conditions
        )

    def rank(self) -> tuple[int, bool, int, int]:
        """Return a sort key: the strongest verdict ranks highest, then the most specific subject."""
        return _STRENGTH[self.verdict], self.is_exact, len(self.conditions), len(self.subject)


@lru_cache(maxsize=1024)
def parse_rule(subject: str, verdict: Verdict) -> Rule:
    """Parse a subject.

    Raises:
        DefinitionError: the subject does not follow the syntax in this module's docstring.
    """
    found = _SUBJECT.fullmatch(subject.strip())
    if found is None or verdict not in _STRENGTH:
        raise DefinitionError(f"invalid permission rule {subject!r} with verdict {verdict!r}")
    regex, name, body = found["regex"], found["name"], found["body"]
    pattern = _compile(regex or translate(name), subject)
    is_exact = regex is None and not set(name) & set("*?[")
    conditions = () if body is None else _parse_conditions(body, subject)
    return Rule(subject.strip(), verdict, pattern, is_exact, conditions)


def strongest_rule(rules: Iterable[Rule], call: ToolCall) -> Rule | None:
    """Return the rule that decides about the call, or None if no rule applies."""
    return max((rule for rule in rules if rule.matches(call)), key=Rule.rank, default=None)


def _parse_conditions(body: str, subject: str) -> tuple[ArgumentCondition, ...]:
    if body.strip() and not _CONDITION.match(body):
        return (ArgumentCondition(("*",), re.compile(translate(body.strip()))),)
    conditions, end = list[ArgumentCondition](), 0
    while (found := _CONDITION.match(body, end)) and found["quoted"]:
        conditions.append(_condition(found, subject))
        end = found.end()
    if not conditions or end < len(body):
        raise DefinitionError(f"permission rule {subject!r} has incomplete conditions")
    return tuple(conditions)


def _condition(found: re.Match[str], subject: str) -> ArgumentCondition:
    (text,) = split(found["quoted"])  # `\"` and `\\`, as in a shell's double quotes
    pattern = _compile(_TO_REGEX[found["operator"]](text), subject)
    return ArgumentCondition(tuple(found["path"].split(".")), pattern, negated=bool(found["negation"]))


def _compile(regex: str, subject: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as err:
        raise DefinitionError(
            f"permission rule {subject!r} has an invalid regular expression: {err}"
        ) from err


def _values(value: JsonValue, path: tuple[str, ...]) -> Iterator[JsonValue]:
    if not path:
        yield value
        return
    for child in _children(value, path[0]):
        yield from _values(child, path[1:])


def _children(value: JsonValue, step: str) -> list[JsonValue]:
    match value:
        case dict():
            return list(value.values()) if step == "*" else [value[step]] if step in value else []
        case list() if step == "*":
            return value
        case list() if step.isdecimal() and int(step) < len(value):
            return [value[int(step)]]
    return []


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else dumps(value).decode()
