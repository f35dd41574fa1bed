//! Completion queues: calls are submitted, and the results of many calls are taken from one queue.

use crate::{
    api::rpc::Call,
    model::{
        deadline::Timeout,
        error::{Error, Result},
    },
    process,
};

pub use crate::process::queue::{Answer, Completion};

/// Opens a queue. It needs no client, and a disconnect doesn't close it.
pub fn open() -> Result<u64> {
    process::queues()?.open()
}

/// Closes a queue and wakes the threads that wait for it. Its calls continue, and their results are dropped.
pub fn close(queue: u64) -> Result<()> {
    process::queues()?.close(queue)
}

/// Opens a descriptor that is readable while [`next`] has a result. The caller closes it.
pub fn open_fd(queue: u64) -> Result<i32> {
    process::queues()?.get(queue)?.open_fd()
}

/// Cancels the calls with this `user_data` that haven't ended. They end as if their timeouts had passed.
pub fn cancel(queue: u64, user_data: u64) -> Result<()> {
    process::queues()?.get(queue)?.cancel(user_data);
    Ok(())
}

/// Takes the completions that are ready, at most `max`. Waits for the first; returns none on timeout.
pub fn next(queue: u64, max: usize, timeout: Timeout) -> Result<Vec<Completion>> {
    if max == 0 {
        return Err(Error::argument("max is 0: it must be at least 1"));
    }
    process::queues()?.get(queue)?.next(max, &timeout.start_waiting())
}

/// Submits the call that `make` returns, with `bytes` of input. Its completion has `user_data`. An error of `make` is
/// returned, and then no completion follows.
pub fn submit<T>(
    queue: u64,
    user_data: u64,
    bytes: usize,
    make: impl FnOnce() -> Result<Call<T>>,
) -> Result<()>
where
    T: Send + 'static,
    Answer: From<T>,
{
    let mut entry = process::queues()?.get(queue)?.reserve(user_data)?;
    let call = make()?;
    entry.add_bytes(bytes)?;
    call.submit(entry)
}
