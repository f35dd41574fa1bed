"""What the server asks of an activity, as in the C header."""

from enum import IntFlag


class Signals(IntFlag):
    NONE = 0
    CANCEL_REQUESTED = 1
    PAUSED = 2
    RESET = 4
