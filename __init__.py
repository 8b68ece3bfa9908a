"""threadlog: replayable agent runs. Everything a run did, saw and decided is one append-only log.

store      the ground: what a changeset is, and the log that keeps it
reducers   the rules: action -> patch, changesets -> state. Pure
engine     the shell: runs agents; the only floor that touches the world
tools      the command, the demo and the benchmarks

Imports point down only: tools -> engine -> reducers -> store.
"""
