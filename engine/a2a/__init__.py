"""Agents behind the A2A protocol. Needs the extra `a2a`, and nothing else of threadlog needs this folder.

messages    what clients say, and parts of what they are told             pure
tasks       a run as a task: a fold of its changesets                     pure
lookup      the tasks of one agent in the log, one by one and in pages
updates     a task as it goes on, told from the log and by its loop
card        how an agent presents itself                                  pure
server      what a client may ask of an agent
serving     the agents of a runtime, on an open socket
"""
