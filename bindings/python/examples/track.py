"""Iterates over the items of an Activity.

    track.py ITEMS

A killed program resumes after its last item, in any language. The end of the block reports a
cancellation and a failure.
"""

import sys
import time

import temporal_heartbeat as thb

items = int(sys.argv[1])
thb.connect()
with thb.Activity.from_env() as act:
    for item in thb.track(range(items), act):
        time.sleep(0.02)  # the work
        print(f"python: item {item} done", flush=True)
    act.complete(items)
