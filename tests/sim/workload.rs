//! What the threads of the client's process do with their activities.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    holder::hold,
    one_call::beat_one_by_one,
    process::Process,
    temporal::{self, State},
    world::{World, lock},
};
use crate::model::{error::Result, status::Status};

/// How often another call is submitted before one has ended, if calls are submitted.
pub const SEVERAL: f64 = 0.5;
/// How often a holder looks whether there is a task.
pub const LOOK: Duration = Duration::from_millis(50);

/// The numbers of an activity's records, which grow over all attempts.
#[derive(Default)]
pub struct Records {
    pub newest: u64,
    /// The newest one that the open handle took.
    pub of_handle: u64,
}

/// An attempt that a worker was given.
#[derive(Clone)]
pub struct Task {
    pub number: usize,
    pub activity: temporal::Activity,
}

/// Works on each attempt of an activity, one after the other.
pub async fn run(world: Arc<World>, process: Arc<Process>, number: usize) {
    let mut records = Records::default();
    let mut last = None;
    while !process.is_stopping() {
        let activity = lock(&world.server.temporal).activities[number].clone();
        // A reset changes the number of a running attempt, which isn't another task.
        if activity.state != State::Running || last == Some(activity.began) {
            if !matches!(activity.state, State::Running | State::Waiting) {
                return;
            }
            sleep(LOOK).await;
            continue;
        }
        last = Some(activity.began);
        let task = Task { number, activity };
        if world.chance(world.plan.one_call) {
            beat_one_by_one(&world, &process, &task, &mut records).await;
        } else {
            hold(&world, &process, &task, &mut records).await;
        }
    }
}

/// How long a holder works before its next step.
pub fn pause(world: &World, task: &Task) -> Duration {
    world.time_between(Duration::ZERO, time_of(world, task) * 2 / world.plan.steps_per_timeout)
}

/// The heartbeat timeout, or another time where there is none.
pub fn time_of(world: &World, task: &Task) -> Duration {
    let timeout = task.activity.timeout;
    if timeout.is_zero() { world.plan.usual_timeout } else { timeout }
}

pub fn call_timeout(world: &World) -> Duration {
    Duration::from_millis(world.pick(&[(1, 100), (2, 500), (3, 2_000), (3, 10_000), (1, 30_000)]))
}

/// What a holder does after a call.
pub enum Next {
    GoOn,
    /// The handle was closed.
    Reopen,
    /// The attempt is over for its holder.
    Over,
}

pub fn after_ending(ended: Result<()>) -> Next {
    match ended.map_err(|error| error.status()) {
        Ok(()) | Err(Status::InDoubt | Status::NotFound | Status::Ended) => Next::Over,
        Err(Status::InvalidHandle | Status::NotConnected) => Next::Reopen,
        Err(_) => Next::GoOn,
    }
}
