//! Workers: each takes tasks from a task queue. A task's activity is open when the task is taken, so it beats already.
//!
//! Like [`crate::api::rpc`], these are the functions of the C header for Rust.

use crate::{
    api::rpc::Call,
    model::{deadline::Timeout, error::Result},
    process,
    worker::{End, run},
};

pub use crate::client::task_queue::POLL_TIME;
pub use crate::worker::{
    options::{Deployment, WorkerOptions},
    task::{Facts, Task},
};

/// Opens a worker with options in JSON. It begins to poll at once.
pub fn open(options_json: &[u8]) -> Result<u64> {
    open_with(WorkerOptions::read(options_json)?)
}

/// Opens a worker.
pub fn open_with(options: WorkerOptions) -> Result<u64> {
    let activities = process::activities()?;
    let began = activities.begin_call();
    let session = process::session()?;
    let (number, worker) = process::workers()?.open(options, activities, began, session.client().clone())?;
    session.spawn(run(worker));
    Ok(number)
}

/// Returns the next task. Waits for one; returns `None` on timeout. Fails with `Ended` after a shutdown, when all tasks were
/// taken. Returns an error of polling that a retry doesn't help once, and polling continues.
pub fn next(worker: u64, timeout: Timeout) -> Result<Option<Box<Task>>> {
    process::workers()?.get(worker)?.next(&timeout.start_waiting())
}

/// Opens a descriptor that is readable while [`next`] has a result. The caller closes it.
pub fn open_fd(worker: u64) -> Result<i32> {
    process::workers()?.get(worker)?.open_fd()
}

/// Returns how many polls wait at the server, and whether the server can end them early. For the command-line program.
#[cfg(feature = "cli")]
pub fn polls(worker: u64) -> Result<(usize, bool)> {
    Ok(process::workers()?.get(worker)?.polls())
}

/// Returns whether a poll has succeeded. For the command-line program.
#[cfg(feature = "cli")]
pub fn has_polled(worker: u64) -> Result<bool> {
    Ok(process::workers()?.get(worker)?.has_polled())
}

/// Stops polling. The call waits until no poll is outstanding, so that no task is lost; after that [`next`] returns the
/// tasks that have arrived. With [`Timeout::Zero`] it doesn't wait.
pub fn shutdown(worker: u64, timeout: Timeout) -> Result<Call<()>> {
    let worker = process::workers()?.get(worker)?;
    worker.stop();
    Ok(Call::new(process::session()?, timeout.start_waiting(), |_, deadline| async move {
        worker.until_idle(&deadline).await
    }))
}

/// Closes the handle. Untaken tasks fail as retryable, also those that arrive later. The call waits for that.
/// Activities of tasks that were taken stay open.
pub fn close(worker: u64, timeout: Timeout) -> Result<Call<()>> {
    let session = process::session()?;
    let worker = process::workers()?.remove(worker)?;
    worker.stop();
    session.spawn(worker.hand_back_untaken(End::Closed));
    Ok(Call::new(session, timeout.start_waiting(), |_, deadline| async move {
        worker.until_idle(&deadline).await
    }))
}
