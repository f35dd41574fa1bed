"""Processes the items of an Activity that heartbeats in the background, from the last record on.

    activity.py ITEMS FILE

The parent hands the Activity over in the environment. Each processed item adds a line to FILE.
"""

import sys

import temporal_heartbeat as thb

items, path = int(sys.argv[1]), sys.argv[2]
thb.connect()

# An exception fails the activity at once, with its last details. Hung work is retried later.
with thb.Activity.from_env(stall_timeout=60) as act:
    try:
        for item in range(act.details(default=-1) + 1, items):
            with open(path, "a") as done:
                done.write(f"{act.info['attempt']} python {item}\n")
            act.heartbeat(item)
            act.wait_while_paused()
            act.raise_if_cancelled()
        act.complete(items)
    except thb.Cancelled as cancelled:
        if cancelled.signals & thb.Signals.CANCEL_REQUESTED:
            act.report_cancelled()
        sys.exit(str(cancelled))
    except thb.NotFoundError:
        sys.exit("the activity is over for this attempt")
