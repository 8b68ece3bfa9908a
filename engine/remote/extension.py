"""The A2A extension that threadlog declares in its agent cards."""

IDEMPOTENT = "https://threadlog.dev/a2a/idempotent-messages"
"""The extension by which a server says: a message sent again under its id is the same message."""
