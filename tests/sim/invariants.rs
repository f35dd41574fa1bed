//! The promises of the library, each checked where it can be seen. README.md lists them.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    faults::Fault,
    following,
    plan::Shape,
    process::Process,
    request::number_of,
    server::{ANSWER_PART, Misbehaviour},
    temporal::{Activity, Answer, Effect, Request, State, record_in},
    trace::{self, Lane},
    world::{World, lock},
};
use crate::{
    activity::handle::Handle,
    model::{
        attempt::Attempt,
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
    transport::NEXT_ADDRESS_DELAY,
};

/// The most calls of one activity that are submitted at once. More are very rare.
const MOST_SUBMITTED: u32 = 20;
/// How long after its timeout a call may return.
const CALL_GRACE: Duration = Duration::from_millis(100);
/// The interval between two checks of the client's state.
const LOOK: Duration = Duration::from_millis(250);
/// The most connections that may be open at once, besides those that were replaced: the current one, and one that is made.
const MOST_CONNECTIONS: usize = 2;
/// How late a watch may report a change: the scheduler may sleep for a second.
const LONGEST_REPORT: Duration = Duration::from_secs(2);
/// The most memory of a run, of each of its activities, and of each connection that was made.
const MEMORY: usize = 2 << 20;
const MEMORY_OF_ACTIVITY: usize = 32 << 10;
const MEMORY_OF_CONNECTION: usize = 128 << 10;
/// By how much the memory may grow in a run in which only the number of requests grows.
const MEMORY_GROWTH: usize = 128 << 10;
/// The most bytes that may wait in a connection's buffer, and for each activity.
const BUFFERED: usize = 64 << 10;
const BUFFERED_OF_ACTIVITY: usize = 2 << 10;
/// How long after a disconnect the last connection may be open.
const LONGEST_END: Duration = Duration::from_secs(30);
/// How long a try may last if there is no heartbeat timeout: twice the longest answer that is remembered.
const LONGEST_TRY_WITHOUT_TIMEOUT: Duration = Duration::from_secs(120);

/// An activity that the client holds open.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub handle: Handle,
    pub attempt: Attempt,
    /// Whether beats are to keep the lease without records.
    pub has_pulse: bool,
    pub is_by_ids: bool,
    /// Whether it was opened with `follow_server`.
    pub follows: bool,
    pub since: Instant,
    /// Whether it was opened as the attempt began, with all that the library asks for.
    pub is_from_start: bool,
    /// The newest record that the handle took; 0: none.
    pub record: u64,
}

/// How an attempt is ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Completed,
    Failed,
    Cancelled,
}

impl End {
    /// How a request ends an attempt, if it does.
    pub fn by(request: &Request) -> Option<Self> {
        match request {
            Request::Complete(..) => Some(End::Completed),
            Request::Fail(..) => Some(End::Failed),
            Request::Cancel(..) => Some(End::Cancelled),
            _ => None,
        }
    }
}

impl Held {
    /// How many requests a beat takes, one after the other: by ids the activity is described first.
    pub fn requests_per_beat(&self) -> u32 {
        if self.is_by_ids { 2 } else { 1 }
    }
}

impl World {
    /// For how long the world must have been good before leases are kept: a try that began in a bad world may last.
    fn lease_recovery(timeout: Duration) -> Duration {
        timeout.mul_f64(1.5) + Duration::from_secs(5)
    }

    /// For how long the world must have been good before other promises about time hold. A try that began in a bad world may last for twice
    /// the longest answer that counts: the heartbeat timeout, or a minute.
    fn recovery(timeout: Duration) -> Duration {
        let longest = if timeout.is_zero() { Duration::from_secs(120) } else { timeout * 3 };
        longest + Duration::from_secs(12)
    }

    /// How long a record may take to the server. If a beat takes longer than the lease can be kept with, but not longer than the heartbeat
    /// timeout T, some tries are given up before. Tries last for about T/2, T/2 and 2T/3 before one lasts for T. Calls that wait may abandon
    /// others, after 1 s, 2 s, 4 s, and so on until T: together these last for less than T. The last one succeeds within T.
    fn longest_delivery(&self, held: &Held, timeout: Duration) -> Duration {
        let is_slow = self.plan.longest_answer * f64::from(held.requests_per_beat()) > ANSWER_PART;
        let codec = self.plan.codec.unwrap_or_default() * self.plan.rounds_of_codec() * 4;
        World::recovery(timeout) + codec + if is_slow { timeout } else { Duration::ZERO }
    }
}

/// A request has arrived at the server.
pub fn arrived(world: &World, request: &Request) {
    if world.plan.codec.is_some() && request.payloads().is_some_and(Payloads::needs_codec) {
        world.violated("nothing_is_sent_in_the_clear", request.words());
    }
}

/// A request was applied by the server.
pub fn applied(world: &World, request: &Request, answer: &Answer, effect: &Effect) {
    let (Request::Heartbeat(subject, details), Effect::Heartbeat { before, is_fenced }, Ok(_)) =
        (request, effect, answer)
    else {
        return;
    };
    let timeout = lock(&world.server.temporal).activities[subject.activity].shortest_timeout;
    following::beat_applied(world, subject.activity, timeout);
    // By ids the server doesn't compare attempts, and with a token of a workflow's activity it compares only their numbers, which start
    // over with a reset. So the details may be those of a late beat of an earlier attempt. The holder of this attempt's token never
    // received them.
    let may_be_of_another_attempt = subject.attempt.is_some() && !is_fenced;
    // By ids, a lagging replica may have described the attempt as it was before its first record.
    let may_be_described_late =
        subject.attempt.is_none() && world.plan.has(Fault::Server(Misbehaviour::LaggingReplica));
    if details.is_none() && before.is_some() && !may_be_of_another_attempt && !may_be_described_late {
        let text = format!("a beat without details erased those of a{}", subject.activity);
        world.violated("nothing_is_erased", text);
    }
    let (new, old) = (record_in(details.as_ref()), record_in(before.as_ref()));
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
    // The client may not know that an operator has changed the timeout.
    if info.heartbeat_timeout != activity.timeout || info.state == "ended" {
        return;
    }
    if !signals.contains(Signals::LEASE_LOST) && !signals.contains(Signals::GONE) {
        let text = format!("the timer of a{} fired, and its signals are {signals:?}", activity.number);
        world.violated("lease_lost_is_set_before_the_next_attempt", text);
    }
    let needed = World::lease_recovery(activity.timeout);
    // A request may have to wait for its connection.
    let silent = world.plan.silent_addresses.iter().filter(|silent| **silent).count();
    let connect = world.plan.latency.1 * 4 + NEXT_ADDRESS_DELAY * u32::try_from(silent).unwrap();
    let answer = activity.timeout.mul_f64(world.plan.longest_answer) + connect;
    let is_promised = answer * held.requests_per_beat() <= activity.timeout.mul_f64(ANSWER_PART);
    let is_settled = held.is_from_start || held.since.elapsed() > needed;
    let keeps = held.has_pulse && is_settled && info.state == "open";
    if keeps && is_promised && world.good_for() > needed {
        let good = match world.is_untroubled() {
            true => "at all".to_owned(),
            false => format!("for {:.1} s", world.good_for().as_secs_f64()),
        };
        let timeout = activity.timeout.as_millis();
        let text = format!(
            "the timer of a{} ({timeout} ms) fired although there was no fault {good}",
            activity.number
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
    let codec = world.plan.codec.unwrap_or_default() * world.plan.rounds_of_codec() * 4;
    // Submitted calls of an activity wait for each other.
    let calls = if world.plan.submitted > 0.0 { MOST_SUBMITTED } else { 1 };
    let answers = longest_answer(world) * requests_of_beat(world, 4) * calls;
    let is_enough = timeout > answers + codec + Duration::from_secs(2);
    let named: Vec<_> = trace::names(what)
        .map(|name| lock(&world.server.temporal).activities[number_of(name)].clone())
        .collect();
    let longest_timeout = named.iter().map(|activity| activity.timeout.max(activity.timeout_at_first)).max();
    let needed = World::recovery(longest_timeout.unwrap_or_default().max(Duration::from_secs(30))) + timeout;
    // After a reset, a description shows the attempt with a lower number. By ids, nothing may be sent then.
    let is_of_running = named
        .iter()
        .all(|activity| world.held(activity.number).is_none_or(|held| !is_over(activity, held.attempt)));
    let good_for = world.good_for().min(world.codec.good_for());
    if is_temporary && is_enough && is_of_running && good_for > needed {
        world.violated("calls_succeed_in_a_good_world", format!("{what}: {error:?}"));
    }
}

/// A call has returned OK that promises that this record, or a newer one, is at the server.
pub fn has_record(world: &World, number: usize, attempt: Attempt, record: u64, what: &str) {
    let activity = lock(&world.server.temporal).activities[number].clone();
    let stored = record_in(activity.details.as_ref());
    if record > 0 && stored < Some(record) && !activity.details_were_erased {
        let text = format!(
            "{what} of a{number} returned OK for record {record} of {attempt:?}, and the server has {stored:?}"
        );
        world.violated("ok_means_that_the_server_has_it", text);
    }
}

/// A call that ends the attempt has returned.
pub fn ending_returned(world: &World, number: usize, attempt: Attempt, kind: End, outcome: &Result<()>) {
    let expected = match kind {
        End::Completed => &[State::Completed][..],
        End::Failed => &[State::Waiting, State::Failed],
        End::Cancelled => &[State::Cancelled],
    };
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
        Err(error) => {
            check_gone(world, number, attempt, error);
            check_doubt(world, number, (attempt, kind), error);
        }
        Ok(()) => {}
    }
}

/// An ending is NOT_FOUND only if no request has ended the attempt in this way, and IN_DOUBT only if one may have.
fn check_doubt(world: &World, number: usize, ending: (Attempt, End), error: &Error) {
    let status = error.status();
    if status == Status::NotFound && world.has_ended(number, ending) {
        let text = format!("an ending of a{number} is NOT_FOUND, and a request has ended the attempt");
        world.violated("not_found_and_in_doubt_tell_the_truth", text);
    }
    if status == Status::InDoubt && world.is_untroubled() && world.endings_arrived(number) == 0 {
        let text = format!("an ending of a{number} is IN_DOUBT, and the server has got none");
        world.violated("not_found_and_in_doubt_tell_the_truth", text);
    }
}

/// An error that says that the attempt is over is true.
pub fn check_gone(world: &World, number: usize, attempt: Attempt, error: &Error) {
    let activity = lock(&world.server.temporal).activities[number].clone();
    let says_so = matches!(error.status(), Status::NotFound | Status::InDoubt);
    if says_so && !is_over(&activity, attempt) && !may_be_mistaken(world, &activity) {
        let text = format!("a{number} is called over ({:?}), and attempt {attempt:?} runs", error.status());
        world.violated("gone_only_when_over", text);
    }
}

/// Whether a lagging replica may have described an earlier attempt that the library can't distinguish from the handle's, or from a later one. By ids
/// it knows only the attempt's number at first. The order of attempts is that of their starts, on the server's clock.
fn may_be_mistaken(world: &World, activity: &Activity) -> bool {
    let is_by_ids = world.held(activity.number).is_some_and(|held| held.is_by_ids);
    let is_ambiguous = activity.starts_go_back || (is_by_ids && activity.numbers_repeat);
    is_ambiguous && world.plan.has(Fault::Server(Misbehaviour::LaggingReplica))
}

pub fn is_over(activity: &Activity, attempt: Attempt) -> bool {
    activity.state != State::Running || activity.identity() != attempt
}

/// The observations of an activity so far.
#[derive(Clone, Default)]
struct Seen {
    /// The record that is awaited, and since when.
    awaited: Option<(Handle, u64, Instant)>,
    /// The signals that the watch has reported, of a handle.
    reported: Option<(Handle, Signals)>,
    /// Signals that the watch hasn't reported, and since when.
    unreported: Option<(Handle, Signals, Duration)>,
    unknown: following::Unknown,
}

/// Checks the client's state at regular intervals.
pub async fn watch(world: Arc<World>, process: Arc<Process>) {
    let mut seen = vec![Seen::default(); world.plan.activities];
    let mut memory_before = None;
    loop {
        sleep(world.plan.look()).await;
        world.held_for(world.plan.look());
        check_connections(&world, &process);
        check_memory(&world, &mut memory_before);
        for (number, handle, signals) in process.reported() {
            seen[number].reported = Some((handle, signals));
        }
        for (number, seen) in seen.iter_mut().enumerate() {
            if let Some(held) = world.held(number) {
                check_activity(&world, &process, number, held, seen);
            } else {
                following::check_unheld(&world, number, &mut seen.unknown);
            }
        }
    }
}

fn check_connections(world: &World, process: &Process) {
    let open = world.network.open().len();
    // Each connection that was replaced lasts until its last request has ended.
    let longest = world.plan.timeouts_ms.iter().max().copied().unwrap_or(0);
    let longest = Duration::from_millis(longest).max(LONGEST_TRY_WITHOUT_TIMEOUT) + LONGEST_END;
    let replaced = process.replacements_within(longest) + world.server.goaways_within(longest);
    // The long polls have another connection.
    let links = if world.plan.follow > 0.0 { 2 } else { 1 };
    if open > MOST_CONNECTIONS * links + replaced * links {
        world.violated("connections_are_bounded", format!("{open} connections are open"));
    }
    let made = world.network.made();
    if world.plan.keeps_connections() && made > links {
        let text = format!("{made} connections were made, and nothing was wrong with the ones before");
        world.violated("a_slow_server_costs_no_connection", text);
    }
}

fn check_memory(world: &World, before: &mut Option<usize>) {
    let held = world.memory.held();
    let bound =
        MEMORY + MEMORY_OF_ACTIVITY * world.plan.activities + MEMORY_OF_CONNECTION * world.network.made();
    if held > bound {
        world.violated("memory_is_bounded", format!("{held} bytes are in use, and {bound} are enough"));
    }
    if world.plan.shape == Shape::Flood && world.elapsed() > world.plan.length / 10 {
        let before = *before.get_or_insert(held);
        if held > before + MEMORY_GROWTH {
            let text = format!("{held} bytes are in use, and {before} were soon after its start");
            world.violated("memory_is_bounded", text);
        }
    }
    let buffered = world.network.most_unsent();
    let bound = BUFFERED + BUFFERED_OF_ACTIVITY * world.plan.activities;
    if buffered > bound {
        let text = format!("{buffered} bytes wait in a connection's buffer, and {bound} are enough");
        world.violated("memory_is_bounded", text);
    }
}

fn check_activity(world: &World, process: &Process, number: usize, held: Held, seen: &mut Seen) {
    let now = Moment::now();
    let looked = process.activities().registry.with(held.handle, |activity| {
        let waits_for = seen.awaited.filter(|(handle, ..)| *handle == held.handle);
        let has_it = waits_for.is_none_or(|(_, record, _)| activity.is_flushed_to(record) != Ok(false));
        (activity.signals(now), activity.info(now), activity.newest_record(), has_it)
    });
    let Ok((signals, info, newest, has_it)) = looked else { return };
    let at_server = lock(&world.server.temporal).activities[number].clone();
    let is_over = is_over(&at_server, held.attempt);
    if signals.contains(Signals::GONE) && !is_over && !may_be_mistaken(world, &at_server) {
        world.violated("gone_only_when_over", format!("a{number} is GONE, and its attempt runs"));
    }
    following::check(world, (number, held), (signals, &info), &at_server, &mut seen.unknown);
    // A handle that is being closed is in no watch.
    if process.activities().registry.with_open(held.handle, |_| ()).is_ok() {
        check_report(world, number, held.handle, signals, seen);
    }
    if has_it || info.state != "open" {
        seen.awaited = Some((held.handle, newest, Instant::now()));
        return;
    }
    let Some((_, record, since)) = seen.awaited else { return };
    let bound = world.longest_delivery(&held, info.heartbeat_timeout);
    if since.elapsed() > bound && world.good_for() > bound && world.codec.good_for() > bound && !is_over {
        let text = format!(
            "record {record} of a{number} isn't acknowledged, {:.1} s after it was seen first, in a good world",
            since.elapsed().as_secs_f64()
        );
        world.violated("the_newest_record_reaches_the_server", text);
    }
}

/// A watch reports each change of the signals soon.
fn check_report(world: &World, number: usize, handle: Handle, signals: Signals, seen: &mut Seen) {
    let reported = seen.reported.filter(|(reported, _)| *reported == handle).map(|(_, signals)| signals);
    if reported.unwrap_or_default() == signals {
        seen.unreported = None;
        return;
    }
    let unreported = seen.unreported.filter(|(of, missed, _)| (*of, *missed) == (handle, signals));
    let (.., since) =
        *seen.unreported.insert(unreported.unwrap_or((handle, signals, world.time_of_client())));
    // A preemption moves the time of the client back.
    if world.time_of_client().saturating_sub(since) > LONGEST_REPORT {
        let text =
            format!("the signals of a{number} are {signals:?}, and the watch has reported {reported:?}");
        world.violated("a_watch_sees_each_change", text);
    }
}

/// After a disconnect no handle is open.
pub fn all_are_closed(world: &World, process: &Process) {
    let open = process.activities().registry.open();
    if open > 0 {
        world.violated("disconnect_closes_all_handles", format!("{open} are open after a disconnect"));
    }
}

/// The last disconnect, in a good world, has returned. These were held before.
pub fn disconnected(world: &World, held: &[(usize, Held)], timeout: Duration) {
    // The codec may have begun with an older record.
    let codec = world.plan.codec.unwrap_or_default() * world.plan.rounds_of_codec() * 2;
    if longest_answer(world) * requests_of_beat(world, 3) + codec > timeout {
        return;
    }
    for (number, held) in held {
        let activity = lock(&world.server.temporal).activities[*number].clone();
        let stored = record_in(activity.details.as_ref());
        let has_it = stored >= Some(held.record) || held.record == 0 || activity.details_were_erased;
        if !is_over(&activity, held.attempt) && !has_it {
            let text = format!("record {} of a{number} wasn't sent, the server has {stored:?}", held.record);
            world.violated("disconnect_sends_what_was_recorded", text);
        }
    }
}

/// How many requests a beat may need, given how many by token. By ids, the activity is described before the beat, and once its history is read.
fn requests_of_beat(world: &World, by_token: u32) -> u32 {
    if world.plan.by_ids > 0.0 { 8 } else { by_token }
}

/// How long an answer takes at most where nothing is wrong.
fn longest_answer(world: &World) -> Duration {
    let longest_timeout = world.plan.timeouts_ms.iter().max().copied().unwrap_or(0);
    Duration::from_millis(longest_timeout).mul_f64(world.plan.longest_answer)
}

/// After the disconnect everything ends.
pub async fn everything_ends(world: &World, process: &Process) {
    sleep(CALL_GRACE).await;
    if process.submissions.awaited() > 0 {
        let text = format!("{} calls have no completion after the disconnect", process.submissions.awaited());
        world.violated("each_call_completes_once", text);
    }
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
