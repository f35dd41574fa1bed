//! Reaps adopted processes. Process 1 of a container, and a child subreaper, adopt the children of each process that ends. A process that
//! isn't reaped stays a zombie.
//!
//! The kernel gives adopted processes to the main thread. The program runs in another thread, which starts and reaps its own processes.
//! So the children of the main thread are the adopted ones.

use std::{process, thread};

use nix::{
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use signal_hook::iterator::Signals;
use temporal_heartbeat::model::error::Result;

use crate::error::local_error;

/// The process id of the first process in a container.
const INIT: u32 = 1;

/// Whether this process adopts other processes, as the first process of a container does.
pub fn is_adopter() -> bool {
    process::id() == INIT || prctl::get_child_subreaper() == Ok(true)
}

/// Runs the program, and returns its exit code. In a process that adopts other processes, reaps these and exits with the code.
pub fn reap_during(program: impl FnOnce() -> u8 + Send + 'static) -> Result<u8> {
    if !is_adopter() {
        return Ok(program());
    }
    let mut exits =
        Signals::new([Signal::SIGCHLD as i32]).map_err(|why| local_error("handle signals", &why))?;
    thread::Builder::new()
        .name("program".into())
        .spawn(move || process::exit(program().into()))
        .map_err(|why| local_error("start a thread", &why))?;
    loop {
        while reap_one() {}
        exits.wait().for_each(drop);
    }
}

/// Returns whether a child of this thread has ended and was reaped.
fn reap_one() -> bool {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WNOTHREAD;
    let ended = waitpid(None::<Pid>, Some(flags));
    ended.is_ok_and(|status| status != WaitStatus::StillAlive)
}
