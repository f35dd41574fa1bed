"""The figures of the first chart, and how numbers are written. It needs no plotting library, so a test can use it."""

import math

# This project and the SDK of the same language.
GAIN_ROWS = ("go", "go-sdk", "python-aio", "python-sdk")
# The key of the results, the title, the unit, and the number of the result's units in that unit.
GAIN_FIGURES = (
    ("cpu_us", "Processor time", "microseconds per heartbeat", 1),
    ("p99_us", "99th percentile", "milliseconds until the answer", 1000),
    ("rss_mb", "Memory", "megabytes of the process", 1),
)


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 10 or math.isclose(value, round(value)) else f"{value:.2g}"
