"""Commands that read a log: threads, runs, show, log, state, diff, pending, follow."""
