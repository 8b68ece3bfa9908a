"""The demo's second process: `threadlog serve` on loopback, with an agent, files and a log of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

PROGRAM = (sys.executable, "-m", f"{__package__}.served")
AGENTS, LOG, TRIP = "archive.py", "archive.db", "last-trip.csv"
PATIENCE = 10
"""Seconds in which it is to end."""

SOURCE = f'''"""What the second process serves: threadlog serve {AGENTS} --a2a --db {LOG}."""

from pathlib import Path

from {__package__}.team import archivist

agent = archivist(Path(__file__).parent / "{TRIP}")
'''

SAMPLE = """date,merchant,amount
2025-10-04,Shinkansen Tokyo-Kyoto,132.00
2025-10-04,Hotel Kamogawa,198.00
2025-10-05,Nishiki Market,19.80
2025-10-06,Shinkansen Kyoto-Tokyo,132.00
"""


def lacks() -> bool:
    """Whether the extra is not installed that it needs."""
    return any(find_spec(name) is None for name in ("a2a", "starlette", "uvicorn"))


class Second:
    """The process, once it answers."""

    def __init__(self, process: subprocess.Popen[str], urls: dict[str, str], log: Path) -> None:
        self.urls = urls
        """By agent: its address."""

        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """How it has ended; None as long as it goes on."""
        return self._process.poll()

    def end(self) -> None:
        """End it as an operator would, with SIGTERM."""
        _end(self._process)


@contextmanager
def second_process(folder: Path) -> Iterator[Second]:
    """The process, which is over when the block is left.

    Raises:
        click.ClickException: it has not begun to answer; why stands on its standard error.
    """
    (folder / AGENTS).write_text(SOURCE)
    (folder / TRIP).write_text(SAMPLE)
    command = (*PROGRAM, "--json", "serve", str(folder / AGENTS), "--a2a", "--port", "0")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--db", str(folder / LOG)], stdin=pipe, stdout=pipe, encoding="utf-8"
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            line = process.stdout.readline()
            if not line:
                raise click.ClickException("the second process has ended before it could serve its agent")
            yield Second(process, json.loads(line)["agents"], folder / LOG)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except BaseException:
            # Ctrl-C once more, or it does not listen.
            process.kill()
            raise
