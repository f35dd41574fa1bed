//! A thread that holds an activity open.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::{
    calls::{Make, call},
    invariants::{self, End, Held},
    plan::Shape,
    process::Process,
    submissions::submit,
    temporal::State,
    trace::Lane,
    workload::{LOOK, Next, Records, SEVERAL, Task, after_ending, call_timeout, pause, time_of},
    world::{World, lock},
};
use crate::{
    activity::{
        Activities,
        ending_call::{Before, EndingCall},
        handle::Handle,
        options::OpenOptions,
        stall_options::{StallAction, StallOptions},
        state::Activity,
    },
    client::Ending,
    model::{
        error::{Error, Result},
        failure::Report,
        payload::Encoding,
        signals::Signals,
        status::Status,
    },
    process::call::Call,
    sys::clock::Moment,
};

/// The time of the first try of a request where no heartbeat timeout is known, less what the network takes.
const USUAL_TRY: Duration = Duration::from_secs(8);
/// The most records at once.
const LONGEST_BURST: u64 = 300;
/// How often an activity has a stall timeout.
const STALLS: f64 = 0.2;
/// How often such an activity warns or fails in a stall.
const STALL_IS_REPORTED: f64 = 0.6;

#[derive(Clone, Copy)]
enum Step {
    Record,
    /// Many records, one after the other.
    Burst,
    Touch,
    Flush,
    Complete,
    Fail,
    Cancel,
    Close,
    Leave,
}

/// The steps of a holder that flushes all the time.
const FLOOD: [(u32, Step); 2] = [(1, Step::Record), (9, Step::Flush)];

const STEPS: [(u32, Step); 9] = [
    (58, Step::Record),
    (2, Step::Burst),
    (20, Step::Touch),
    (10, Step::Flush),
    (1, Step::Complete),
    (2, Step::Fail),
    (1, Step::Cancel),
    (2, Step::Close),
    (1, Step::Leave),
];

fn open(world: &World, process: &Process, task: &Task, is_first: bool) -> Result<Held> {
    let Task { number, activity } = task;
    // Without it a server that takes longer than the usual try is given up at first.
    let is_slow = activity.timeout.mul_f64(world.plan.longest_answer) > USUAL_TRY;
    let knows_timeout = is_slow || !world.chance(world.plan.unknown);
    // The details from the hand-over are out of date when the activity is opened again.
    let knows_details = is_first && !world.chance(world.plan.unknown);
    let has_pulse = world.chance(world.plan.pulse);
    let follows = world.chance(world.plan.follow);
    let stall_timeout = match world.chance(STALLS) {
        true => time_of(world, task).mul_f64(0.5),
        false => Duration::ZERO,
    };
    let action = match (stall_timeout.is_zero(), world.chance(STALL_IS_REPORTED), world.chance(0.5)) {
        (true, _, _) | (false, false, _) => StallAction::Stop,
        (false, true, false) => StallAction::Warn,
        (false, true, true) => StallAction::Fail,
    };
    // Server 1.31 takes ids for the first attempt of a standalone activity only.
    let takes_ids = !activity.is_standalone || world.plan.version >= 32;
    let is_by_ids = world.chance(world.plan.by_ids) && takes_ids;
    let token = if is_by_ids { Bytes::new() } else { activity.token() };
    let options = OpenOptions {
        heartbeat_timeout: if knows_timeout { activity.polled_timeout() } else { Duration::ZERO },
        pulse: has_pulse,
        stall_timeout,
        stall: StallOptions { action, ..StallOptions::default() },
        initial_details: knows_details.then(|| activity.details.clone().unwrap_or_default()),
        age: Moment::now().since(activity.began),
        ids: is_by_ids.then(|| activity.ids()),
        attempt: if is_by_ids { activity.attempt } else { 0 },
        has_codec: world.plan.codec.is_some(),
        verify: world.chance(0.3),
        follow_server: follows,
        ..OpenOptions::new()
    };
    let opened = Activity::open(&token, options, Moment::now())?;
    let due = if opened.may_be_followed() { Moment::now() } else { opened.due() };
    let handle = process.activities().registry.insert(opened)?;
    process.activities().wake_at(handle, due);
    let held = Held {
        handle,
        attempt: activity.identity(),
        has_pulse: has_pulse && (stall_timeout.is_zero() || action == StallAction::Warn),
        is_by_ids,
        follows,
        since: Instant::now(),
        is_from_start: is_first
            && knows_timeout
            && knows_details
            && !is_by_ids
            && Moment::now().since(activity.began) < LOOK * 2,
        record: 0,
    };
    process.watch(*number, handle)?;
    world.log(Lane::Client, || {
        format!(
            "open a{number} attempt {}{} (timeout {} ms{}, {}, {}, {})",
            activity.attempt,
            if is_by_ids { " by ids" } else { "" },
            activity.timeout.as_millis(),
            if knows_timeout { "" } else { ", not given" },
            if knows_details { "with details" } else { "details not given" },
            if has_pulse { "pulse" } else { "no pulse" },
            if follows { "followed" } else { "not followed" },
        )
    });
    world.forget_ending(*number);
    world.following.opened(*number);
    world.hold(*number, Some(held));
    Ok(held)
}

/// Holds an attempt open until it is over.
pub async fn hold(world: &Arc<World>, process: &Arc<Process>, task: &Task, records: &mut Records) {
    let number = task.number;
    let activities = process.activities();
    let mut handle = None;
    let mut is_first = true;
    while !process.is_stopping() {
        if process.session().is_err() {
            sleep(LOOK).await;
            continue;
        }
        let open_handle = match handle {
            Some(handle) => handle,
            None => match open(world, process, task, std::mem::take(&mut is_first)) {
                Ok(held) => {
                    records.of_handle = 0;
                    *handle.insert(held.handle)
                }
                Err(error) => {
                    world.violated("no_internal_error", format!("open a{number}: {error:?}"));
                    return;
                }
            },
        };
        sleep(pause(world, task)).await;
        if process.is_stopping() {
            return;
        }
        match step(world, activities, process, task, open_handle, records).await {
            Next::GoOn => {}
            Next::Reopen => handle = None,
            Next::Over => {
                world.hold(number, None);
                let _ = activities.registry.remove(open_handle);
                return;
            }
        }
        if is_gone(world, task) && world.chance(0.3) {
            world.hold(number, None);
            drop(activities.begin_closing(open_handle));
            return;
        }
    }
}

fn is_gone(world: &World, task: &Task) -> bool {
    let activity = lock(&world.server.temporal).activities[task.number].clone();
    activity.state != State::Running || activity.identity() != task.activity.identity()
}

async fn step(
    world: &Arc<World>,
    activities: &'static Activities,
    process: &Arc<Process>,
    task: &Task,
    handle: Handle,
    records: &mut Records,
) -> Next {
    let (number, attempt) = (task.number, task.activity.identity());
    let timeout = call_timeout(world);
    let what = |verb: &str| format!("{verb} a{number} attempt {}", attempt.number);
    let choices = if world.plan.shape == Shape::Flood { &FLOOD[..] } else { &STEPS[..] };
    world.following.gives_reason(number);
    let outcome = match world.pick(choices) {
        Step::Burst => {
            let count = world.between(2, LONGEST_BURST);
            let newest = records.newest;
            records.newest += count;
            let mut outcome = Ok(Signals::default());
            for record in newest + 1..=newest + count {
                outcome = record_one(world, activities, number, handle, record);
            }
            if outcome.is_ok() {
                records.of_handle = records.newest;
            }
            world.log(Lane::Client, || {
                let outcome = outcome.as_ref().map_err(Error::status);
                format!("records {} to {} for a{number}: {outcome:?}", newest + 1, newest + count)
            });
            outcome.map(drop)
        }
        Step::Record => {
            records.newest += 1;
            let record = records.newest;
            let (its_world, number) = (world.clone(), number);
            // Its thread may be preempted.
            let recorded =
                world.blocking(move || record_one(&its_world, activities, number, handle, record)).await;
            let outcome = recorded.inspect(|_| records.of_handle = record);
            world.log(Lane::Client, || {
                format!("record {record} for a{number}: {:?}", outcome.as_ref().map_err(Error::status))
            });
            outcome.map(drop)
        }
        Step::Touch => activities
            .progress(handle, |activity, _, now| activity.touch(now))
            .map(|signals| signals_seen(world, task, signals)),
        Step::Flush => {
            let newest = records.of_handle;
            // The outcome of each is checked, also of those before the last.
            let mut submitted = Vec::new();
            while world.chance(world.plan.submitted * SEVERAL) {
                world.following.gives_reason(number);
                submitted
                    .extend(submit(world, process, what("flush"), call_timeout(world), flush(handle)).await);
            }
            let flushed = call(world, process, what("flush"), timeout, flush(handle)).await;
            for earlier in submitted {
                if earlier.outcome(world, process).await.is_ok() {
                    invariants::has_record(world, number, attempt, newest, "flush");
                }
            }
            if flushed.is_ok() {
                invariants::has_record(world, number, attempt, newest, "flush");
            }
            flushed
        }
        Step::Close => {
            let newest = records.of_handle;
            let closed = call(world, process, what("close"), timeout, move |process, deadline| {
                let closing = activities.begin_closing(handle)?;
                let call = Call::new(process.session()?, deadline, |_, deadline| async move {
                    closing.close(Some(&deadline)).await
                });
                Ok(call.of(activities, handle).or(move |without| {
                    activities.finish_closing(handle);
                    Err(without)
                }))
            })
            .await;
            if closed.is_ok() {
                invariants::has_record(world, number, attempt, newest, "close");
            }
            let is_over = closed.is_err_and(|error| {
                invariants::check_gone(world, number, attempt, &error);
                error.status() == Status::NotFound
            });
            world.hold(number, None);
            return if is_over { Next::Over } else { Next::Reopen };
        }
        // The holder's thread hangs for a while.
        Step::Leave => {
            sleep(task.activity.timeout).await;
            Ok(())
        }
        Step::Complete => {
            let ending = (Before::Nothing, Ending::Complete(None));
            let ended = end(world, process, (number, what("complete")), handle, timeout, ending).await;
            invariants::ending_returned(world, number, attempt, End::Completed, &ended);
            return after_ending(ended);
        }
        Step::Fail => {
            let newest = records.of_handle;
            let report = Report::read(br#"{"message":"the work failed"}"#).unwrap();
            let ending = (Before::RecordThatFailureLoses, Ending::Fail(report));
            let ended = end(world, process, (number, what("fail")), handle, timeout, ending).await;
            if ended.is_ok() {
                invariants::has_record(world, number, attempt, newest, "fail");
            }
            invariants::ending_returned(world, number, attempt, End::Failed, &ended);
            return after_ending(ended);
        }
        Step::Cancel => {
            let is_requested = activities.registry.with(handle, |activity| activity.signals(Moment::now()));
            if !is_requested.is_ok_and(|signals| signals.contains(Signals::CANCEL_REQUESTED)) {
                return Next::GoOn;
            }
            let ending = (Before::Record, Ending::Cancel(None));
            let ended = end(world, process, (number, what("cancel")), handle, timeout, ending).await;
            invariants::ending_returned(world, number, attempt, End::Cancelled, &ended);
            return after_ending(ended);
        }
    };
    match outcome {
        Ok(()) => Next::GoOn,
        Err(error) => {
            invariants::check_gone(world, number, attempt, &error);
            if error.message().contains("stall_action") && world.is_untroubled() {
                invariants::ending_returned(world, number, attempt, End::Failed, &Ok(()));
            }
            match error.status() {
                Status::NotFound | Status::Ended => Next::Over,
                Status::InvalidHandle | Status::NotConnected => Next::Reopen,
                _ => Next::GoOn,
            }
        }
    }
}

fn record_one(
    world: &World,
    activities: &Activities,
    number: usize,
    handle: Handle,
    record: u64,
) -> Result<Signals> {
    let json = record.to_string();
    let recorded = activities.progress(handle, |activity, limit, now| {
        activity.record(Encoding::Json, json.as_bytes(), limit, now)
    });
    if recorded.is_ok() {
        world.took(number, record);
    }
    recorded
}

fn signals_seen(world: &World, task: &Task, signals: Signals) {
    if signals.contains(Signals::LEASE_LOST) {
        world.log(Lane::Client, || format!("a{} sees {signals:?}", task.number));
    }
}

/// Returns what makes the call that flushes an activity.
fn flush(handle: Handle) -> impl Make {
    move |process, deadline| {
        let activities = process.activities();
        activities.registry.with_open(handle, |activity| activity.record_touch())?;
        let call = Call::new(process.session()?, deadline, |_, deadline| async move {
            activities.flush(handle, &deadline).await
        });
        Ok(call.of(activities, handle))
    }
}

/// Restarts the lease, because an ending that failed has suspended the beats.
fn beats_were_suspended(world: &World, number: usize) {
    if let Some(held) = world.held(number) {
        world.hold(number, Some(Held { since: Instant::now(), is_from_start: false, ..held }));
    }
}

/// As `api::activity::end`.
async fn end(
    world: &Arc<World>,
    process: &Arc<Process>,
    (number, what): (usize, String),
    handle: Handle,
    timeout: Duration,
    (before, ending): (Before, Ending),
) -> Result<()> {
    let flushed = format!("flush before {what}");
    let flushed = match world.chance(world.plan.submitted * SEVERAL) {
        true => submit(world, process, flushed, call_timeout(world), flush(handle)).await.ok(),
        false => None,
    };
    let ended = call(world, process, what, timeout, move |process, deadline| {
        let (activities, session) = (process.activities(), process.session()?);
        activities.registry.with_open(handle, |activity| activity.check_may_end())??;
        let ending_call = Arc::new(EndingCall::new(activities, handle, session.client().clone()));
        let abandoned = ending_call.clone();
        let call = Call::new(session, deadline, |_, deadline| async move {
            ending_call.run(&deadline, before, ending).await
        });
        Ok(call.of(activities, handle).or(move |without| abandoned.abandon(without)))
    })
    .await;
    if let Some(flushed) = flushed {
        let _ = flushed.outcome(world, process).await;
    }
    beats_were_suspended(world, number);
    ended
}
