"""Command lines for the next step, ready to paste into the shell that called this command."""

import os
import shlex
import shutil
import sys


def command_line(*words: str) -> str:
    """Return a command line of `threadlog`, quoted for the shell."""
    return shlex.join((_program(), *words))


def _program() -> str:
    """Return `threadlog`, or the path by which it was called if the shell would not find it by name."""
    called = sys.argv[0]
    if os.path.basename(called) == called or called == shutil.which("threadlog"):
        return "threadlog"
    return called


def decide_line(db: str, run_id: str, target: str) -> str:
    """Return the command that approves a call. With --deny instead of --approve it denies the call."""
    return command_line("decide", run_id, target, "--approve", "--db", db)


def pending_line(db: str, run_id: str) -> str:
    """Return the command that lists the pending calls of a run."""
    return command_line("pending", run_id, "--db", db)


def recover_line(db: str, run_id: str) -> str:
    """Return the command that closes a run whose process died."""
    return command_line("recover", run_id, "--db", db)


def resume_line(db: str, thread_id: str) -> str:
    """Return the command that resumes the waiting run of a thread. The user replaces FILE.py:AGENT."""
    return command_line("run", "FILE.py:AGENT", "--thread", thread_id, "--db", db)
