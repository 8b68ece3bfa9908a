"""Commands that write to a log: run and serve agents, decide, steer, cancel, recover."""
