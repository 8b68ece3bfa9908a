"""Statistics of one run or many, counted from their changesets. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from ..store.changeset import Changeset


class Statistics(NamedTuple):
    """Figures of one or more runs."""

    duration: int = 0
    """Microseconds between the first and the last commit of each epoch, added up. Waiting does not count."""

    steps: int = 0
    """The number of turns of the model."""

    inferences: int = 0
    """The number of model requests, whether or not they succeeded."""

    retries: int = 0
    """The number of model requests after the first one of a step, to the same or another model."""

    tool_calls: int = 0
    """The number of tool calls with an outcome, whether or not the tool was called."""

    tool_errors: int = 0
    """The number of tool calls that failed."""


def statistics(changesets: Iterable[Changeset]) -> Statistics:
    """Return the figures of all runs in the changesets."""
    total = Statistics()
    epochs: dict[tuple[str, int], tuple[int, int]] = {}
    for one in changesets:
        total = Statistics(*map(sum, zip(total, _figures(one), strict=True)))
        if one.run_id:
            first, _ = epochs.setdefault((one.run_id, one.epoch), (one.at, one.at))
            epochs[one.run_id, one.epoch] = (first, one.at)
    # Another process may have written the last changeset, and its clock may be behind.
    return total._replace(duration=sum(max(last - first, 0) for first, last in epochs.values()))


def _figures(one: Changeset) -> Statistics:
    turns = sum(message.role == "assistant" for message in one.messages) if one.inference else 0
    asked = len(one.inference.attempts) + turns if one.inference else 0
    ended = [outcome.outcome for outcome in one.tool_calls if outcome.outcome != "suspended"]
    return Statistics(
        steps=turns,
        inferences=asked,
        retries=max(asked - 1, 0),
        tool_calls=len(ended),
        tool_errors=ended.count("failed"),
    )
