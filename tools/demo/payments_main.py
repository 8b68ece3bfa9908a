"""The process of act 3: it pays bills, and kills itself with SIGKILL halfway through the second payment.

python -m threadlog.tools.demo.payments_main LOG FOLDER
"""

import os
import signal
import sys
from pathlib import Path

import anyio

from ...engine import Runtime
from .payments import RUN, THREAD, cashier

DEADLY = "Taxi MK"
"""The process does not survive the payment of this merchant."""


async def main(path: str, folder: Path) -> None:
    """Run the cashier."""

    def die(merchant: str) -> None:
        if merchant == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)

    async with Runtime.open(path, agents=[cashier(folder, die)]) as runtime:
        run = await runtime.start("cashier", "Please pay the bills.", thread=THREAD, id=RUN)
        await run.result()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], Path(sys.argv[2]))
