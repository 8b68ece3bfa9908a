"""A reader that reads a log again and again until it receives a line.

    python -m campaign.processes.reading LOG

It opens the log, reads a part of it, and closes it. It says `ready`, begins when it is sent a line, and says
at the end how often it has looked.
"""

import select
import sys

from threadlog.store import Log


def looked(path: str, after: int) -> int:
    """How far the log had come: what is behind a position is read, as far as one reads it at once."""
    with Log.open(path, readonly=True) as log:
        for row in log.open_runs():
            log.state(row.thread_id)
        found = log.entries_after(after)
        return found[-1].position if found else 0


def look(path: str) -> int:
    looks = position = 0
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        position = looked(path, position)
        looks += 1
    return looks


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if sys.stdin.readline():
        sys.stdout.write(f"{look(sys.argv[1])}\n")
