"""What the server asks of an activity's holder."""

from __future__ import annotations

import enum

__all__ = ["Signals"]


class Signals(enum.IntFlag):
    """The server's requests, a set of flags: empty, and false, when there is nothing to do.

    * ``CANCEL_REQUESTED``: the activity is to end: clean up, then `report_cancelled`. `complete`
      would still win.
    * ``PAUSED``: stop working until the flag goes, but beat on, or the activity times out.
    * ``RESET``: end this attempt, by `fail` for instance; a new first one follows.

    Bits that this version doesn't name are kept, and are to be ignored.
    """

    CANCEL_REQUESTED = 1
    PAUSED = 2
    RESET = 4
