"""Processes the items of an Activity, if a parent handed one over. Also runs without Temporal.

by_hand.py ITEMS
"""

import sys

import temporal_heartbeat as thb

items = int(sys.argv[1])
thb.connect(when_absent="inactive")
with thb.Activity.from_env(when_absent="inactive") as act:
    for item in range(act.details(default=-1) + 1, items):
        print("item", item)  # the work
        act.heartbeat(item)
        act.wait_while_paused()
        act.raise_if_cancelled()
    act.complete(items)
