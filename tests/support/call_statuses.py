"""Which status of a call may follow which."""

from threadlog.reducers.tool_call import Status as CallStatus

ENDS: set[CallStatus] = {"succeeded", "failed", "cancelled"}
CALL_MOVES: dict[CallStatus, set[CallStatus]] = {
    "new": {"new", "suspended", "resuming", *ENDS},
    "suspended": {"resuming", "cancelled"},
    "resuming": {"suspended", *ENDS},
    "succeeded": {"new"},
    "failed": {"new"},
    "cancelled": {"new"},
}
"""A call whose id comes again after its end begins anew."""
