//! The promises of the library, each checked where it can be seen. README.md lists them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    temporal::{Activity, Answer, Effect, Request, State, record_in},
    trace::Lane,
    workload::Process,
    world::{World, lock},
};
use crate::{
    activity::handle::Handle,
    model::{
        attempt::Attempt,
        error::{Error, Result},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

/// The lease is kept if beats are answered within this part of the heartbeat timeout.
const ANSWER_PART: f64 = 0.45;
/// How long after its timeout a call may return.
const CALL_GRACE: Duration = Duration::from_millis(100);
/// The interval between two checks of the client's state.
const LOOK: Duration = Duration::from_millis(250);
/// The most connections that may be open at once.
const MOST_CONNECTIONS: usize = 4;
/// How long after a disconnect the last connection may be open.
const LONGEST_END: Duration = Duration::from_secs(30);

/// An activity that the client holds open.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub handle: Handle,
    pub attempt: Attempt,
    /// Whether beats are to keep the lease without records.
    pub has_pulse: bool,
    /// How many requests a beat takes, one after the other: by ids the activity is described first.
    pub requests_per_beat: u32,
    pub since: Instant,
    /// The newest record that the handle took; 0: none.
    pub record: u64,
}

impl World {
    /// For how long the world must have been good before promises about time hold: what began in a bad world may last.
    fn recovery(timeout: Duration) -> Duration {
        if timeout.is_zero() {
            Duration::from_secs(90)
        } else {
            timeout.mul_f64(2.5) + Duration::from_secs(12)
        }
    }
}

/// A request was applied by the server.
pub fn applied(world: &World, request: &Request, answer: &Answer, effect: &Effect) {
    let (Request::Heartbeat(subject, details), Effect::Heartbeat { before, is_fenced }, Ok(_)) =
        (request, effect, answer)
    else {
        return;
    };
    if details.is_none() && before.is_some() {
        let text = format!("a beat without details erased those of a{}", subject.activity);
        world.violated("nothing_is_erased", text);
    }
    let (new, old) = (record_in(details.as_ref()), record_in(before.as_ref()));
    // By ids the server doesn't compare attempts, so it may apply the beat of an earlier attempt.
    if new < old && *is_fenced {
        let text = format!("record {new:?} of a{} replaced the newer {old:?}", subject.activity);
        world.violated("records_are_not_replaced_by_older_ones", text);
    }
}

/// The heartbeat timer of an activity's attempt fires: its next attempt may begin.
pub fn timer_fires(world: &World, process: &Process, activity: &Activity) {
    let Some(held) = world.held(activity.number) else { return };
    if held.attempt != activity.identity() {
        return;
    }
    let now = Moment::now();
    let looked = process.activities().registry.with(held.handle, |held| (held.signals(now), held.info(now)));
    let Ok((signals, info)) = looked else { return };
    if info.heartbeat_timeout.is_zero() || info.state == "ended" {
        return;
    }
    if !signals.contains(Signals::LEASE_LOST) && !signals.contains(Signals::GONE) {
        let text = format!("the timer of a{} fired, and its signals are {signals:?}", activity.number);
        world.violated("lease_lost_is_set_before_the_next_attempt", text);
    }
    let needed = World::recovery(activity.timeout);
    // Bytes may wait for those before them, each way.
    let answer = activity.timeout.mul_f64(world.plan.longest_answer) + world.plan.latency.1 * 4;
    let is_promised = answer * held.requests_per_beat <= activity.timeout.mul_f64(ANSWER_PART);
    let keeps = held.has_pulse && held.since.elapsed() > needed && info.state == "open";
    if keeps && is_promised && world.good_for() > needed {
        let text = format!(
            "the timer of a{} ({} ms) fired although there was no fault for {:.1} s",
            activity.number,
            activity.timeout.as_millis(),
            world.good_for().as_secs_f64()
        );
        world.violated("lease_is_kept", text);
    }
}

/// A call has returned.
pub fn call_ended<T>(world: &World, what: &str, timeout: Duration, took: Duration, outcome: &Result<T>) {
    world.log(Lane::Client, || match outcome {
        Ok(_) => format!("{what}: ok"),
        Err(error) => format!("{what}: {:?}", error.status()),
    });
    call_lasts(world, what, timeout, took);
    if let Err(error) = outcome {
        call_failed(world, what, timeout, error);
    }
    if let Err(error) = outcome
        && error.status() == Status::Internal
    {
        world.violated("no_internal_error", format!("{what}: {error:?}"));
    }
}

/// A call has lasted this long.
pub fn call_lasts(world: &World, what: &str, timeout: Duration, took: Duration) {
    if took > timeout + CALL_GRACE {
        let (took, timeout) = (took.as_millis(), timeout.as_millis());
        let text = format!("{what} took {took} ms, and its timeout is {timeout} ms");
        world.violated("no_call_outlives_its_timeout", text);
    }
}

/// A call that sends something has failed. With enough time it must not, in a good world.
fn call_failed(world: &World, what: &str, timeout: Duration, error: &Error) {
    let is_temporary = matches!(
        error.status(),
        Status::Timeout | Status::Unavailable | Status::ServerError | Status::ResourceExhausted
    );
    let is_enough = timeout > longest_answer(world) * 4 + Duration::from_secs(2);
    let needed = World::recovery(Duration::from_secs(30)) + timeout;
    if is_temporary && is_enough && world.good_for() > needed {
        world.violated("calls_succeed_in_a_good_world", format!("{what}: {error:?}"));
    }
}

/// A call has returned OK that promises that this record, or a newer one, is at the server.
pub fn has_record(world: &World, number: usize, attempt: Attempt, record: u64, what: &str) {
    let activity = lock(&world.server.temporal).activities[number].clone();
    let stored = record_in(activity.details.as_ref());
    if record > 0 && stored < Some(record) {
        let text = format!(
            "{what} of a{number} returned OK for record {record} of {attempt:?}, and the server has {stored:?}"
        );
        world.violated("ok_means_that_the_server_has_it", text);
    }
}

/// A call that ends the attempt has returned.
pub fn ending_returned(
    world: &World,
    number: usize,
    attempt: Attempt,
    outcome: &Result<()>,
    expected: &[State],
) {
    let activity = lock(&world.server.temporal).activities[number].clone();
    // After a failure the next attempt may run.
    let is_next = is_over(&activity, attempt) && expected.contains(&State::Waiting);
    let is_as_expected = expected.contains(&activity.state) || is_next;
    match outcome {
        Ok(()) if !is_as_expected => {
            let text =
                format!("an ending of a{number} returned OK, and the activity is {:?}", activity.state);
            world.violated("ok_means_that_the_server_has_it", text);
        }
        Err(error) => check_gone(world, number, attempt, error),
        Ok(()) => {}
    }
}

/// An error that says that the attempt is over is true.
pub fn check_gone(world: &World, number: usize, attempt: Attempt, error: &Error) {
    let activity = lock(&world.server.temporal).activities[number].clone();
    if matches!(error.status(), Status::NotFound | Status::InDoubt) && !is_over(&activity, attempt) {
        let text = format!("a{number} is called over ({:?}), and attempt {attempt:?} runs", error.status());
        world.violated("gone_only_when_over", text);
    }
}

fn is_over(activity: &Activity, attempt: Attempt) -> bool {
    activity.state != State::Running || activity.identity() != attempt
}

/// Checks the client's state at regular intervals.
pub async fn watch(world: std::sync::Arc<World>, process: std::sync::Arc<Process>) {
    // For each activity the record that is awaited, and since when.
    let mut awaited: Vec<Option<(Handle, u64, Instant)>> = vec![None; world.plan.activities];
    loop {
        sleep(LOOK).await;
        let open = world.network.open().len();
        if open > MOST_CONNECTIONS {
            world.violated("connections_are_bounded", format!("{open} connections are open"));
        }
        if world.plan.keeps_connections() && world.network.made() > 1 {
            let text = format!(
                "{} connections were made, and nothing was wrong with the first",
                world.network.made()
            );
            world.violated("a_slow_server_costs_no_connection", text);
        }
        for (number, awaited) in awaited.iter_mut().enumerate() {
            let Some(held) = world.held(number) else { continue };
            let now = Moment::now();
            let looked = process.activities().registry.with(held.handle, |activity| {
                let waits_for = awaited.filter(|(handle, ..)| *handle == held.handle);
                let has_it =
                    waits_for.is_none_or(|(_, record, _)| activity.is_flushed_to(record) != Ok(false));
                (activity.signals(now), activity.info(now), activity.newest_record(), has_it)
            });
            let Ok((signals, info, newest, has_it)) = looked else { continue };
            let activity = lock(&world.server.temporal).activities[number].clone();
            if signals.contains(Signals::GONE) && !is_over(&activity, held.attempt) {
                world.violated("gone_only_when_over", format!("a{number} is GONE, and its attempt runs"));
            }
            if has_it || info.state != "open" {
                *awaited = Some((held.handle, newest, Instant::now()));
                continue;
            }
            let Some((_, record, since)) = *awaited else { continue };
            let bound = World::recovery(info.heartbeat_timeout);
            if since.elapsed() > bound && world.good_for() > bound && !is_over(&activity, held.attempt) {
                let text = format!(
                    "record {record} of a{number} isn't acknowledged, {:.1} s after it was seen first, in a good world",
                    since.elapsed().as_secs_f64()
                );
                world.violated("the_newest_record_reaches_the_server", text);
            }
        }
    }
}

/// The last disconnect, in a good world, has returned. These were held before.
pub fn disconnected(world: &World, held: &[(usize, Held)], timeout: Duration) {
    if longest_answer(world) * 3 > timeout {
        return;
    }
    for (number, held) in held {
        let activity = lock(&world.server.temporal).activities[*number].clone();
        let stored = record_in(activity.details.as_ref());
        if !is_over(&activity, held.attempt) && stored < Some(held.record) && held.record > 0 {
            let text = format!("record {} of a{number} wasn't sent, the server has {stored:?}", held.record);
            world.violated("disconnect_sends_what_was_recorded", text);
        }
    }
}

/// How long an answer takes at most where nothing is wrong.
fn longest_answer(world: &World) -> Duration {
    let longest_timeout = world.plan.timeouts_ms.iter().max().copied().unwrap_or(0);
    Duration::from_millis(longest_timeout).mul_f64(world.plan.longest_answer)
}

/// After the disconnect everything ends.
pub async fn everything_ends(world: &World) {
    let end = Instant::now() + LONGEST_END;
    while !world.network.open().is_empty() {
        if Instant::now() > end {
            let text =
                format!("{} connections are open long after the disconnect", world.network.open().len());
            world.violated("everything_ends_after_disconnect", text);
            return;
        }
        sleep(LOOK).await;
    }
}
