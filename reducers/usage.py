"""Token usage of model calls. Pure."""

from ..store.changeset import Changeset, Usage


def add_usage(a: Usage, b: Usage) -> Usage:
    """Return the sum of both."""
    return Usage(**{name: getattr(a, name) + getattr(b, name) for name in Usage.model_fields})


def changeset_usage(changeset: Changeset) -> Usage:
    """Return the tokens used in a changeset: by the run's own model, and by models that behaviors asked."""
    total = changeset.inference.usage if changeset.inference else Usage()
    for effect in changeset.effects:
        total = add_usage(total, effect.usage)
    return total
