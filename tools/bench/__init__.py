"""Figures against raw SQLite, in one run: `make bench`."""
