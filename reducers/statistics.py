"""How much was done: a count over what the log has of one run, or of many. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from ..store.changeset import Changeset


class Statistics(NamedTuple):
    """Figures of runs."""

    duration: int = 0
    """Microseconds from the first to the last commit, of every epoch: not while the run waited."""

    steps: int = 0
    """Turns of the model."""

    inferences: int = 0
    """Times that a model was asked, for whatever came of it."""

    retries: int = 0
    """Of these, those that were asked again, or of another model."""

    tool_calls: int = 0
    """Calls that came to an end, whether or not the tool was called for it."""

    tool_errors: int = 0
    """Of these, those that failed."""


def statistics(changesets: Iterable[Changeset]) -> Statistics:
    """The figures of all runs that are among the changesets."""
    total = Statistics()
    epochs: dict[tuple[str, int], tuple[int, int]] = {}
    for one in changesets:
        total = Statistics(*map(sum, zip(total, _figures(one), strict=True)))
        if one.run_id:
            first, _ = epochs.setdefault((one.run_id, one.epoch), (one.at, one.at))
            epochs[one.run_id, one.epoch] = (first, one.at)
    # Who recovers or supersedes a run has a clock of his own: it may be behind.
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
