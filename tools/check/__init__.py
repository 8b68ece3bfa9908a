"""Commands that check a log: verify, replay, rebuild, stats."""
