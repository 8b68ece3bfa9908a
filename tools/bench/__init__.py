"""Speed compared with raw SQLite: `make bench`."""
