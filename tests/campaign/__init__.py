"""Logs are hurt in every way there is, and must keep what they promise."""
