"""`threadlog`, as the second process of the demo: it ends with whoever has started it, however that ends.

python -m threadlog.tools.demo.served serve …
"""

import os
import signal
from threading import Thread

from ..cli import main


def _end_with_starter() -> None:
    # The pipe is closed by the kernel, too. Unbuffered: a buffered read would hold up the interpreter's end.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_starter, daemon=True).start()
    main()
