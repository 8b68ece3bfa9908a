"""As mortal.py without calls, with an agent whose runs are executed elsewhere: adopted.py LOG."""

import sys
from dataclasses import fields
from typing import ClassVar

import anyio
import mortal

from threadlog.engine import Agent


class Followed(Agent):
    adopts_orphans: ClassVar[bool] = True


async def follow(path: str) -> None:
    agent = mortal.mortal("parallel")
    followed = Followed(**{field.name: getattr(agent, field.name) for field in fields(agent)})
    await mortal.work(path, followed)


if __name__ == "__main__":
    anyio.run(follow, sys.argv[1])
