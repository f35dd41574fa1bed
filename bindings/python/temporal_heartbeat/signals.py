"""What is asked of an activity's holder."""

from __future__ import annotations

import enum

__all__ = ["STOP_SIGNALS", "Signals", "signals_of"]


class Signals(enum.IntFlag):
    """What is asked of the holder, a set of flags: empty, and false, when there is nothing to do.

    The server asks, by its answers to heartbeats:

    * ``CANCEL_REQUESTED``: the activity is to end: clean up, then `report_cancelled`. `complete`
      would still win.
    * ``PAUSED``: stop working until the flag goes, but beat on, or the activity times out.
    * ``RESET``: end this attempt, by `fail` for instance; a new first one follows.

    An `Activity` that is held open also knows by itself (CANCEL_REQUESTED and RESET stay there):

    * ``GONE``: the activity is over for this token: ended, timed out, superseded. Stop the work;
      nothing is ever sent again.
    * ``LEASE_LOST``: no heartbeat was acknowledged for a whole heartbeat timeout, so that another
      attempt may be running. Stop, or make sure that nothing is done twice. It goes when a
      heartbeat is acknowledged again.
    * ``STALLED``: no `heartbeat` or `touch` for ``stall_timeout``: nothing is sent any more. The
      next one lifts it.
    * ``REFUSED``: the server refuses the heartbeats, and trying again won't help; ``info`` says
      why.
    * ``DEADLINE``: ``attempt_remaining`` has passed. It is a hint: the server decides, and a pulse
      asks it soon after. If the attempt is over, GONE follows.
    * ``UNSEEDED``: it couldn't be learned what progress the server holds, so that nothing is sent
      by itself, lest that is erased. Record something.

    Bits that this version doesn't name are kept, and are to be ignored.
    """

    CANCEL_REQUESTED = 1
    PAUSED = 2
    RESET = 4
    GONE = 8
    LEASE_LOST = 16
    STALLED = 32
    REFUSED = 64
    DEADLINE = 128
    UNSEEDED = 256


STOP_SIGNALS = Signals.CANCEL_REQUESTED | Signals.RESET | Signals.GONE | Signals.LEASE_LOST
"""Those after which it makes no sense to go on: for `Activity.wait`, and `raise_if_cancelled`."""

_MADE: dict[int, Signals] = {0: Signals(0)}


def signals_of(bits: int) -> Signals:
    """The flags. Faster than to make them, which a call of some hundred nanoseconds would feel."""
    try:
        return _MADE[bits]
    except KeyError:
        return _MADE.setdefault(bits, Signals(bits))
