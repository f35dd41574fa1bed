//! The promises about activities that are followed with long polls.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use super::{
    invariants::{Held, is_over},
    temporal::{Activity, State as ActivityState},
    world::{World, lock},
};
use crate::{
    activity::{handle::Handle, state::Info},
    model::signals::Signals,
    transport::NEXT_ADDRESS_DELAY,
};

/// The most long polls at once (`activity::follow::MAX_LONG_POLLS`).
pub const MOST_POLLS: usize = 100;
/// How many long polls of a run may follow each other without a pause, and how many a second after that. The network may bring
/// some closer together.
const POLLS_AT_ONCE: f64 = 20.0;
const POLLS_PER_SECOND: f64 = 5.0;
/// How many beats may have no reason.
const BEATS_WITHOUT_REASON: i64 = 20;
/// How many beats a step of a holder may cause, or an operator's change, or another attempt.
pub const BEATS_OF_STEP: i64 = 3;
/// The shortest time between two beats of a long timeout.
const LONGEST_PERIOD: Duration = Duration::from_secs(20);
/// What the client and the server may take for news, besides their answers.
const LONGEST_NEWS: Duration = Duration::from_secs(2);
/// How often a workflow is described (`activity::follow::DESCRIBE_INTERVAL`).
const DESCRIBE_INTERVAL: Duration = Duration::from_secs(60);
/// For how long nothing must have been wrong before news arrive in time: the library may wait this long after a failed long poll, or
/// until it notices that one is lost.
const LONGEST_RECOVERY: Duration = Duration::from_secs(600);
/// How long the server may take to notice that the network has forgotten a connection, and what waits on it.
const LONGEST_HALF_OPEN: Duration = Duration::from_secs(120);
/// For how long a long poll may be open after its activity.
const LONGEST_POLL_AFTER_END: Duration = Duration::from_secs(2);

/// The long polls and beats of each activity, by its number.
#[derive(Default)]
pub struct State(Mutex<HashMap<usize, Counts>>);

struct Counts {
    /// How many long polls may follow at once, at this time.
    polls: f64,
    at: Instant,
    /// How many beats may follow.
    beats: i64,
    last_beat: Instant,
}

impl Default for Counts {
    fn default() -> Self {
        let now = Instant::now();
        Counts { polls: POLLS_AT_ONCE, at: now, beats: BEATS_WITHOUT_REASON, last_beat: now }
    }
}

/// News of an activity that the client doesn't know, and since when.
#[derive(Clone, Default)]
pub struct Unknown {
    signals: Option<(Handle, Signals, Duration)>,
    timeout: Option<(Handle, Duration, Duration)>,
    poll: Option<Duration>,
}

impl State {
    /// Another handle was opened.
    pub fn opened(&self, number: usize) {
        let mut counts = lock(&self.0);
        let counts = counts.entry(number).or_default();
        counts.polls = POLLS_AT_ONCE;
        counts.beats = counts.beats.max(BEATS_WITHOUT_REASON);
    }

    /// Something has happened for which beats may be sent.
    pub fn gives_reason(&self, number: usize) {
        let mut counts = lock(&self.0);
        let counts = counts.entry(number).or_default();
        counts.beats = (counts.beats + BEATS_OF_STEP).min(BEATS_WITHOUT_REASON * 2);
    }
}

/// A long poll has arrived.
pub fn poll_arrived(world: &World, number: usize) {
    let open = world.server.polls(None);
    if open > MOST_POLLS && world.news_good_for() > LONGEST_HALF_OPEN {
        world.violated("long_polls_are_bounded", format!("{open} long polls are open"));
    }
    let mut counts = lock(&world.following.0);
    let counts = counts.entry(number).or_default();
    let more = std::mem::replace(&mut counts.at, Instant::now()).elapsed().as_secs_f64() * POLLS_PER_SECOND;
    counts.polls = (counts.polls + more).min(POLLS_AT_ONCE) - 1.0;
    if counts.polls < 0.0 {
        let text =
            format!("a{number} has had more than {POLLS_AT_ONCE} long polls and {POLLS_PER_SECOND} a second");
        world.violated("long_polls_are_bounded", text);
    }
}

/// A beat was applied. In a good world each beat has a reason: a step of the holder, news, or the time since the last one.
pub fn beat_applied(world: &World, number: usize, timeout: Duration) {
    let mut counts = lock(&world.following.0);
    let counts = counts.entry(number).or_default();
    let pause = std::mem::replace(&mut counts.last_beat, Instant::now()).elapsed();
    let period = if timeout.is_zero() { LONGEST_PERIOD } else { (timeout / 4).min(LONGEST_PERIOD) };
    if pause >= period || !world.held(number).is_some_and(|held| held.follows) {
        return;
    }
    counts.beats -= 1;
    if !world.is_untroubled() {
        counts.beats = counts.beats.max(0);
    }
    if counts.beats < 0 {
        world.violated(
            "beats_have_a_reason",
            format!("a beat of a{number} came {pause:?} after the one before"),
        );
    }
}

/// Compares what the client knows about an activity that it holds with the server.
pub fn check(
    world: &World,
    (number, held): (usize, Held),
    (signals, info): (Signals, &Info),
    at_server: &Activity,
    unknown: &mut Unknown,
) {
    check_polls(world, number, held.follows && matches!(info.state, "open" | "ending"), unknown);
    let bound = longest_news(world, held, at_server.timeout.max(info.heartbeat_timeout));
    let Some(bound) = bound.filter(|_| info.state == "open" && held.follows) else {
        (unknown.signals, unknown.timeout) = (None, None);
        return;
    };
    let now = world.time_of_client();
    let differing = differing(signals, at_server, held);
    let before = unknown.signals.filter(|(handle, other, _)| (*handle, *other) == (held.handle, differing));
    unknown.signals = match differing == Signals::default() {
        true => None,
        // Without long polls news take longer.
        false => before.or(info.server.is_following.then_some((held.handle, differing, now))),
    };
    if let Some((.., since)) = unknown.signals
        && now.saturating_sub(since) > bound
        && world.news_good_for() > LONGEST_RECOVERY
    {
        let text =
            format!("{differing:?} of a{number} differ from the server for {bound:?}; known are {signals:?}");
        world.violated("news_arrive_soon", text);
    }
    let is_known = info.heartbeat_timeout == at_server.timeout || is_over(at_server, held.attempt);
    let before =
        unknown.timeout.filter(|(handle, other, _)| (*handle, *other) == (held.handle, at_server.timeout));
    unknown.timeout = match is_known || !info.server.is_following {
        true => None,
        false => before.or(Some((held.handle, at_server.timeout, now))),
    };
    let bound = if at_server.is_standalone { bound } else { bound + DESCRIBE_INTERVAL };
    if let Some((.., since)) = unknown.timeout
        && now.saturating_sub(since) > bound
        && world.news_good_for() > LONGEST_RECOVERY
    {
        let (known, timeout) = (info.heartbeat_timeout, at_server.timeout);
        let text = format!(
            "the heartbeat timeout of a{number} is {timeout:?}, and {known:?} is known for {bound:?}"
        );
        world.violated("changed_timeouts_arrive_soon", text);
    }
}

/// Checks that an activity that isn't held any more has no long poll.
pub fn check_unheld(world: &World, number: usize, unknown: &mut Unknown) {
    check_polls(world, number, false, unknown);
    (unknown.signals, unknown.timeout) = (None, None);
}

fn check_polls(world: &World, number: usize, may_poll: bool, unknown: &mut Unknown) {
    if may_poll || world.plan.follow == 0.0 || world.server.polls(Some(number)) == 0 {
        unknown.poll = None;
        return;
    }
    let now = world.time_of_client();
    let since = *unknown.poll.get_or_insert(now);
    let bound = LONGEST_POLL_AFTER_END + world.plan.latency.1 * 4;
    if now.saturating_sub(since) > bound && world.news_good_for() > LONGEST_HALF_OPEN {
        world.violated("long_polls_end", format!("a{number} isn't held any more, and has a long poll"));
    }
}

/// How long news may take to the signals; `None`: the server is too slow for a promise. A long poll may be on its way, a beat may be in
/// flight, or a question for details or timeouts, and then a beat follows.
fn longest_news(world: &World, held: Held, timeout: Duration) -> Option<Duration> {
    let plan = &world.plan;
    let answer = match timeout.is_zero() {
        true => Duration::from_millis(500).mul_f64(plan.longest_answer),
        false => timeout.mul_f64(plan.longest_answer),
    };
    let requests = 3 + 2 * held.requests_per_beat();
    let is_prompt =
        plan.longest_answer * f64::from(held.requests_per_beat()) < 0.45 && plan.activities <= MOST_POLLS;
    let silent = plan.silent_addresses.iter().filter(|silent| **silent).count();
    let connect = plan.latency.1 * 4 + NEXT_ADDRESS_DELAY * u32::try_from(silent).unwrap();
    let codec = plan.codec.unwrap_or_default() * plan.rounds_of_codec() * 4;
    is_prompt
        .then(|| LONGEST_NEWS + (answer + plan.latency.1 * 2) * requests + connect * 2 + codec + plan.look())
}

/// Returns the signals that the answer to a beat would change.
fn differing(signals: Signals, activity: &Activity, held: Held) -> Signals {
    if is_over(activity, held.attempt) {
        // The history of a workflow doesn't show that an attempt has failed and is retried.
        let is_shown = activity.is_standalone || activity.state == ActivityState::Terminated;
        return Signals::GONE.when(is_shown && !signals.contains(Signals::GONE));
    }
    let is_paused = activity.is_paused && !activity.is_reset;
    let missing = |signal: Signals, is_set: bool| signal.when(is_set && !signals.contains(signal));
    let standalone = missing(Signals::RESET, activity.is_reset)
        | Signals::PAUSED.when(is_paused != signals.contains(Signals::PAUSED));
    let standalone = if activity.is_standalone { standalone } else { Signals::default() };
    missing(Signals::CANCEL_REQUESTED, activity.cancel_requested) | standalone
}
