"""A process that becomes a server on command: a line of JSON has its environment and its arguments.

It says `ready`, when all is imported that a server needs: so that one takes the place of another at once.
"""

import json
import os
import sys

from threadlog.engine.remote import client
from threadlog.engine.remote import remote_error as failure
from threadlog.engine.serve.a2a import application as serving
from threadlog.tools.cli import main

NEEDED = (client, serving)
"""What a server would import only when it is about to serve."""
LONGEST_WAIT = 1.0
"""Seconds between two tries of a server that has died: it comes back at once."""

if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if told := sys.stdin.readline():
        given = json.loads(told)
        os.environ |= given["environment"]
        failure.LONGEST_WAIT = LONGEST_WAIT
        sys.argv = ["threadlog", *given["command"]]
        main()
