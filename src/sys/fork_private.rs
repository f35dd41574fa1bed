//! Descriptors that are this process's alone: a child of a fork closes its copies of them.
//!
//! Otherwise a connection that the parent ends stays open as long as some child lives, and children of children collect
//! descriptors of them all.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::RawFd,
    sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering},
};

/// How many can be known at once. Those beyond stay open in children, which is a loss and no fault.
const MAX_KNOWN: usize = 2048;
/// A slot's descriptor while there is none, and while somebody fills it.
const FREE: RawFd = -1;
const CLAIMED: RawFd = -2;

/// Only atomics: a child reads it in the fork handler, where no lock may be taken.
static KNOWN: [Slot; MAX_KNOWN] = [const { Slot::free() }; MAX_KNOWN];
/// Where the search for a free slot begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);

struct Slot {
    descriptor: AtomicI32,
    /// Which file it is, as far as the system tells files apart: the host may close all descriptors that it doesn't know,
    /// and open others under their numbers, which aren't ours to close.
    device: AtomicU64,
    inode: AtomicU64,
}

impl Slot {
    const fn free() -> Self {
        Slot { descriptor: AtomicI32::new(FREE), device: AtomicU64::new(0), inode: AtomicU64::new(0) }
    }

    fn claim(&self) -> bool {
        self.descriptor.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// Keeps a descriptor from children while it lives. To be dropped before the descriptor is closed, for its number may be
/// somebody else's right after that.
#[derive(Debug)]
pub struct Private(Option<usize>);

impl Private {
    /// For a descriptor that was just opened.
    pub fn new(descriptor: RawFd) -> Self {
        let Ok((device, inode)) = file(descriptor) else { return Private(None) };
        let start = NEXT.fetch_add(1, Ordering::Relaxed) % MAX_KNOWN;
        let claimed = (start..MAX_KNOWN).chain(0..start).find(|at| KNOWN.get(*at).is_some_and(Slot::claim));
        if let Some(slot) = claimed.and_then(|at| KNOWN.get(at)) {
            slot.device.store(device, Ordering::Relaxed);
            slot.inode.store(inode, Ordering::Relaxed);
            slot.descriptor.store(descriptor, Ordering::Release);
        }
        Private(claimed)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(slot) = self.0.and_then(|at| KNOWN.get(at)) {
            slot.descriptor.store(FREE, Ordering::Release);
        }
    }
}

/// Closes the copies of them all. For a child that was just forked: async-signal-safe. What closes there stays open in the
/// parent, and the peers notice nothing.
pub fn close_copies() {
    for slot in &KNOWN {
        let descriptor = slot.descriptor.swap(FREE, Ordering::AcqRel);
        let known = (slot.device.load(Ordering::Relaxed), slot.inode.load(Ordering::Relaxed));
        if descriptor >= 0 && file(descriptor).is_ok_and(|there| there == known) {
            // SAFETY: it is the copy of a descriptor of ours, which nobody in this process uses.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Device and inode behind a descriptor.
fn file(descriptor: RawFd) -> io::Result<(u64, u64)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the pointer is to a `stat` of ours. Any number may be asked for; a wrong one is an error.
    if unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and so it has written it.
    let status = unsafe { status.assume_init() };
    // Systems differ in how wide these are; that they are told apart is enough.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "already so wide on Linux")]
    Ok((status.st_dev as u64, status.st_ino as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsRawFd};

    /// What a child sees that closes its copies: whether each descriptor is still open.
    fn open_in_a_child(descriptors: &[RawFd]) -> Vec<bool> {
        // SAFETY: the child makes async-signal-safe calls only.
        let child = unsafe { libc::fork() };
        if child == 0 {
            close_copies();
            let bits = descriptors.iter().enumerate();
            let status = bits.fold(0, |status, (at, fd)| status | i32::from(file(*fd).is_ok()) << at);
            // SAFETY: as above.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: our own child, and an integer of ours.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        let status = libc::WEXITSTATUS(status);
        (0..descriptors.len()).map(|at| status >> at & 1 == 1).collect()
    }

    #[test]
    fn a_child_closes_what_is_private_and_nothing_else() {
        let (ours, theirs) =
            std::net::UdpSocket::bind("127.0.0.1:0").and_then(|a| Ok((a.try_clone()?, a))).unwrap();
        let (ours, theirs) = (ours.as_raw_fd(), theirs.as_raw_fd());
        let private = Private::new(ours);
        assert_eq!(open_in_a_child(&[ours, theirs]), [false, true]);
        drop(private);
        assert_eq!(open_in_a_child(&[ours, theirs]), [true, true]);
    }

    #[test]
    fn a_number_that_is_another_files_by_now_is_left_alone() {
        let (reader, writer) = io::pipe().unwrap();
        let private = Private::new(reader.as_raw_fd());
        // As a host does that closes whatever it doesn't know.
        let file = File::open("/dev/null").unwrap();
        // SAFETY: both are open, and ours.
        assert!(unsafe { libc::dup2(file.as_raw_fd(), reader.as_raw_fd()) } >= 0);
        assert_eq!(open_in_a_child(&[reader.as_raw_fd(), writer.as_raw_fd()]), [true, true]);
        drop(private);
    }
}
