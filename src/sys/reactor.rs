//! Finds the descriptors that a Tokio runtime keeps to itself.

#[cfg(target_os = "linux")]
use std::fs;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, RawFd};
use std::{io, os::unix::net::UnixDatagram};

use super::fork_private::Private;

/// Elsewhere a runtime waits by kqueue, which no child inherits.
#[cfg(not(target_os = "linux"))]
pub fn private(_probe: UnixDatagram) -> io::Result<Vec<Private>> {
    Ok(Vec::new())
}

/// How far above a descriptor that was opened just before the runtime's own are looked for. New ones take the lowest free
/// numbers, so that they stand close together. One that isn't found stays open in children.
#[cfg(target_os = "linux")]
const REACH: RawFd = 64;

/// Something that a runtime can watch, to be opened just before it.
pub fn probe() -> io::Result<UnixDatagram> {
    let probe = UnixDatagram::unbound()?;
    probe.set_nonblocking(true)?;
    Ok(probe)
}

/// Keeps from children what a runtime has opened. Called in its context, with what was opened just before it.
#[cfg(target_os = "linux")]
pub fn private(probe: UnixDatagram) -> io::Result<Vec<Private>> {
    // An instance of epoll is the runtime's if it watches what the runtime was given to watch, and nobody else has.
    let watched_by_it = tokio::net::UnixDatagram::from_std(probe)?;
    let probe = watched_by_it.as_raw_fd();
    let instances = (probe + 1..probe + REACH).filter(|instance| watches(*instance, probe));
    let instances: Vec<RawFd> = instances.collect();
    // What else is registered there by now is what wakes it.
    let wakers = instances.first().map(|instance| watched(*instance)).unwrap_or_default();
    let all = instances.iter().chain(wakers.iter().filter(|waker| **waker != probe));
    Ok(all.map(|descriptor| Private::new(*descriptor)).collect())
}

/// Whether `instance` is one of epoll in which `probe` is registered. Found out by taking it out, which fails and changes
/// nothing wherever it isn't.
#[cfg(target_os = "linux")]
fn watches(instance: RawFd, probe: RawFd) -> bool {
    let mut nothing = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: an event of ours that outlives the calls. Wrong descriptors are errors.
    unsafe {
        libc::epoll_ctl(instance, libc::EPOLL_CTL_DEL, probe, &raw mut nothing) == 0
            // Back, for the instance's other descriptors to be found by.
            && libc::epoll_ctl(instance, libc::EPOLL_CTL_ADD, probe, &raw mut nothing) == 0
    }
}

/// What is registered in an instance of epoll, where the system tells it.
#[cfg(target_os = "linux")]
fn watched(instance: RawFd) -> Vec<RawFd> {
    let text = fs::read_to_string(format!("/proc/thread-self/fdinfo/{instance}")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("tfd:"));
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_runtimes_epoll_its_copy_and_its_waker_are_found() {
        let probe = probe().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let context = runtime.enter();
        assert_eq!(private(probe).unwrap().len(), 3);
        drop(context);
    }
}
