"""The command `threadlog`. Offline work on a file only reads it; running agents goes through the engine.

look       commands that read a log: threads, runs, show, log, state, diff, pending, follow
act        commands that write to one: run, serve, decide, steer, cancel, recover
check      verify, replay, rebuild, stats
demo       a whole run, from nothing, on the user's own machine
bench      figures against raw SQLite, in one run

cli        the command and its exit codes
opening    how every command opens the log
terminal   what a person sees; text from a log is data and is shown as such
agents     a user's file of agents and reducers
standing   where a run is now, and the next commands to type
"""
