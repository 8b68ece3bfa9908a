"""The second process: `threadlog serve` on loopback, with its own agent, files and log."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import click

PROGRAM = (sys.executable, "-m", f"{__package__}.second_process_main")
AGENTS, LOG, TRIP = "archive.py", "archive.db", "last-trip.csv"
PATIENCE = 10
"""Seconds to wait for the process to end after SIGTERM."""

SOURCE = f'''"""The agent of the second process: threadlog serve {AGENTS} --a2a --db {LOG}."""

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


def is_extra_missing() -> bool:
    """Return whether the extra `a2a` is not installed."""
    return any(find_spec(name) is None for name in ("a2a", "starlette", "uvicorn"))


class SecondProcess:
    """The process. It accepts requests."""

    def __init__(self, process: subprocess.Popen[str], urls: dict[str, str], log: Path) -> None:
        self.urls = urls
        """The address of each agent."""

        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status, or None while the process runs."""
        return self._process.poll()

    def end(self) -> None:
        """End the process with SIGTERM, and wait for it."""
        _end(self._process)


@contextmanager
def start_second_process(folder: Path) -> Iterator[SecondProcess]:
    """Start the process, and end it at the end of the block.

    Raises:
        click.ClickException: the process failed to start. It has printed why to standard error.
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
                raise click.ClickException("the second process failed to start")
            yield SecondProcess(process, json.loads(line)["agents"], folder / LOG)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except BaseException:
            # It ignored SIGTERM, or the user pressed Ctrl-C again.
            process.kill()
            raise
