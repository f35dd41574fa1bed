"""Measures one heartbeat of an Activity from Python, and a call through ctypes that does nothing.

record.py ADDRESS
"""

import ctypes
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bindings" / "python"))

import temporal_heartbeat as thb  # noqa: E402
from temporal_heartbeat import _abi  # noqa: E402

# Short runs: then other work on the machine hardly changes the medians.
CALLS, RUNS = 100, 5001

FLOOR, RECORD = "a call that does nothing", "heartbeat(64 bytes)"
# Called like the binding: without a prototype, with prepared arguments, and without releasing the GIL.
QUICK_FLOOR = "a call that does nothing, as the binding calls"

NOTHING = """
#include <stddef.h>
#include <stdint.h>
int32_t nothing(uint64_t activity, int32_t encoding, const void *details, size_t details_len, uint32_t *signals_out,
                void **error_out) {
    return 0;
}
"""


def nothing() -> tuple[Any, Any]:
    """Returns a function with the same signature twice: with a ctypes prototype, and prepared like the binding."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "nothing.so"
        command = ["cc", "-shared", "-fPIC", "-O2", "-x", "c", "-o", str(library), "-"]
        subprocess.run(command, input=NOTHING, text=True, check=True)
        function, quick = ctypes.CDLL(str(library)).nothing, ctypes.PyDLL(str(library)).nothing
    function.restype, function.argtypes = _abi.PROTOTYPES["thb_activity_heartbeat"]
    quick.restype = function.restype
    return function, quick


def measure(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Returns the median time of each, in ns. Each run calls all of them, so that a busy moment affects all."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(RUNS):
        for name, call in calls.items():
            times[name].append(timeit.timeit(call, number=CALLS) / CALLS * 1e9)
    for name, taken in times.items():
        print(f"Python, {name}: {statistics.median(taken):.0f} ns ({min(taken):.0f} to {max(taken):.0f})")
    return {name: statistics.median(taken) for name, taken in times.items()}


details = b"x" * 64
(no_op, quick_no_op), signals_out = nothing(), ctypes.byref(ctypes.c_uint32())
thb.connect(address=sys.argv[1])
handle, length = ctypes.c_uint64(1), ctypes.c_size_t(64)
with thb.Activity(b"of Python", initial_details=[], heartbeat_timeout=30) as act:
    heartbeat = act.heartbeat
    medians = measure(
        {
            FLOOR: lambda: no_op(1, 2, details, 64, signals_out, None),
            QUICK_FLOOR: lambda: quick_no_op(handle, 2, details, length, signals_out, None),
            RECORD: lambda: heartbeat(details),
            "heartbeat(41000)": lambda: heartbeat(41_000),
            'heartbeat({"item": 41000})': lambda: heartbeat({"item": 41_000}),
            "touch()": act.touch,
            "signals": lambda: act.signals,
        }
    )
    for floor in (FLOOR, QUICK_FLOOR):
        print(f"Python, {RECORD}: {medians[RECORD] / medians[floor]:.2f} of {floor}")
thb.disconnect()
