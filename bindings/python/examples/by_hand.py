"""Processes the items of an Activity, if a parent handed one over. Also runs without Temporal.

by_hand.py ITEMS
"""

import sys

import temporal_heartbeat as thb

items = int(sys.argv[1])
thb.connect(when_absent="inactive")
with thb.Activity.from_env(when_absent="inactive") as act:
    for item in thb.track(range(items), act):
        print("item", item)  # the work
    act.complete(items)
