//! The timers of the server: attempts that get no heartbeat end, and the next ones start.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{
    invariants,
    plan::Shape,
    process::Process,
    temporal::Activity,
    trace::Lane,
    world::{World, lock},
};
use crate::sys::clock::Moment;

/// The most attempts of an activity.
const MOST_ATTEMPTS: i32 = 20;
/// The identity of the worker that starts attempts.
const WORKER: &str = "worker";
/// How many activities are standalone. The long polls of these show more.
const STANDALONE: f64 = 0.3;
const STANDALONE_IF_FOLLOWED: f64 = 0.6;
/// The first version with standalone activities.
const FIRST_WITH_STANDALONE: u32 = 31;
/// The longest pause before the next attempt starts.
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);

/// Schedules an activity, and starts its first attempt.
pub fn schedule(world: &Arc<World>, number: usize) {
    let timeouts: Vec<_> = world.plan.timeouts_ms.iter().map(|timeout| (1, *timeout)).collect();
    let timeout = Duration::from_millis(world.pick(&timeouts));
    let share = match world.plan.shape {
        Shape::Flood if world.plan.follow > 0.0 => 1.0,
        _ if world.plan.follow > 0.0 => STANDALONE_IF_FOLLOWED,
        _ => STANDALONE,
    };
    let is_standalone = world.chance(share) && world.plan.version >= FIRST_WITH_STANDALONE;
    let mut temporal = lock(&world.server.temporal);
    temporal.version = world.plan.version;
    temporal.activities.push(Activity::new(number, is_standalone, timeout, MOST_ATTEMPTS));
}

/// Fires timers, and starts attempts.
pub async fn run(world: Arc<World>, process: Arc<Process>) {
    loop {
        let now = Moment::now();
        let is_working = !world.server.is_frozen() && !world.server.is_down();
        let mut next = Moment::NEVER;
        let mut due = Vec::new();
        for activity in lock(&world.server.temporal).activities.iter().filter(|_| is_working) {
            if activity.may_start(now) || activity.expires() <= now {
                due.push(activity.clone());
            } else {
                next = next.min(activity.expires());
            }
        }
        for activity in due {
            if activity.may_start(now) {
                start(&world, activity.number, now);
            } else {
                expire(&world, &process, &activity, now);
            }
        }
        let wait = next.since(now).min(Duration::from_secs(3600));
        let _ = tokio::time::timeout(wait, world.server.changed.notified()).await;
    }
}

fn expire(world: &Arc<World>, process: &Process, activity: &Activity, now: Moment) {
    world.log(Lane::Server, || format!("a{} attempt {} times out", activity.number, activity.attempt));
    invariants::timer_fires(world, process, activity);
    lock(&world.server.temporal).activities[activity.number].time_out(now);
    world.server.has_changed(activity.number);
    world.server.changed.notify_one();
}

/// Starts the attempt that an activity waits for, after a pause.
fn start(world: &Arc<World>, number: usize, now: Moment) {
    let mut temporal = lock(&world.server.temporal);
    let activity = &mut temporal.activities[number];
    if activity.starts.is_some() {
        return;
    }
    activity.starts = Some(now);
    drop(temporal);
    let world = world.clone();
    tokio::spawn(async move {
        sleep(world.time_between(Duration::ZERO, LONGEST_BACKOFF)).await;
        let (unix, timer) = (world.unix(), world.timer_delay());
        let mut temporal = lock(&world.server.temporal);
        let activity = &mut temporal.activities[number];
        activity.starts = None;
        let now = Moment::now();
        if activity.may_start(now) {
            activity.start(WORKER, unix, now, timer);
            world.log(Lane::Server, || format!("a{number} attempt {} starts", activity.attempt));
        }
        drop(temporal);
        world.server.has_changed(number);
        world.server.changed.notify_one();
    });
}
