"""A terminal for the console blocks of documents: the lines after `$` are run, and shown output is compared.

    $ threadlog runs --db trips.db     the command itself, called in this process
    $ export THREADLOG_DB=trips.db     holds for the lines after it
    $ python bills.py &                continues in the background, once its shown output has appeared
    $ wait                             for everything in the background
    $ kill %1                          ends everything in the background
    $ anything else                    by bash

In shown output `…` stands for anything on a line, alone on a line for any lines. Spaces count as one, and the
borders of tables do not count.
"""

import io
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

from support.command import PROGRAM, call

SECONDS = 60
"""The longest that a line may take."""

_BORDERS = str.maketrans("│┃", "  ")
_LINE = re.compile(r"^\$ (?P<line>[^\n]*(?:\\\n[^\n]*)*)\n(?P<shown>(?:(?!\$ )[^\n]*\n)*)", re.MULTILINE)


class Shell:
    """Runs console blocks in a folder."""

    def __init__(self, folder: Path, *, compares: bool) -> None:
        self._folder = folder
        self._compares = compares
        self._variables: dict[str, str] = {}
        self._programs = _programs(folder)
        self._background: list[subprocess.Popen[str]] = []

    def run(self, text: str, place: str) -> None:
        """Run the lines of a block.

        Raises:
            AssertionError: a line failed, or its output is not what the block shows.
        """
        assert text.startswith("$ "), f"{place}: a console block begins with a command"
        for found in _LINE.finditer(text):
            line, shown = found["line"].replace("\\\n", " "), found["shown"]
            code, output = self._run(line, shown)
            assert code == 0, f"{place}: $ {line}\nexit code {code}\n{output}"
            if shown and self._compares:
                assert matches(shown, output), f"{place}: $ {line}\n{output}\nis not\n{shown}"

    def close(self) -> None:
        for process in self._background:
            process.kill()
            process.communicate()

    def _run(self, line: str, shown: str) -> tuple[int, str]:
        program, _, rest = line.partition(" ")
        match program:
            case "export":
                name, _, value = rest.partition("=")
                self._variables[name] = value
                return 0, ""
            case "wait":
                return self._finish()
            case "kill":
                for process in self._background:
                    process.terminate()
                return 0, self._finish()[1]
            case "threadlog" if not set(rest) & set("|&;<>$`"):
                return self._call(rest)
        return self._start(line.removesuffix("&"), shown) if line.endswith("&") else self._bash(line)

    def _call(self, arguments: str) -> tuple[int, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO())
            called = call(arguments, width=200, **self._variables)
        return called.code, called.out + called.err

    def _bash(self, line: str) -> tuple[int, str]:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self._folder,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=SECONDS,
        )
        return done.returncode, done.stdout

    def _start(self, line: str, shown: str) -> tuple[int, str]:
        process = subprocess.Popen(
            shlex.split(line),
            cwd=self._folder,
            env=self._environment(),
            executable=self._programs / shlex.split(line)[0],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self._background.append(process)
        assert process.stdout
        timer, output = Timer(SECONDS, process.kill), ""
        timer.start()
        while self._compares and not matches(shown, output) and (text := process.stdout.readline()):
            output += text
        timer.cancel()
        return 0, output

    def _finish(self) -> tuple[int, str]:
        ended = [
            (process.communicate(timeout=SECONDS)[0], process.returncode) for process in self._background
        ]
        self._background.clear()
        return max((code for _, code in ended), default=0), "".join(output for output, _ in ended)

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self._programs), os.environ["PATH"]])
        kept = {name: value for name, value in os.environ.items() if name != "THREADLOG_DB"}
        return kept | {"PATH": path, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"} | self._variables


def matches(shown: str, output: str) -> bool:
    """Return whether output is what a document shows."""
    pattern = "".join(map(_pattern, _lines(shown)))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(output))) is not None


def _lines(text: str) -> list[str]:
    """Return the lines that are not empty, with single spaces and without the borders of tables."""
    lines = (" ".join(line.translate(_BORDERS).split()) for line in text.splitlines())
    return [line for line in lines if re.search(r"[^\u2500-\u257f ]", line)]


def _pattern(line: str) -> str:
    return r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"


def _programs(folder: Path) -> Path:
    """Return a folder with the programs `python` and `threadlog`, as an installation would bring them."""
    programs = folder.with_name(f"{folder.name}-bin")
    programs.mkdir(exist_ok=True)
    for name, words in (("python", PROGRAM[:1]), ("threadlog", PROGRAM)):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return programs
