"""As killed_run.py, without calls, and its agent's runs are executed elsewhere: killed_adopted_run.py LOG."""

import sys
from dataclasses import fields
from typing import ClassVar

import anyio

from support.processes import killed_run
from threadlog.engine import Agent


class Followed(Agent):
    adopts_orphans: ClassVar[bool] = True


async def follow(path: str) -> None:
    agent = killed_run.mortal("parallel")
    followed = Followed(**{field.name: getattr(agent, field.name) for field in fields(agent)})
    await killed_run.work(path, followed)


if __name__ == "__main__":
    anyio.run(follow, sys.argv[1])
