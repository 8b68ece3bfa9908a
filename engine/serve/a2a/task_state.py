"""The A2A state of a run. Pure.

queued                             submitted
running                            working
waiting                            input required; working, if its process died and another will resume it
natural_end, behavior_requested    completed
cancelled                          canceled
stopped, error                     failed
"""

from a2a.types import TaskState

from ....reducers.run import waits_for_process
from ....store.changeset import Termination

FINAL = frozenset(
    {TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELED}
)


def task_state(status: str, termination: Termination | None) -> TaskState:
    """Return the state of a run that has started. `termination` is None only while it runs."""
    if status == "running" or waits_for_process(termination):
        return TaskState.TASK_STATE_WORKING
    end = termination or Termination(type="error")
    match end.type:
        case "suspended":
            return TaskState.TASK_STATE_INPUT_REQUIRED
        case "natural_end" | "behavior_requested":
            return TaskState.TASK_STATE_COMPLETED
        case "cancelled":
            return TaskState.TASK_STATE_CANCELED
        case "stopped" | "error":
            return TaskState.TASK_STATE_FAILED
