"""The process that is killed: it pays bills, and sends itself SIGKILL halfway through the second payment.

python -m threadlog.tools.demo.payments_main LOG FOLDER
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from ...engine import Runtime
from ...store.errors import ThreadlogError
from .payments import RUN, THREAD, cashier

DEADLY = "Taxi MK"
"""The bill during whose payment the process is killed."""


async def main(path: str, folder: Path) -> None:
    """Run the cashier."""

    def die(bill: str) -> None:
        if bill == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Runtime.open(path, agents=[cashier(folder, die)]) as runtime:
        run = await runtime.start("cashier", "Please pay the bills.", thread=THREAD, id=RUN)
        await run.result()


if __name__ == "__main__":
    try:
        anyio.run(main, sys.argv[1], Path(sys.argv[2]))
    except (ThreadlogError, OSError) as err:
        sys.exit(str(err))
