"""Remote agents in a process of their own (`remote_servers.py`), and how a test controls them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from a2a.types import Task
from google.protobuf.json_format import ParseDict

from support.programs import command, environment


class RemoteHost:
    """The process that runs the servers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def call(self, server: int | None, command: str, *arguments: Any) -> Any:
        """Send a command for one server, by its number, and return the answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([server, command, arguments]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process of the remote agents ended at {command!r}: see its error output"
        return json.loads(answer)

    @contextmanager
    def serve(self, *, streaming: bool = True, extensions: tuple[str, ...] = ()) -> Iterator["RemoteServer"]:
        """A new server, without tasks and faults."""
        number, url = self.call(None, "start", streaming, extensions)
        try:
            yield RemoteServer(self, number, url)
        finally:
            self.call(number, "close")


class RemoteServer:
    """One server of the process, `remote_agent.SdkServer`."""

    def __init__(self, host: RemoteHost, number: int, url: str) -> None:
        self.url = url
        self._host = host
        self._number = number

    @property
    def asked(self) -> list[tuple[str, dict[str, Any], dict[str, str]]]:
        """Every request: its method, its parameters, its headers."""
        return [(method, given, headers) for method, given, headers in self._call("asked")]

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    @property
    def tasks(self) -> list[Task]:
        """All tasks, in the order of their creation."""
        return [ParseDict(task, Task()) for task in self._call("tasks")]

    def forget(self) -> None:
        """Drop all tasks, as a restart does."""
        self._call("forget")

    def describe(self, description: str, at: str = "") -> None:
        """Change the description in the agent card, and its address to `at` if given."""
        self._call("describe", description, at)

    def will(self, method: str, *faults: str) -> None:
        """Apply one fault to each next request of a method, the last one to all later ones.

        `remote_agent.Fault` lists the faults. The method `card` stands for requests of the agent card.
        """
        self._call("will", method, *faults)

    def release(self) -> None:
        """Complete the tasks that wait."""
        self._call("release")

    @contextmanager
    def killing(self, pid: int, *, after: int) -> Iterator[None]:
        """Kill a process in the midst of a request.

        Each request has two moments: before the server looks at it, and when it is answered. The process is
        killed at the moment that comes `after` moments from now.
        """
        self._call("kill", pid, after)
        try:
            yield
        finally:
            self._call("spare")

    def _call(self, command: str, *arguments: Any) -> Any:
        return self._host.call(self._number, command, *arguments)


@contextmanager
def hosting() -> Iterator[RemoteHost]:
    """Run the process. It also ends if this process dies: its input ends then."""
    pipe = subprocess.PIPE
    begin = command("remote_servers.py")
    with subprocess.Popen(begin, stdin=pipe, stdout=pipe, text=True, env=environment()) as process:
        try:
            yield RemoteHost(process)
        finally:
            process.kill()
