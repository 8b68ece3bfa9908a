"""The command, called in this process and in one of its own, and what holds of every refusal."""

import json
import os
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from threadlog.tools.cli import main
from threadlog.tools.terminal import console

PROGRAM = (
    sys.executable,
    "-c",
    # What runs in the background of a shell is deaf to Ctrl-C.
    "from signal import *; signal(SIGINT, default_int_handler); from threadlog.tools.cli import main; main()",
)

READING = (
    "threads",
    "runs",
    "runs --thread trip",
    "runs --active",
    "pending",
    "show trip",
    "show trip --at 3",
    "log",
    "log trip",
    "state trip",
    "state trip /budget",
    "diff trip 3",
    "verify",
    "replay",
    "replay talk --level reducers",
    "stats",
)
"""Every command that only reads, on the log of `planner.make_log`."""

ALL = (*READING, "rebuild")


class Called(NamedTuple):
    """How a call ended, and what it wrote."""

    code: Any
    out: str
    err: str

    def json(self) -> Any:
        assert self.code in (0, 1), self.err
        return json.loads(self.out)


def call(command: str, *arguments: object, width: int = 200, **environment: str) -> Called:
    """Call the command in this process; `command` is read as a shell reads it."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.delenv("THREADLOG_DB", raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(console, "width", width)
        patch.setattr(sys, "argv", ["threadlog", *shlex.split(command), *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
    return Called(exited.value.code, out.getvalue(), err.getvalue())


def start(command: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start the command as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "THREADLOG_DB"}
    return subprocess.Popen(
        [*PROGRAM, *shlex.split(command), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=kept | {"COLUMNS": "200"} | environment,
    )


def ended(process: subprocess.Popen[str]) -> Called:
    """How it ended."""
    out, err = process.communicate(timeout=30)
    return Called(process.returncode, out, err)


def run(command: str, *arguments: object, **environment: str) -> Called:
    """Call the command as a process of its own."""
    return ended(start(command, *arguments, **environment))


def assert_refused(called: Called, code: int) -> None:
    """One or two lines say why, and no traceback."""
    assert called.code == code, called
    assert called.err.startswith("threadlog: "), called
    assert len(called.err.splitlines()) <= 2, called
    assert "Traceback" not in called.err


def bytes_of(path: Path) -> dict[str, bytes]:
    """The log as it lies on the disk: the file, and its write-ahead log unless that is empty."""
    found = {file.name: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    return {name: data for name, data in found.items() if data and not name.endswith("-shm")}


def row_of(first: str, table: str) -> list[str]:
    """The cells of the row that begins with a text."""
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in table.splitlines()]
    return next(row for row in rows if row[0] == first)
