"""Threads that send heartbeats through this project's Python binding. See ../README.md."""

import threading
import time

import temporal_heartbeat as thb

from measure import WARM_UP_S, Measurement, task

asked = task()
measurement = Measurement()
once = asked.seconds == 0


def beat(token: bytes, times: list[int]) -> None:
    before = time.monotonic_ns()
    while not measurement.ending:
        if asked.details:
            thb.heartbeat(token, asked.details)
        else:
            thb.heartbeat(token, clear=True)
        after = time.monotonic_ns()
        if measurement.measuring:
            times.append(after - before)
        before = after
        if once:
            return


thb.connect(address=asked.address, **({"tls": {"server_ca_cert_path": asked.ca_path}} if asked.ca_path else {}))
threads = []
for caller in range(asked.callers):
    measurement.times_ns.append([])
    threads.append(threading.Thread(target=beat, args=(asked.token(caller), measurement.times_ns[caller])))
    threads[-1].start()
if not once:
    time.sleep(WARM_UP_S)
    measurement.begin()
    time.sleep(asked.seconds)
    measurement.end()
for thread in threads:
    thread.join()
thb.disconnect()
measurement.report()
