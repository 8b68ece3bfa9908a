"""`threadlog demo`: real agent runs in three acts, and what their logs say. No key, no network but loopback.

demo            the command: the three acts, then one audit of them all
filing          act 1: an agent files a CSV of expenses (expenses: the CSV; bookkeeper: the agent)
delegation      act 2: a planner delegates (team: the agents), also to an agent in a second process
                (second_process; second_process_main: the program that runs there)
crash           act 3: a process is killed during a payment (payments: the agent; payments_main: the process)
narration       how the acts print what they do
"""

from .demo import demo

__all__ = ["demo"]
