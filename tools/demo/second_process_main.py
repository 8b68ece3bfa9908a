"""The program of the second process: `threadlog` that ends with its parent, even if that is killed.

python -m threadlog.tools.demo.second_process_main serve …
"""

import os
import signal
from threading import Thread

from ..cli import main


def _end_with_parent() -> None:
    # The kernel closes the pipe when the parent dies. A buffered read would block the shutdown.
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_parent, daemon=True).start()
    main()
