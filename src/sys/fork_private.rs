//! Descriptors of this process only: a forked child closes its copies of them.
//!
//! Otherwise a connection that the parent closes would stay open as long as any child lives, and grandchildren would
//! accumulate descriptors.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::RawFd,
    sync::atomic::{AtomicI32, AtomicU64, AtomicUsize, Ordering},
};

/// The most descriptors that are recorded. Further ones stay open in children, which only wastes them.
const MAX_KNOWN: usize = 2048;
/// A slot has the complement of its descriptor, or says that it is free or being filled. FREE is zero, so the table takes no place in the
/// library's file.
const FREE: i32 = 0;
const CLAIMED: i32 = 1;

/// All atomics: a child reads it in the fork handler, where it must take no lock.
static KNOWN: [Slot; MAX_KNOWN] = [const { Slot::free() }; MAX_KNOWN];
/// Where the search for a free slot begins.
static NEXT: AtomicUsize = AtomicUsize::new(0);

struct Slot {
    complement: AtomicI32,
    /// The file behind it. The host may close all descriptors that it doesn't know, and open its own under the same
    /// numbers. Those must not be closed.
    device: AtomicU64,
    inode: AtomicU64,
    mark: AtomicI32,
}

impl Slot {
    const fn free() -> Self {
        Slot {
            complement: AtomicI32::new(FREE),
            device: AtomicU64::new(0),
            inode: AtomicU64::new(0),
            mark: AtomicI32::new(0),
        }
    }

    /// Returns whether this descriptor is that of the recorded file.
    fn has(&self, descriptor: RawFd) -> bool {
        let (device, inode) = (self.device.load(Ordering::Relaxed), self.inode.load(Ordering::Relaxed));
        let known = (device, inode, self.mark.load(Ordering::Relaxed));
        file(descriptor).is_ok_and(|there| there == known)
    }

    fn claim(&self) -> bool {
        self.complement.compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// Records a descriptor, so that children close it. Drop this before closing the descriptor, because the number may
/// be reused right after that.
#[derive(Debug)]
pub struct Private(Option<usize>);

impl Private {
    /// Records a descriptor that was just opened.
    pub fn new(descriptor: RawFd) -> Self {
        set_mark(descriptor);
        let Ok((device, inode, mark)) = file(descriptor) else { return Private(None) };
        let start = NEXT.fetch_add(1, Ordering::Relaxed) % MAX_KNOWN;
        let claimed = (start..MAX_KNOWN).chain(0..start).find(|at| KNOWN.get(*at).is_some_and(Slot::claim));
        if let Some(slot) = claimed.and_then(|at| KNOWN.get(at)) {
            slot.device.store(device, Ordering::Relaxed);
            slot.inode.store(inode, Ordering::Relaxed);
            slot.mark.store(mark, Ordering::Relaxed);
            slot.complement.store(!descriptor, Ordering::Release);
        }
        Private(claimed)
    }

    /// Returns whether the descriptor is still that of the recorded file, as far as it was recorded.
    pub fn is_intact(&self) -> bool {
        self.0
            .and_then(|at| KNOWN.get(at))
            .is_none_or(|slot| slot.has(!slot.complement.load(Ordering::Acquire)))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if let Some(slot) = self.0.and_then(|at| KNOWN.get(at)) {
            slot.complement.store(FREE, Ordering::Release);
        }
    }
}

/// Closes the copies of all recorded descriptors, in a child that was just forked. Async-signal-safe. The parent's
/// descriptors stay open, and the peers notice nothing.
pub fn close_copies() {
    for slot in &KNOWN {
        let descriptor = !slot.complement.swap(FREE, Ordering::AcqRel);
        if descriptor >= 0 && slot.has(descriptor) {
            // SAFETY: it is the copy of a recorded descriptor, which nothing in this process uses.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Marks the file behind a descriptor, because all epoll instances and eventfds of a system share one inode. The mark is
/// the signal for asynchronous I/O, which is never enabled here. If marking fails, the inode alone identifies the file.
#[cfg(target_os = "linux")]
fn set_mark(descriptor: RawFd) {
    const F_SETSIG: i32 = 10;
    // SAFETY: no pointers are passed. An invalid descriptor is an error.
    unsafe { libc::fcntl(descriptor, F_SETSIG, libc::SIGRTMAX()) };
}

#[cfg(target_os = "linux")]
fn mark(descriptor: RawFd) -> i32 {
    const F_GETSIG: i32 = 11;
    // SAFETY: as above.
    unsafe { libc::fcntl(descriptor, F_GETSIG) }
}

/// On other systems the library has only sockets and pipes, with inodes of their own.
#[cfg(not(target_os = "linux"))]
fn set_mark(_descriptor: RawFd) {}

#[cfg(not(target_os = "linux"))]
fn mark(_descriptor: RawFd) -> i32 {
    0
}

/// Returns the device, the inode and the mark of the file behind a descriptor.
fn file(descriptor: RawFd) -> io::Result<(u64, u64, i32)> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the pointer is to a local `stat`. An invalid descriptor is an error.
    if unsafe { libc::fstat(descriptor, status.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has written the structure.
    let status = unsafe { status.assume_init() };
    // The widths of these types differ between systems; the values only need to be comparable.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "already so wide on Linux")]
    Ok((status.st_dev as u64, status.st_ino as u64, mark(descriptor)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsRawFd};

    /// Forks a child that closes its copies. Returns for each descriptor whether it is still open there.
    fn open_in_a_child(descriptors: &[RawFd]) -> Vec<bool> {
        // SAFETY: the child makes only async-signal-safe calls.
        let child = unsafe { libc::fork() };
        if child == 0 {
            close_copies();
            let bits = descriptors.iter().enumerate();
            let status = bits.fold(0, |status, (at, fd)| status | i32::from(file(*fd).is_ok()) << at);
            // SAFETY: as above.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: this process's own child, and a pointer to a local integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        let status = libc::WEXITSTATUS(status);
        (0..descriptors.len()).map(|at| status >> at & 1 == 1).collect()
    }

    #[test]
    fn child_closes_only_private_descriptors() {
        let (ours, theirs) =
            std::net::UdpSocket::bind("127.0.0.1:0").and_then(|a| Ok((a.try_clone()?, a))).unwrap();
        let (ours, theirs) = (ours.as_raw_fd(), theirs.as_raw_fd());
        let private = Private::new(ours);
        assert_eq!(open_in_a_child(&[ours, theirs]), [false, true]);
        drop(private);
        assert_eq!(open_in_a_child(&[ours, theirs]), [true, true]);
    }

    #[test]
    fn reused_descriptor_number_is_not_closed() {
        let (reader, writer) = io::pipe().unwrap();
        let private = Private::new(reader.as_raw_fd());
        // Like a host that closes all unknown descriptors.
        let file = File::open("/dev/null").unwrap();
        // SAFETY: both are open and belong to this test.
        assert!(unsafe { libc::dup2(file.as_raw_fd(), reader.as_raw_fd()) } >= 0);
        assert_eq!(open_in_a_child(&[reader.as_raw_fd(), writer.as_raw_fd()]), [true, true]);
        drop(private);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn hosts_eventfd_or_epoll_with_a_reused_number_is_not_closed() {
        // SAFETY: no pointers are passed.
        let (eventfd, epoll) = (|| unsafe { libc::eventfd(0, 0) }, || unsafe { libc::epoll_create1(0) });
        for ours in [eventfd(), epoll()] {
            let private = Private::new(ours);
            assert_eq!(open_in_a_child(&[ours]), [false]);
            for theirs in [eventfd(), epoll()] {
                // SAFETY: both are open and belong to this test.
                assert!(unsafe { libc::dup2(theirs, ours) } == ours);
                assert_eq!(open_in_a_child(&[ours, theirs]), [true, true]);
            }
            drop(private);
        }
    }
}
