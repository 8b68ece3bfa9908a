"""A process that becomes a server when it is told to: a line of JSON has its environment and its command.

It says `ready`, when all is imported that a server needs: so that one takes the place of another at once.
"""

import json
import os
import sys

from threadlog.engine.a2a import client, serving
from threadlog.tools.cli import main

NEEDED = (client, serving)
"""What a server would import only when it is about to serve."""

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if told := sys.stdin.readline():
        given = json.loads(told)
        os.environ |= given["environment"]
        sys.argv = ["threadlog", *given["command"]]
        main()
