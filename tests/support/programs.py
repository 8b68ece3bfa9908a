"""Processes of `appender.py` and others like it: started, begun together, and what they said."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

Process = subprocess.Popen[str]

TESTS = Path(__file__).parents[1]


def command(script: str, *arguments: object) -> list[str]:
    """What starts a script of `processes/`, or a module."""
    folder = TESTS / "support" / "processes"
    program = [str(folder / script)] if script.endswith(".py") else ["-m", script]
    return [sys.executable, *program, *map(str, arguments)]


def environment(**given: str) -> dict[str, str]:
    """The environment of a process that imports what the tests import."""
    places = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **given, "PYTHONPATH": os.pathsep.join(places)}


@contextmanager
def started(
    *arguments: object, script: str = "appender.py", given: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Process]:
    """A process of a script, or of a module, that is ready and waits for its line."""
    begin, env, pipe = command(script, *arguments), environment(**given), subprocess.PIPE
    with subprocess.Popen(
        begin, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1, env=env
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: Process) -> Process:
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: Process) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def together(*commands: tuple[object, ...], script: str = "appender.py") -> list[list[str]]:
    """What the processes said, all begun at the same moment. None fails."""
    with ExitStack() as stack:
        processes = [stack.enter_context(started(*command, script=script)) for command in commands]
        for process in processes:
            ready(process)
        for process in processes:
            go(process)
        said = [process.communicate() for process in processes]
        assert [
            (process.returncode, errors) for process, (_, errors) in zip(processes, said, strict=True)
        ] == [(0, "") for _ in processes]
    return [output.splitlines() for output, _ in said]
