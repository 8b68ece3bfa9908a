"""A process for each case, forked from one that has imported everything: no threads, no loop, no open log."""

import asyncio
import faulthandler
import gc
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE = 60.0
"""Seconds after which a process is taken to hang."""


class End(NamedTuple):
    """How a process ended."""

    is_late: bool
    status: int
    errors: str

    @property
    def is_killed(self) -> bool:
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL


def forked(work: Callable[[], None], errors: Path) -> End:
    """A process that does the work."""
    if (pid := os.fork()) == 0:
        _work(work, errors)
    watched = select.poll()
    descriptor = os.pidfd_open(pid)
    watched.register(descriptor, select.POLLIN)
    is_late = not watched.poll(PATIENCE * 1000)
    if is_late:
        os.kill(pid, signal.SIGKILL)
    os.close(descriptor)
    _, status = os.waitpid(pid, 0)
    return End(is_late, status, errors.read_text(errors="replace") if errors.exists() else "")


def _complain(*_: object) -> None:
    for task in asyncio.all_tasks():
        coroutine: Any = task.get_coro()
        places: list[str] = []
        while frame := getattr(coroutine, "cr_frame", None):
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            coroutine = getattr(coroutine, "cr_await", None)
        sys.stderr.write("\n  ".join(["It waits:", *places, ""]))


def _work(work: Callable[[], None], errors: Path) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
    # Where its tasks wait, if they still do; and where it is, if it does not even come to say that.
    signal.signal(signal.SIGALRM, _complain)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE - 5)
    faulthandler.dump_traceback_later(PATIENCE - 3)
    code = 1
    try:
        work()
        # What complains of being left open does so now.
        gc.collect()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
