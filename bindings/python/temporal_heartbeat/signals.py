"""What the server asks of an activity's holder."""

from __future__ import annotations

import enum

__all__ = ["Signals"]


class Signals(enum.IntFlag):
    """The server's requests, a set of flags: empty, and false, when there is nothing to do.

    Bits that this version doesn't name are kept, and are to be ignored.
    """

    CANCEL_REQUESTED = 1
    """The activity is to end: clean up, then `report_cancelled`. `complete` would still win."""

    PAUSED = 2
    """The activity is paused: stop working until the flag goes, but beat on, or it times out."""

    RESET = 4
    """The activity is to start anew: end this attempt, and a new first one follows."""
