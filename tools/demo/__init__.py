"""A whole run, from nothing: a bookkeeper files a CSV of expenses. No key, no network.

expenses   the job: the tools, the reducer, the agent
command    `threadlog demo`: runs it, then looks at what the log has kept
"""
