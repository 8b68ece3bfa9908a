"""The end of what a run has left open; and of a run that waits, for which nobody but the log is needed."""

from ...reducers.decision import DecisionTaken, kept
from ...reducers.open_calls import open_calls
from ...reducers.reduce import Reducers
from ...reducers.replay import Thread
from ...reducers.run import RunMoved, done_reason
from ...reducers.tool_call import ToolCallMoved, ToolCallState
from ...store.changeset import Changeset, Executor, RunFacts, Termination
from ..commit import LOOP, Effects, Kept, RunIdentity, Workspace
from .inbox import Inbox
from .mailbox import Control


def close_calls(work: Workspace) -> None:
    """Calls without an outcome are cancelled with their run; decisions that were of no use are unused."""
    for call in open_calls(work.state):
        close_call(work, call)
    for record in kept(work.state):
        work.act([DecisionTaken(target=record.target, unused=True)], source=LOOP)


def close_call(work: Workspace, call: ToolCallState) -> None:
    """A call ends without an outcome."""
    moved = ToolCallMoved(call_id=call.call_id, name=call.name, arguments=call.arguments, status="cancelled")
    work.act([moved], source=LOOP, call_id=call.call_id)


async def cancel_waiting(work: Workspace, control: Control, waited: RunFacts, executor: Executor) -> None:
    """Cancel a run that waits: one changeset, an epoch of its own. Durable on return.

    No model, tool or behavior has a part in it: `run_end` was asked when the run began to wait.

    Raises:
        VersionConflict: somebody wants something else of it, or lets it go on.
    """
    done = closed(work, control, waited, Termination(type="cancelled"))
    await work.commit_end("run_finished", run=done, executor=executor)


def superseded(
    identity: RunIdentity, thread: Thread, control: Control, effects: Effects, *, by: str
) -> Changeset:
    """The end of a run whose place another one takes: to be appended behind `thread`, with its start."""
    journal = Kept()
    work = Workspace(journal, effects, Reducers(), identity, thread, author="superseded")
    end = Termination(type="cancelled", code="superseded", detail=f"run {by} took its place")
    facts = thread.runs.get(identity.run_id, RunFacts(status="running"))
    work.commit("superseded", run=closed(work, control, facts, end))
    return journal.changesets[0]


def closed(work: Workspace, control: Control, facts: RunFacts, termination: Termination) -> RunFacts:
    """The facts of a run that ends here, with all that was wanted of it taken in and its calls closed."""
    moved = RunMoved(run_id=work.identity.run_id, status="done", done_reason=done_reason(termination))
    work.act([moved], source=LOOP)
    Inbox(work, control).take_in("end")
    close_calls(work)
    return facts.model_copy(update={"status": "done", "termination": termination})
