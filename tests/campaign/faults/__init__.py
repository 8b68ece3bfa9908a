"""Faults of the disk: what may go wrong, and how it is made to."""
