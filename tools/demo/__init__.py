"""`threadlog demo`: an agent dies in the middle of a payment; its run is recovered. No key, no network.

demo             the command
crash            a process is killed during a payment (payments: its agent; payments_main: its program)
recovery         a person decides about the uncertain call, and the run continues
audit            who decided what, verify, replay
narration        how the scenes print what happens

further_scenes   what --verbose adds
filing           an agent files a CSV of expenses (expenses: the CSV; bookkeeper: the agent)
delegation       a planner delegates (team: the agents), also to an agent in a second process on loopback
                 (second_process; second_process_main: its program)
"""

from .demo import demo

__all__ = ["demo"]
