"""The `threadlog` command. Commands that only look read the file; the others use the engine.

look        commands that read a log: threads, runs, show, log, state, diff, pending, follow
act         commands that write to one: run, serve, decide, steer, cancel, recover
check       commands that check one: verify, replay, rebuild, stats
demo        a run that survives the death of its process, on the user's machine
bench       speed compared with raw SQLite

cli         the command and its exit codes
opening     the options that all commands share; opening the log
run_view    the current status of a run, read without a runtime
next_steps  command lines for the next step, ready to paste
wording     runs, calls and decisions in words
terminal    printing; text from a log is escaped
agents      loading a user's file of agents and reducers
"""
