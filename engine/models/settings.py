"""The settings that every model understands."""

SETTINGS = frozenset({"temperature", "max_tokens", "top_p", "reasoning_effort"})
"""What may be set, for a model or for one request."""
