"""What wakes the dispatcher, apart from commits to the log."""

from ..events import Wakeup


class Wakeups:
    """Signals from the other parts of a runtime to its dispatcher."""

    def __init__(self) -> None:
        self.thread_free = Wakeup()
        """A run is no longer executed here: queued runs may start."""
        self.retry = Wakeup()
        """The log could not be read or written: try again after a pause."""
