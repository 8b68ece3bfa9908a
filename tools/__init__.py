"""The command. Offline work on a file only reads it; running agents goes through the engine.

cli        the command and its exit codes
browse     threads, runs, show, log, state, diff
audit      verify, replay, rebuild, stats
terminal   what a person sees; text from a log is data and is shown as such
agents     a user's file of agents and reducers
serve      agents behind the A2A protocol
demo       a whole run, from nothing, on the user's own machine
bench      figures against raw SQLite, in one run
"""
