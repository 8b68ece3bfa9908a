"""Agents behind the A2A protocol. The SDK is imported only where it is used: the extra `a2a` brings it.

Those of others, followed:

agent       a remote agent: what a registry has of it
discovery   from an address to an agent
client      the SDK at the edge: protobuf to plain data, and what went wrong
post        a message on its way: looked for before it is sent again
letters     what is said to a remote agent, and what it asks
cancel      the end of a task that nobody wants any more
failure     what can go wrong with a server
watch       a task until there is news of it: streamed or polled
mirror      a task, and what of it is mirrored
loop        a run that follows a remote task

Ours, served:

messages    what clients say, and parts of what they are told             pure
tasks       a run as a task: a fold of its changesets                     pure
lookup      the tasks of one agent in the log, one by one and in pages
updates     a task as it goes on, told from the log and by its loop
card        how an agent presents itself                                  pure
server      what a client may ask of an agent
serving     the agents of a runtime, on an open socket
"""
