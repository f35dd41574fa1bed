//! Handles: numbers that identify open activities, watches, queues and workers until they are closed.

use crate::model::{
    error::{Error, Result},
    status::Status,
};

const INDEX_BITS: u32 = 22;
const FORK_BITS: u32 = 8;
const GENERATION_BITS: u32 = 23;

/// The number of slots.
pub const MAX_SLOTS: u32 = 1 << INDEX_BITS;
/// The slots for activities. Those of the other kinds follow, so that the handles of different kinds never overlap.
pub const SLOTS_OF_ACTIVITIES: u32 = MAX_SLOTS - 3 * Kind::SLOTS;
/// Watches of the signals of activities.
pub const WATCHES: Kind = Kind { name: "watches", limit: 1024, first: MAX_SLOTS - Kind::SLOTS };
/// Completion queues.
pub const QUEUES: Kind = Kind { name: "queues", limit: 1024, first: MAX_SLOTS - 2 * Kind::SLOTS };
/// Workers.
pub const WORKERS: Kind = Kind { name: "workers", limit: 256, first: SLOTS_OF_ACTIVITIES };
/// The last generation of a slot. After it the slot isn't reused, because handles must never repeat.
pub const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
/// The deepest fork with handles that differ from those of its parents.
pub const MAX_FORKS: u32 = (1 << FORK_BITS) - 1;

/// A kind of objects with handles, other than activities.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The kind in messages.
    pub name: &'static str,
    /// The most open objects of the kind.
    pub limit: usize,
    /// The first of its slots.
    first: u32,
}

impl Kind {
    /// The slots of each kind. They are more than the limit, so that a slot isn't reused at once.
    pub const SLOTS: u32 = 2048;

    /// Returns the slot of the object with this number, and which user of the slot, from 1, the object is. That is below
    /// [`LAST_GENERATION`] for every number.
    pub fn slot_of(&self, number: u32) -> (u32, u32) {
        (self.first + number % Self::SLOTS, 1 + number / Self::SLOTS)
    }
}

/// A handle: 0 < h < 2^53, so that languages without 64-bit integers can hold it. It contains the index of the slot, the
/// count of the slot's users from 1, and how many forks had led to the process when it made the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    /// Creates a handle.
    pub fn new(index: u32, generation: u32, fork: u32) -> Self {
        let (index, generation, fork) = (u64::from(index), u64::from(generation), u64::from(fork));
        Handle(generation << (INDEX_BITS + FORK_BITS) | fork << INDEX_BITS | index)
    }

    /// Returns the number that crosses the ABI.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Returns the handle that any given number encodes; `fork` is this process's fork count.
    #[inline]
    pub fn from_number(number: u64, fork: u32) -> Result<Self> {
        let handle = Handle(number);
        if number >> (INDEX_BITS + FORK_BITS + GENERATION_BITS) != 0
            || handle.generation() == 0
            || handle.fork() > fork
        {
            return Err(invalid());
        }
        if handle.fork() < fork {
            return Err(Error::new(
                Status::Forked,
                "the handle belongs to the parent process: let the parent record this process's progress too. Two \
                 processes that hold one activity open overwrite each other's progress",
            ));
        }
        Ok(handle)
    }

    /// Returns the index of the slot.
    #[inline]
    pub fn index(self) -> u32 {
        self.part(0, INDEX_BITS)
    }

    /// Returns which user of the slot, from 1, has the handle.
    #[inline]
    pub fn generation(self) -> u32 {
        self.part(INDEX_BITS + FORK_BITS, GENERATION_BITS)
    }

    #[inline]
    fn fork(self) -> u32 {
        self.part(INDEX_BITS, FORK_BITS)
    }

    #[inline]
    fn part(self, shift: u32, bits: u32) -> u32 {
        u32::try_from(self.0 >> shift & ((1 << bits) - 1)).unwrap_or(0)
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
        for handle in [(0, 1, 0), (MAX_SLOTS - 1, LAST_GENERATION, MAX_FORKS)] {
            let (index, generation, fork) = handle;
            let number = Handle::new(index, generation, fork).number();
            assert!(number > 0 && number < 1 << 53);
            let read = Handle::from_number(number, fork).unwrap();
            assert_eq!((read.index(), read.generation(), read.fork()), handle);
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
        let handle = Handle::new(7, 1, 0);
        let error = Handle::from_number(handle.number(), 1).unwrap_err();
        assert_eq!(error.status(), Status::Forked);
        assert!(error.message().contains("let the parent record"), "{error}");
        let future = Handle::new(7, 1, 2);
        assert_eq!(Handle::from_number(future.number(), 1).unwrap_err().status(), Status::InvalidHandle);
    }
}
