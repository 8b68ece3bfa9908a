import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from support.command import call
from threadlog.tools import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = cli.cli.commands


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def console(program: str) -> list[str]:
    """What is typed after a prompt, for one program, without its name."""
    return re.findall(rf"^\$ {program} +(.*)$", "\n".join(blocks("console")), re.MULTILINE)


def test_what_the_readme_shows_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}

    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    called = [call(command) for command in console("threadlog")]

    assert [(one.code, one.err) for one in called] == [(0, "")] * len(called)


def test_the_readme_shows_how_it_is_used_in_python_and_as_a_command() -> None:
    assert blocks("python")
    assert console("threadlog")


def test_what_the_readme_makes_can_be_made() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert {"demo", "test"} <= set(console("make")) <= set(targets)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_stands_in_the_readme_and_has_help(name: str) -> None:
    command = COMMANDS[name]

    assert f"threadlog {name}" in README
    assert command.help
    assert [
        option.name for option in command.params if isinstance(option, click.Option) and not option.help
    ] == []
    assert command.help.split(".")[0].split()[0] in call(f"{name} --help").out


def test_every_option_in_the_readme_is_one() -> None:
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", README))
    known = {option for command in COMMANDS.values() for param in command.params for option in param.opts}

    assert named <= known


def test_every_exit_code_stands_in_the_readme() -> None:
    codes = re.findall(r"^(\d+) +(.+)$", cli.__doc__ or "", re.MULTILINE)

    assert len(codes) >= 7
    for code, meaning in codes:
        assert re.search(rf"\b{code}\b.*{re.escape(meaning)}", README), f"{code} {meaning}"


def test_the_changelog_begins_with_the_current_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (first, *_) = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert first.split()[0] == version
    assert call("--version").out.split()[-1] == version
