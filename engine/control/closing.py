"""Ending what a run has left open, and ending a waiting run, which needs no agent."""

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
    """Cancel the calls without an outcome and mark decisions that were never applied as unused."""
    for call in open_calls(work.state):
        move_call(work, call, "cancelled")
    for record in kept_decisions(work.state):
        work.act([RemoveDecision(target=record.target, unused=True)], source=LOOP)


async def cancel_waiting_run(
    work: Workspace, mailbox: Mailbox, waited: RunStatus, executor: Executor
) -> None:
    """Cancel a waiting run: one changeset, an epoch of its own. Durable on return.

    No model, tool or behavior takes part: `run_end` behaviors ran when the run began to wait.

    Raises:
        VersionConflict: another process has sent a command to the run or resumed it.
    """
    done = close_run(work, mailbox, waited, Termination(type="cancelled"))
    await work.commit_end("run_finished", run=done, executor=executor)


def end_superseded_run(
    identity: RunIdentity, thread: Thread, mailbox: Mailbox, effects: Effects, *, by: str
) -> Encoded:
    """The end of a superseded run, to be appended after `thread` together with the new run's start."""
    journal = MemoryJournal()
    work = Workspace(journal, effects, Reducers(), identity, thread, author="superseded")
    end = Termination(type="cancelled", code="superseded", detail=f"run {by} took its place")
    status = thread.runs.get(identity.run_id, RunStatus(status="running"))
    work.commit("superseded", run=close_run(work, mailbox, status, end))
    return journal.encoded[0]


def close_run(work: Workspace, mailbox: Mailbox, status: RunStatus, termination: Termination) -> RunStatus:
    """End a run: its commands are applied and its calls closed. Return its status."""
    moved = MoveRun(run_id=work.identity.run_id, status="done", done_reason=done_reason(termination))
    work.act([moved], source=LOOP)
    Inbox(work, mailbox).apply("end")
    close_calls(work)
    return status.model_copy(update={"status": "done", "termination": termination})
