"""Commands that write to a log: run, serve, decide, steer, cancel, recover."""

from .cancel import cancel
from .decide import decide
from .recover import recover
from .run import run
from .serve import serve
from .steer import steer

__all__ = ["cancel", "decide", "recover", "run", "serve", "steer"]
