"""A process of its own for servers of the A2A SDK. Controlled by `remote_host.py`, it ends with its input.

Each line of input is a command in JSON: `[server, command, arguments]`. Each answer is one line of JSON.
"""

import json
import os
import signal
import sys
from typing import Any

from google.protobuf.json_format import MessageToDict

from support.remote_agent import SdkServer


def start(servers: list[SdkServer], streaming: bool, extensions: list[str]) -> tuple[int, str]:
    """Start one more server and return its number and its address."""
    server = SdkServer(streaming=streaming, extensions=tuple(extensions))
    server.start()
    servers.append(server)
    return len(servers) - 1, server.url


def kill(server: SdkServer, pid: int, after: int) -> None:
    """Kill a process at the moment of the server that comes `after` moments from now."""
    last = server.moments + after

    def happens(moment: int) -> None:
        if moment == last:
            os.kill(pid, signal.SIGKILL)

    server.happens = happens


def execute(server: SdkServer, command: str, arguments: list[Any]) -> Any:
    """Execute a command on one server. Closed servers still show their requests and tasks."""
    match command:
        case "asked":
            return server.asked
        case "tasks":
            return [MessageToDict(task) for task in server.tasks]
        case "forget":
            server.forget()
        case "describe":
            server.describe(*arguments)
        case "will":
            server.will(*arguments)
        case "release":
            server.ends.set()
        case "kill":
            kill(server, *arguments)
        case "spare":
            server.happens = lambda moment: None
        case "close":
            server.close()
        case _:
            raise ValueError(f"unknown command {command!r}")
    return None


def main() -> None:
    servers: list[SdkServer] = []
    for line in sys.stdin:
        number, command, arguments = json.loads(line)
        is_new = command == "start"
        answer = start(servers, *arguments) if is_new else execute(servers[number], command, arguments)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
    # At once: nothing waits for the server threads, whose requests may hang.
    os._exit(0)
