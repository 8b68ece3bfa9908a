"""Permission rules: which calls a rule matches, and which of several rules decides."""

from typing import Any

import pytest

from threadlog.engine import Permission, ToolCall
from threadlog.engine.behaviors.permission_rule import Verdict, parse_rule, strongest_rule
from threadlog.store.errors import DefinitionError

FITTING: list[tuple[str, Any]] = [
    ("Bash", {}),
    ("Ba*", {}),
    ("?ash", {}),
    ("/B.s./", {}),
    ('/(Ba|Da)sh/(command ~ "npm *")', {"command": "npm test"}),
    ("Bash(npm *)", {"command": "npm test"}),
    ("Bash(npm *)", {"command": "npm a\nb"}),
    ("Bash(cd ~/*)", {"command": "cd ~/a"}),
    ('Bash(command ~ "npm *")', {"command": "npm test", "timeout": 5}),
    ('Bash(command = "npm *")', {"command": "npm *"}),
    ('Bash(command =~ "npm (test|ci)")', {"command": "npm ci"}),
    ('Bash(command =~ "\\d+")', {"command": "12"}),
    ('Bash(command !~ "npm *")', {"command": "rm a"}),
    ('Bash(command != "a", n != "2")', {"command": "b", "n": 1}),
    ('Bash(command !=~ "a+")', {"command": "ab"}),
    ('Bash(command !~ "npm *")', {}),
    ('Bash(n = "5", on = "true", list = "[1,2]")', {"n": 5, "on": True, "list": [1, 2]}),
    ('Bash(a.b.1 = "y")', {"a": {"b": ["x", "y"]}}),
    ('Bash(files.*.path ~ "/tmp/*")', {"files": [{"path": "/etc/b"}, {"path": "/tmp/a"}]}),
    ('Bash(text = "say \\"a, b\\" \\\\")', {"text": 'say "a, b" \\'}),
]


@pytest.mark.parametrize(("subject", "arguments"), FITTING)
def test_a_rule_is_about_the_calls_that_its_subject_describes(subject: str, arguments: Any) -> None:
    assert parse_rule(subject, "ask").matches(ToolCall("Bash", arguments))


OTHERS: list[tuple[str, Any]] = [
    ("bash", {}),
    ("Bas", {}),
    ("/Bas/", {}),
    ("Bash(npm *)", {"command": "pnpm test"}),
    ("Bash(npm *)", {}),
    ("Bash(npm *)", "npm test"),
    ('Bash(command = "npm *")', {"command": "npm test"}),
    ('Bash(command =~ "npm")', {"command": "npm ci"}),
    ('Bash(command !~ "npm *")', {"command": "npm test"}),
    ('Bash(command = "a", n = "1")', {"command": "a", "n": 2}),
    ('Bash(a.b.2 = "y")', {"a": {"b": ["x", "y"]}}),
    ('Bash(a.b = "y")', {"a": "y"}),
]


@pytest.mark.parametrize(("subject", "arguments"), OTHERS)
def test_a_rule_is_not_about_other_calls(subject: str, arguments: Any) -> None:
    assert not parse_rule(subject, "ask").matches(ToolCall("Bash", arguments))


@pytest.mark.parametrize(("verdict", "matches"), [("allow", False), ("ask", True), ("deny", True)])
def test_of_several_values_all_must_fit_to_be_allowed_and_one_to_be_asked_about_or_denied(
    verdict: Verdict, matches: bool
) -> None:
    call = ToolCall("Bash", {"paths": ["/tmp/a", "/etc/b"], "note": "x"})

    assert parse_rule('Bash(paths.* ~ "/tmp/*")', verdict).matches(call) is matches
    assert parse_rule("Bash(x)", verdict).matches(call) is matches


INCOMPLETE = ["", "Bash(", "Bash()", "Bash( )", "(a)", "Bash(a) b", "/(/", 'Bash(a =~ "(")']
INCOMPLETE += ['Bash(a = "b)', "Bash(a = b)", 'Bash(a = "b" and c)', 'Bash(a="b", c)']


@pytest.mark.parametrize("subject", INCOMPLETE)
def test_a_subject_that_is_not_complete_is_refused(subject: str) -> None:
    """it would never match, and what it was to deny would go on"""
    with pytest.raises(DefinitionError):
        Permission(deny=[subject])


@pytest.mark.parametrize(
    ("rules", "strong"),
    [
        ({"Bash(npm *)": "ask", "Ba*": "allow"}, "Ba*"),
        ({"Bash(npm *)": "allow", "Ba*": "deny"}, "Ba*"),
        ({"Ba*": "deny", "Bash": "deny", "Bash(npm *)": "deny"}, "Bash(npm *)"),
        ({"B*": "ask", "Ba*": "ask", "/.*/": "ask"}, "/.*/"),
    ],
)
def test_of_several_rules_the_verdict_counts_and_then_how_closely_it_describes(
    rules: dict[str, Verdict], strong: str
) -> None:
    call = ToolCall("Bash", {"command": "npm test"})
    found = strongest_rule([parse_rule(subject, verdict) for subject, verdict in rules.items()], call)

    assert found
    assert found.subject == strong
