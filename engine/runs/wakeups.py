"""Why the dispatcher looks again: a thread became free, or something could not be written."""

from ..events import Wakeup


class Wakeups:
    """What the parts of a runtime tell its dispatcher."""

    def __init__(self) -> None:
        self.thread_free = Wakeup()
        """A run is no longer executed here: queued runs may start."""
        self.retry = Wakeup()
        """The log could not be read or written: try again after a pause."""
