"""Agent runs from nothing, in three acts, and what their logs say of them. No key, no network but loopback.

command      `threadlog demo`: the acts in their order, then one audit of all
filing       1: an agent files a CSV of expenses (expenses: the job)
delegation   2: a planner has others work for it (team: the agents), one of them in a second process (second;
             served: what runs there)
crash        3: a process is killed in the midst of a payment (payments: the job, and the process)
telling      how the acts tell what they do
"""
