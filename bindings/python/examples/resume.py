"""Processes the items of an Activity, from the last one that an attempt recorded on.

    resume.py ITEMS FILE

The parent hands the task token over in the environment. Each processed item adds a line to FILE.
"""

import sys
import time

import temporal_heartbeat as thb

items, path = int(sys.argv[1]), sys.argv[2]
token = thb.token_from_env()
thb.connect()

details = thb.get_details(token)
first = details[0] + 1 if details else 0
for item in range(first, items):
    with open(path, "a") as done:
        done.write(f"{details.attempt} python {item}\n")
    try:
        signals = thb.heartbeat(token, item)
        while signals == thb.Signals.PAUSED:  # without heartbeats the activity would time out
            time.sleep(0.5)
            signals = thb.heartbeat(token, item)
        if signals & thb.Signals.CANCEL_REQUESTED:
            thb.report_cancelled(token)
            sys.exit("cancelled")
    except thb.NotFoundError:
        sys.exit("the activity is over for this attempt")
thb.complete(token, items)
