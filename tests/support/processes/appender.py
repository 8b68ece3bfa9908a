"""A process that appends, for the tests to start, to race and to kill. It prints what was acknowledged.

append PATH THREAD TIMES    so many changesets behind the thread's head, again after each conflict
race PATH THREAD TIMES      one changeset behind each of the versions 0, 1, …: `won` or `lost`
fill PATH THREAD LIMIT      until a file would pass the limit of bytes: `full`; then once more without a limit
open PATH                   opens the log and closes it

It says `ready`, and begins when it is sent a line.
"""

import os
import resource
import sys
from itertools import count

from threadlog.store import ANY, Changeset, Log, Message, TrackedPatch, VersionConflict
from threadlog.store.errors import LogUnavailable
from threadlog.store.patch import Operation


def say(text: str) -> None:
    # One write for each line, at once: what was said before a kill has arrived.
    os.write(1, f"{text}\n".encode())


def changeset(thread: str, number: int) -> Changeset:
    key = f"{os.getpid()} {number}"
    operation: Operation = {"op": "add", "path": f"/{key}", "value": number}
    patch = TrackedPatch(operations=(operation,), source="test")
    return Changeset(id=f"{thread} {key}", thread_id=thread, reason="edited", at=number, patches=(patch,))


def append(log: Log, thread: str, times: int) -> None:
    for number in range(times):
        item = changeset(thread, number)
        while True:
            try:
                log.append(item, log.head(thread))
                break
            except VersionConflict:
                continue
        say(item.id)


def race(log: Log, thread: str, times: int) -> None:
    for version in range(times):
        try:
            log.append(changeset(thread, version), version)
        except VersionConflict:
            say("lost")
        else:
            say("won")


def fill(log: Log, thread: str, limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        for number in count():
            say(appended(log, large(thread, number)))
    except LogUnavailable:
        say("full")
    assert len(list(log.read(thread))) == log.head(thread)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    say(appended(log, large(thread, -1)))


def large(thread: str, number: int) -> Changeset:
    item = changeset(thread, number)
    return item.model_copy(update={"messages": (Message(id=item.id, role="user", content="x" * 20_000),)})


def appended(log: Log, item: Changeset) -> str:
    log.append(item, ANY)
    return item.id


def main(command: str, path: str, *arguments: str) -> None:
    say("ready")
    sys.stdin.readline()
    with Log.open(path) as log:
        match command, *arguments:
            case "append", thread, times:
                append(log, thread, int(times))
            case "fill", thread, limit:
                fill(log, thread, int(limit))
            case "race", thread, times:
                race(log, thread, int(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
