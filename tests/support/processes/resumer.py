"""A process of its own that lets a run go on: resumer.py LOG RUN_ID CALL_ID."""

import sys

import anyio

from threadlog.engine import Agent, Decision, Runtime, ScriptedModel, tool


@tool(needs_approval=True)
def erase() -> str:
    """Erase."""
    return "erased"


def planner(*turns: str) -> Agent:
    return Agent("planner", ScriptedModel(*turns), tools=[erase])


async def resume(path: str, run_id: str, call_id: str) -> None:
    async with Runtime.open(path, agents=[planner("gone")]) as runtime:
        run = await runtime.decide(run_id, [Decision.approve(call_id, by="another process")])
        assert run
        result = await run.result()
        sys.stdout.write(f"{result.status} {result.output}\n")


if __name__ == "__main__":
    anyio.run(resume, sys.argv[1], sys.argv[2], sys.argv[3])
