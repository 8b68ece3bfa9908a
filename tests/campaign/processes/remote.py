"""A remote agent in a process of its own: remote.py FILE. It says its address, and ends with its input.

Into the file it writes each message that reaches it: the context, and the message's id.
"""

import os
import sys
from pathlib import Path

from support.remote_agent import SdkServer


def serve(path: Path) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with SdkServer() as server:

        def note(moment: int) -> None:
            method, given, _ = server.asked[-1]
            if moment % 2 and method in ("SendMessage", "SendStreamingMessage"):
                message = given["message"]
                os.write(file, f"{message['contextId']} {message['messageId']}\n".encode())

        server.happens = note
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
