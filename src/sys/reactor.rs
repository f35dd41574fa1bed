//! Finds the descriptors of a Tokio runtime, which tokio doesn't expose.

#[cfg(target_os = "linux")]
use std::fs;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, RawFd};
use std::{io, os::unix::net::UnixDatagram};

use super::fork_private::Private;

/// On other systems a runtime uses kqueue, which children don't inherit.
#[cfg(not(target_os = "linux"))]
pub fn private(_probe: UnixDatagram) -> io::Result<Vec<Private>> {
    Ok(Vec::new())
}

/// How far above the probe's number the runtime's descriptors are searched. New descriptors get the lowest free
/// numbers, so they are close together. A descriptor that isn't found stays open in children.
#[cfg(target_os = "linux")]
const REACH: RawFd = 64;

/// Opens a descriptor that a runtime can watch. Call it just before the runtime is created.
pub fn probe() -> io::Result<UnixDatagram> {
    let probe = UnixDatagram::unbound()?;
    probe.set_nonblocking(true)?;
    Ok(probe)
}

/// Records the descriptors of a runtime, so that children close them. Called in the runtime's context, with its
/// probe.
#[cfg(target_os = "linux")]
pub fn private(probe: UnixDatagram) -> io::Result<Vec<Private>> {
    // The epoll instance in which the runtime registers the probe is the runtime's own.
    let watched_by_it = tokio::net::UnixDatagram::from_std(probe)?;
    let probe = watched_by_it.as_raw_fd();
    let instances = (probe + 1..probe + REACH).filter(|instance| watches(*instance, probe));
    let instances: Vec<RawFd> = instances.collect();
    // The other descriptors that are registered by now are the runtime's wakers.
    let wakers = instances.first().map(|instance| watched(*instance)).unwrap_or_default();
    let all = instances.iter().chain(wakers.iter().filter(|waker| **waker != probe));
    Ok(all.map(|descriptor| Private::new(*descriptor)).collect())
}

/// Returns whether `instance` is an epoll instance that has `probe` registered. It tries to remove the probe, which
/// fails and changes nothing for any other descriptor.
#[cfg(target_os = "linux")]
fn watches(instance: RawFd, probe: RawFd) -> bool {
    let mut nothing = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: a local event that outlives the calls. Invalid descriptors are errors.
    unsafe {
        libc::epoll_ctl(instance, libc::EPOLL_CTL_DEL, probe, &raw mut nothing) == 0
            // Register it again, to find the instance's other descriptors.
            && libc::epoll_ctl(instance, libc::EPOLL_CTL_ADD, probe, &raw mut nothing) == 0
    }
}

/// Returns the descriptors that an epoll instance watches, if the system reports them.
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
    fn epoll_its_copy_and_the_waker_of_a_runtime_are_found() {
        let probe = probe().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let context = runtime.enter();
        assert_eq!(private(probe).unwrap().len(), 3);
        drop(context);
    }
}
