"""The end of what a run has left open; and of a run that waits, for which nobody but the log is needed."""

from ..reducers.decision import DecisionTaken, kept
from ..reducers.run import RunMoved, done_reason
from ..reducers.tool_call import ToolCallMoved, calls
from ..store.async_log import Pending
from ..store.changeset import Executor, RunFacts, Termination
from .workspace import LOOP, Workspace


def close_calls(work: Workspace) -> None:
    """Calls without an outcome are cancelled with their run; decisions that were of no use are unused."""
    for call in calls(work.state):
        if call.status in ("new", "running", "suspended", "resuming"):
            moved = ToolCallMoved(
                call_id=call.call_id, name=call.name, arguments=call.arguments, status="cancelled"
            )
            work.act([moved], source=LOOP, call_id=call.call_id)
    for record in kept(work.state):
        work.act([DecisionTaken(target=record.target, unused=True)], source=LOOP)


def cancel_waiting(work: Workspace, waited: RunFacts, executor: Executor) -> Pending:
    """Cancel a run that waits: one changeset, an epoch of its own.

    No model, tool or behavior has a part in it: `run_end` was asked when the run began to wait.
    """
    termination = Termination(type="cancelled")
    close_calls(work)
    moved = RunMoved(run_id=work.identity.run_id, status="done", done_reason=done_reason(termination))
    work.act([moved], source=LOOP)
    done = waited.model_copy(update={"status": "done", "termination": termination})
    return work.commit("run_finished", run=done, executor=executor)
