"""The settings of models."""

SETTINGS = frozenset({"temperature", "max_tokens", "top_p", "reasoning_effort"})
"""The names of all settings, for a model or for one request."""
