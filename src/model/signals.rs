//! What the server asks of a running activity.

/// A set of wishes, one bit each. Bits are added, never changed: ignore those that you don't know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals(u32);

impl Signals {
    /// Somebody asked for the activity to be cancelled.
    pub const CANCEL_REQUESTED: Signals = Signals(1);
    /// The activity is paused: stop working, go on beating.
    pub const PAUSED: Signals = Signals(1 << 1);
    /// The activity was reset: this attempt is to end, a first one follows.
    pub const RESET: Signals = Signals(1 << 2);

    /// On a handle: the activity is over for it, and nothing is ever sent again. Stop the work.
    pub const GONE: Signals = Signals(1 << 3);
    /// On a handle: no beat was acknowledged for as long as the heartbeat timeout. Another attempt may be running.
    pub const LEASE_LOST: Signals = Signals(1 << 4);
    /// On a handle: no progress for as long as the stall timeout, so that the pulse has stopped.
    pub const STALLED: Signals = Signals(1 << 5);
    /// On a handle: the server refuses the beats, and trying again won't help.
    pub const REFUSED: Signals = Signals(1 << 6);
    /// On a handle: the deadline that was handed over has passed. A hint: GONE follows if the attempt is over.
    pub const DEADLINE: Signals = Signals(1 << 7);
    /// On a handle: it isn't known what progress the server holds, so that there is no pulse that might erase it.
    pub const UNSEEDED: Signals = Signals(1 << 8);

    /// The names of all, by bit.
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

    /// These signals when `wanted`, none otherwise.
    pub fn when(self, wanted: bool) -> Signals {
        if wanted { self } else { Signals(0) }
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Signals) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is among these.
    pub fn intersects(self, other: Signals) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of a caller's bits that are signals here.
    pub fn from_bits(bits: u32) -> Signals {
        Signals(bits)
    }

    /// Those that differ from `other`, among `mask`.
    pub fn changed(self, other: Signals, mask: Signals) -> Signals {
        Signals((self.0 ^ other.0) & mask.0)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// As the bits that cross the ABI.
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
