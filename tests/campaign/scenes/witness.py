"""What a process was told and has done, written down where no fault comes to: line by line, before all else.

What is in there was acknowledged, or has had its effect: the log must know of it, whatever becomes of the
process.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from threadlog.engine import RunResult
from threadlog.engine.events.event import DurableEvent
from threadlog.store.document import dumps, loads

Line = dict[str, Any]


class Effect(NamedTuple):
    """A tool that has begun to have its effect."""

    tool: str
    run_id: str
    call_id: str
    key: str
    at: int
    """Microseconds since 1970."""


class Witness:
    """Writes lines to a file, each with one call: what was said before a kill is there."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def say(self, what: str, **more: Any) -> None:
        os.write(self._file, dumps({"what": what, **more}) + b"\n")

    def tell(self, listener: str, run_id: str, fact: DurableEvent) -> None:
        """A fact that a listener was told."""
        self.say("fact", listener=listener, run=run_id, **plain(fact))

    def result(self, result: RunResult) -> None:
        """A result that was given."""
        self.say("result", run=result.run_id, result=to_jsonable_python(result))

    def effect(self, effect: Effect) -> None:
        self.say("effect", effect=list(effect))


def plain(fact: DurableEvent) -> Line:
    """A fact as JSON, with its kind."""
    return {"kind": type(fact).__name__, "fact": to_jsonable_python(fact)}


def said(path: Path) -> list[Line]:
    """All that was written down. A line is whole, or the last one."""
    written = path.read_bytes() if path.exists() else b""
    return [loads(line) for line in written.split(b"\n")[:-1]]


def effects(lines: list[Line]) -> Iterator[Effect]:
    return (Effect(*line["effect"]) for line in lines if line["what"] == "effect")
