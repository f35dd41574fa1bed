//! The signals of an activity: what the server asks of it, and what the library knows.

/// A set of signals, one bit each. Bits are added, never changed: ignore unknown ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals(u32);

impl Signals {
    /// Cancellation of the activity was requested.
    pub const CANCEL_REQUESTED: Signals = Signals(1);
    /// The activity is paused: stop working but keep beating.
    pub const PAUSED: Signals = Signals(1 << 1);
    /// The activity was reset: end this attempt, and a new first attempt follows.
    pub const RESET: Signals = Signals(1 << 2);

    /// Handles only: the activity is over for this handle, and nothing more is sent. Stop the work.
    pub const GONE: Signals = Signals(1 << 3);
    /// Handles only: no beat was acknowledged for the whole heartbeat timeout. Another attempt may be running.
    pub const LEASE_LOST: Signals = Signals(1 << 4);
    /// Handles only: no progress for the stall timeout, so the pulse has stopped.
    pub const STALLED: Signals = Signals(1 << 5);
    /// Handles only: the server refuses the beats, and retries don't help.
    pub const REFUSED: Signals = Signals(1 << 6);
    /// Handles only: the attempt's time has passed, and the server has confirmed its timeouts. GONE follows if the attempt is over.
    pub const DEADLINE: Signals = Signals(1 << 7);
    /// Handles only: it isn't known which progress the server holds, so there is no pulse that could erase it.
    pub const UNSEEDED: Signals = Signals(1 << 8);

    /// The signals after which the work should stop.
    pub const STOP: Signals =
        Signals(Self::CANCEL_REQUESTED.0 | Self::RESET.0 | Self::GONE.0 | Self::LEASE_LOST.0);
    /// Signals that a record or a touch clears.
    pub const CLEARED_BY_PROGRESS: Signals = Signals(Self::STALLED.0 | Self::UNSEEDED.0);

    /// The names of all signals, by bit.
    pub const NAMES: [&str; 9] = [
        "cancel_requested",
        "paused",
        "reset",
        "gone",
        "lease_lost",
        "stalled",
        "refused",
        "deadline",
        "unseeded",
    ];

    /// Returns these signals if `wanted`, else none.
    pub fn when(self, wanted: bool) -> Signals {
        if wanted { self } else { Signals(0) }
    }

    /// Returns whether all of `other` are set.
    pub fn contains(self, other: Signals) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any of `other` is set.
    pub fn intersects(self, other: Signals) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the known signals among these bits.
    pub fn from_bits(bits: u32) -> Signals {
        Signals(bits)
    }

    /// Returns the signals in `mask` that differ from `other`.
    pub fn changed(self, other: Signals, mask: Signals) -> Signals {
        Signals((self.0 ^ other.0) & mask.0)
    }

    /// Returns whether no signal is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the bits that cross the ABI.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl std::ops::BitOr for Signals {
    type Output = Signals;

    fn bitor(self, other: Signals) -> Signals {
        Signals(self.0 | other.0)
    }
}
