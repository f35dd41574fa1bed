"""The signals of an activity, with the numbers of the C header."""

from enum import IntFlag


class Signals(IntFlag):
    NONE = 0
    CANCEL_REQUESTED = 1
    PAUSED = 2
    RESET = 4

    # Only for open activities.
    GONE = 8
    LEASE_LOST = 16
    STALLED = 32
    REFUSED = 64
    DEADLINE = 128
    UNSEEDED = 256
