"""What model calls have cost: tokens, added up. Pure."""

from ..store.changeset import Changeset, Usage


def summed(a: Usage, b: Usage) -> Usage:
    """Both together."""
    return Usage(**{name: getattr(a, name) + getattr(b, name) for name in Usage.model_fields})


def spent(changeset: Changeset) -> Usage:
    """The tokens that a changeset tells of: of the run's own model, and of those that behaviors asked."""
    total = changeset.inference.usage if changeset.inference else Usage()
    for asked in changeset.effects:
        total = summed(total, asked.usage)
    return total
