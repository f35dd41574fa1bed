"""The signals of an activity, which the server sends and the library sets."""

from __future__ import annotations

import enum

from . import _abi

__all__ = ["STOP_SIGNALS", "WHILE_PAUSED", "Signals", "signals_of"]


class Signals(enum.IntFlag):
    """The signals of an activity, as a set of flags. An empty set is false.

    The server sends these in its answers to heartbeats:

    * ``CANCEL_REQUESTED``: cancellation was requested. Clean up, then call `report_cancelled`. The
      server also still accepts `complete`.
    * ``PAUSED``: stop working until the flag is cleared, but continue to heartbeat, or the activity
      times out.
    * ``RESET``: an operator reset the activity. End this attempt, for example with `fail`. The
      server then starts again with attempt 1.

    An `Activity` also sets these itself, and keeps CANCEL_REQUESTED and RESET once they are set:

    * ``GONE``: the activity is over for this token: it ended, timed out, or a later attempt
      replaced this one. Stop the work. The library sends nothing more.
    * ``LEASE_LOST``: no heartbeat was acknowledged for a whole heartbeat timeout, so another
      attempt may be running. Stop, or make sure that nothing is done twice. The next acknowledged
      heartbeat clears the flag.
    * ``STALLED``: neither `heartbeat` nor `touch` was called for ``stall_timeout``, so nothing is
      sent, unless ``stall_action`` says otherwise. The next call clears the flag. If the attempt
      was failed, GONE is set too.
    * ``REFUSED``: the server refuses the heartbeats, and retries won't help; ``info`` has the
      error.
    * ``DEADLINE``: ``attempt_remaining`` has passed, so the attempt has probably timed out. A
      heartbeat is sent soon after, to ask the server. If the attempt is over, GONE follows.
    * ``UNSEEDED``: the library couldn't read the progress that the server holds. Automatic
      heartbeats would erase it, so none are sent until something is recorded.

    A `Worker` sets this:

    * ``SHUTDOWN``: the worker is shutting down, and has waited for the body long enough. End this
      attempt: it then fails as retryable.

    The set may contain flags of later versions, which have no name here. Ignore them.
    """

    CANCEL_REQUESTED = _abi.SIGNAL_CANCEL_REQUESTED
    PAUSED = _abi.SIGNAL_PAUSED
    RESET = _abi.SIGNAL_RESET
    GONE = _abi.SIGNAL_GONE
    LEASE_LOST = _abi.SIGNAL_LEASE_LOST
    STALLED = _abi.SIGNAL_STALLED
    REFUSED = _abi.SIGNAL_REFUSED
    DEADLINE = _abi.SIGNAL_DEADLINE
    UNSEEDED = _abi.SIGNAL_UNSEEDED
    SHUTDOWN = 1 << 31  # the library doesn't know it


STOP_SIGNALS = (
    Signals.CANCEL_REQUESTED | Signals.RESET | Signals.GONE | Signals.LEASE_LOST | Signals.SHUTDOWN
)
"""The signals after which the work should stop: for `Activity.wait` and `raise_if_cancelled`."""

# The work waits while PAUSED is the only one of these that is set.
WHILE_PAUSED = Signals.PAUSED | STOP_SIGNALS

_CACHE: dict[int, Signals] = {0: Signals(0)}


def signals_of(bits: int) -> Signals:
    """Returns the flags from a cache, because creating them takes longer than a `heartbeat`."""
    try:
        return _CACHE[bits]
    except KeyError:
        return _CACHE.setdefault(bits, Signals(bits))
