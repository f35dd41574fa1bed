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

    /// These signals when `wanted`, none otherwise.
    pub fn when(self, wanted: bool) -> Signals {
        if wanted { self } else { Signals(0) }
    }

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Signals) -> bool {
        self.0 & other.0 == other.0
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
