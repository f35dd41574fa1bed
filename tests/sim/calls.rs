//! Calls of the library, each in a thread that blocks, submitted to a queue, or awaited as a future.

use std::{pin::pin, sync::Arc, time::Duration};

use super::{
    invariants,
    process::Process,
    submissions::{await_future, submit},
    trace::Lane,
    world::World,
};
use crate::{
    model::{deadline::Deadline, error::Result},
    process::call::Call,
};

/// A call that has lasted for so much longer than its timeout hangs.
const HANGS: Duration = Duration::from_secs(1);
/// How often a call isn't submitted, but its future is awaited.
const AWAITED: f64 = 0.2;

/// What makes a call, within a deadline.
pub trait Make: FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static {}

impl<T: FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static> Make for T {}

/// Makes a call in a thread that blocks, or submits it.
pub async fn call(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl Make,
) -> Result<()> {
    if world.chance(world.plan.submitted) {
        if world.chance(AWAITED) {
            return await_future(world, process, what, timeout, make).await;
        }
        return submit(world, process, what, timeout, make).await?.outcome(world, process).await;
    }
    wait_for(world, process, what, timeout, make).await
}

/// Makes a call in a thread that blocks, and checks how long it took.
pub async fn wait_for(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl Make,
) -> Result<()> {
    world.log(Lane::Client, || format!("{what} within {} ms", timeout.as_millis()));
    let (began, process) = (world.time_of_client(), process.clone());
    let call = world.blocking(move || make(&process, Deadline::within(timeout))?.wait());
    let outcome = until_it_ends(world, &what, timeout, began, call).await;
    invariants::call_ended(world, &what, timeout, world.since(began), &outcome);
    outcome
}

/// Waits for the outcome of a call, and checks in the meantime whether it hangs.
pub async fn until_it_ends<T>(
    world: &World,
    what: &str,
    timeout: Duration,
    began: Duration,
    call: impl Future<Output = T>,
) -> T {
    let mut call = pin!(call);
    loop {
        match tokio::time::timeout(timeout + HANGS, call.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) => invariants::call_lasts(world, what, timeout, world.since(began)),
        }
    }
}
