"""What the server asks of an activity, as in the C header."""

from enum import IntFlag


class Signals(IntFlag):
    NONE = 0
    CANCEL_REQUESTED = 1
    PAUSED = 2
    RESET = 4

    # Of activities that are held open.
    GONE = 8
    LEASE_LOST = 16
    STALLED = 32
    REFUSED = 64
    DEADLINE = 128
    UNSEEDED = 256
