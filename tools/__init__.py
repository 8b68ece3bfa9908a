"""The command `threadlog`. Commands that look only read the file; running agents goes through the engine.

look        commands that read a log: threads, runs, show, log, state, diff, pending, follow
act         commands that write to one: run, serve, decide, steer, cancel, recover
check       commands that check one: verify, replay, rebuild, stats
demo        real runs from nothing, on the user's own machine
bench       speed compared with raw SQLite

cli         the command and its exit codes
opening     the options all commands share, and how they open the log
run_view    a run as the log has it now, without a runtime
next_steps  command lines for the next step
wording     how runs, calls and decisions are written for a person
terminal    printing; text from a log is data and is shown as such
agents      loading a user's file of agents and reducers
"""
