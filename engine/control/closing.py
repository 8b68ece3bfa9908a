"""Ends of runs without their agents: waiting runs that are cancelled, runs that are superseded."""

from ...reducers.decision import RemoveDecision, kept_decisions
from ...reducers.open_calls import open_calls
from ...reducers.reduce import Reducers
from ...reducers.replay import Thread
from ...reducers.run import MoveRun, done_reason
from ...store.changeset import Executor, RunStatus, Termination
from ...store.codec import Encoded
from ..commit import LOOP, Effects, MemoryJournal, RunIdentity, Workspace, move_call
from .inbox import Inbox
from .mailbox import Mailbox


def close_calls(work: Workspace) -> None:
    """Cancel all open calls, and mark decisions that no call asked for as unused."""
    for call in open_calls(work.state):
        move_call(work, call, "cancelled")
    for record in kept_decisions(work.state):
        work.act([RemoveDecision(target=record.target, unused=True)], source=LOOP)


async def cancel_waiting_run(
    work: Workspace, mailbox: Mailbox, status: RunStatus, executor: Executor
) -> None:
    """Cancel a waiting run. Its end is one changeset, an epoch of its own, and durable on return.

    No behavior is called: `run_end` behaviors ran when the run was suspended.

    Raises:
        VersionConflict: another process has sent a command to the run or resumed it.
    """
    done = close_run(work, mailbox, status, Termination(type="cancelled"))
    await work.commit_end("run_finished", run=done, executor=executor)


def end_superseded_run(
    identity: RunIdentity, thread: Thread, mailbox: Mailbox, effects: Effects, *, by: str
) -> Encoded:
    """Return the end of a superseded run, to append to `thread` together with the start of run `by`."""
    journal = MemoryJournal()
    work = Workspace(journal, effects, Reducers(), identity, thread, author="superseded")
    end = Termination(type="cancelled", code="superseded", detail=f"run {by} took its place")
    status = thread.runs.get(identity.run_id, RunStatus(status="running"))
    work.commit("superseded", run=close_run(work, mailbox, status, end))
    return journal.encoded[0]


def close_run(work: Workspace, mailbox: Mailbox, status: RunStatus, termination: Termination) -> RunStatus:
    """End a run: apply its commands and close its calls. Return its final status."""
    moved = MoveRun(run_id=work.identity.run_id, status="done", done_reason=done_reason(termination))
    work.act([moved], source=LOOP)
    Inbox(work, mailbox).apply("end")
    close_calls(work)
    return status.model_copy(update={"status": "done", "termination": termination})
