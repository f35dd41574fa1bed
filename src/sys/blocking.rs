//! Work that blocks, on another thread of the Tokio runtime.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::sync::Mutex;

/// Runs `work` on a thread for work that blocks. Fails with `EAGAIN` if no thread can be made.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    #[cfg(test)]
    if let Some(world) = super::simulated::world() {
        world.work().await?;
        return Ok(work());
    }
    let work = Arc::new(Mutex::new(Some(work)));
    let queued = work.clone();
    let spawn = || {
        tokio::task::spawn_blocking(move || {
            let work = queued.lock().take();
            work.map(|work| work())
        })
    };
    // Tokio panics if it can't make a thread, and leaves the work in the queue of a later thread.
    let Ok(running) = catch_unwind(AssertUnwindSafe(spawn)) else {
        work.lock().take();
        return Err(io::Error::from_raw_os_error(libc::EAGAIN));
    };
    let done = running.await.map_err(io::Error::other)?;
    done.ok_or_else(|| io::Error::from_raw_os_error(libc::EAGAIN))
}
