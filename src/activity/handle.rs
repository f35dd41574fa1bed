//! Handles: numbers that identify open activities and watches until they are closed.

use crate::model::{
    error::{Error, Result},
    status::Status,
};

const INDEX_BITS: u32 = 22;
const FORK_BITS: u32 = 8;
const GENERATION_BITS: u32 = 23;

/// The number of slots.
pub const MAX_SLOTS: u32 = 1 << INDEX_BITS;
/// The last slots are for watches, so that the handles of the two kinds never overlap.
pub const SLOTS_OF_WATCHES: u32 = 2048;
/// The slots for activities.
pub const SLOTS_OF_ACTIVITIES: u32 = MAX_SLOTS - SLOTS_OF_WATCHES;
/// The last generation of a slot. After it the slot isn't reused, because handles must never repeat.
pub const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
/// The deepest fork with handles that differ from those of its parents.
pub const MAX_FORKS: u32 = (1 << FORK_BITS) - 1;

/// A handle: 0 < h < 2^53, so that languages without 64-bit integers can hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    /// The index of the slot.
    pub index: u32,
    /// Counts the slot's users, from 1.
    pub generation: u32,
    /// How many forks had led to the process when it made the handle.
    pub fork: u32,
}

impl Handle {
    /// Returns the number that crosses the ABI.
    pub fn number(self) -> u64 {
        let fork = u64::from(self.fork) << INDEX_BITS;
        u64::from(self.generation) << (INDEX_BITS + FORK_BITS) | fork | u64::from(self.index)
    }

    /// Returns the handle that any given number encodes; `fork` is this process's fork count.
    #[inline]
    pub fn from_number(number: u64, fork: u32) -> Result<Self> {
        let part = |shift: u32, bits: u32| u32::try_from(number >> shift & ((1 << bits) - 1)).unwrap_or(0);
        let handle = Handle {
            index: part(0, INDEX_BITS),
            fork: part(INDEX_BITS, FORK_BITS),
            generation: part(INDEX_BITS + FORK_BITS, GENERATION_BITS),
        };
        if number >> (INDEX_BITS + FORK_BITS + GENERATION_BITS) != 0
            || handle.generation == 0
            || handle.fork > fork
        {
            return Err(invalid());
        }
        if handle.fork < fork {
            return Err(Error::new(
                Status::Forked,
                "the handle belongs to the parent process: let the parent record this process's progress too. Two \
                 processes that hold one activity open overwrite each other's progress",
            ));
        }
        Ok(handle)
    }
}

/// Returns the error for a handle that is closed or was never valid.
pub fn invalid() -> Error {
    Error::new(Status::InvalidHandle, "the handle was closed or never valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handle_converts_to_a_number_and_back() {
        for handle in [
            Handle { index: 0, generation: 1, fork: 0 },
            Handle { index: MAX_SLOTS - 1, generation: LAST_GENERATION, fork: MAX_FORKS },
        ] {
            assert!(handle.number() > 0 && handle.number() < 1 << 53);
            assert_eq!(Handle::from_number(handle.number(), handle.fork).unwrap(), handle);
        }
    }

    #[test]
    fn numbers_without_a_handle_are_refused() {
        for number in [0, 1, 1 << 53, u64::MAX, 1 << 22] {
            assert_eq!(
                Handle::from_number(number, 0).unwrap_err().status(),
                Status::InvalidHandle,
                "{number:#x}"
            );
        }
    }

    #[test]
    fn child_recognizes_a_handle_of_its_parent() {
        let handle = Handle { index: 7, generation: 1, fork: 0 };
        let error = Handle::from_number(handle.number(), 1).unwrap_err();
        assert_eq!(error.status(), Status::Forked);
        assert!(error.message().contains("let the parent record"), "{error}");
        let future = Handle { fork: 2, ..handle };
        assert_eq!(Handle::from_number(future.number(), 1).unwrap_err().status(), Status::InvalidHandle);
    }
}
