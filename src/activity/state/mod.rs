//! One open activity: what is known of it, what is to be sent next, and what its holder must know.
//!
//! Nothing here waits, sends, or reads a clock: the caller says what happened and when, and gets what to do. So every rule of the lease, the
//! throttle and the pulse has a test without threads.
//!
//! | file | what it does |
//! |---|---|
//! | `holder` | what the holder calls: record, read, flush, end |
//! | `requests` | what the scheduler calls: the next request, and what became of it |
//! | `give_up` | when a try is given up because it keeps a call waiting |
//! | `lease`, `records`, `try_history` | the values that those change |

mod give_up;
mod holder;
mod lease;
mod records;
mod requests;
mod try_history;

use std::time::Duration;

pub use give_up::WaitingCall;

use super::{address::ActivityAddress, options::OpenOptions, schedule::Schedule};
use crate::{
    client::{Found, rpc_error::RpcError},
    model::{
        attempt::{Ids, Subject, Target},
        details::{About, Details},
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
    },
    sys::clock::Moment,
    transport::TryTime,
};
use lease::Lease;
use records::RecordSequence;
use try_history::TryHistory;

/// An activity that is held open.
#[derive(Debug)]
pub struct Activity {
    address: ActivityAddress,
    /// A hash of its workflow: beats to one workflow wait for each other at the server.
    pub workflow: u32,
    /// Whether a watch waits for its signals.
    pub watched: bool,
    lifecycle: Lifecycle,
    /// Whether beats go out without records.
    pulse: bool,
    require_encoded: bool,
    verify: bool,
    in_flight: bool,
    /// Whether the try in flight is to be given up, because it keeps a call waiting.
    is_given_up: bool,
    timeout_lookup: TimeoutLookup,
    poll_ms: u32,
    stall_ms: u32,
    /// What the server asked for last. Cancel and reset stay set.
    asked: Signals,
    /// The signals that were published last.
    published: Signals,
    /// How often they were read to be published: an older reading must not replace a newer one.
    publications: u64,
    records: RecordSequence,
    /// The newest details, without values when there are none; `None`: it isn't known yet whether the server holds any.
    details: Option<Payloads>,
    initial_details: InitialDetails,
    lease: Lease,
    tries: TryHistory,
    /// `LONG_AGO` before the first send.
    last_send: Moment,
    /// When the try in flight, or the last one, began.
    try_began: Moment,
    last_progress: Moment,
    deadline: Moment,
    due: Moment,
    counts: Counts,
}

/// Whether the holder may still use the activity.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lifecycle {
    Open,
    /// A call that ends it is under way.
    Ending,
    /// It was ended through this handle.
    Ended,
    /// The server says that it is over.
    Gone,
}

/// Whether the heartbeat timeout has to be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeoutLookup {
    /// It is known, or the server doesn't tell.
    NotNeeded,
    AfterNextBeat,
    Due,
    /// It is under way, and beats don't depend on it.
    InFlight,
}

/// The details that the server held when the activity was opened.
#[derive(Debug)]
enum InitialDetails {
    Unknown,
    /// A call waits for them.
    Wanted,
    Known(Option<Box<Details>>),
}

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Records that the holder made.
    pub records: u64,
    /// Beats that the server acknowledged.
    pub beats: u32,
    /// TryHistory that failed.
    pub failed_tries: u32,
    /// Leases that were lost and regained.
    pub leases_regained: u32,
}

/// What the scheduler is to do now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send a beat, with these details or without.
    Beat {
        /// How many records will never be sent because these details replaced them.
        replaced: u64,
        /// Where to.
        target: Target,
        /// `None` only if there are none to be erased.
        details: Option<Payloads>,
        /// The try's time.
        time: TryTime,
    },
    /// Ask the server for the details that it holds.
    Describe {
        /// Of what.
        subject: Subject,
        /// The try's time.
        time: TryTime,
    },
    /// Come back then.
    At(Moment),
    /// Wait for a wake-up.
    Nothing,
}

/// What became of a request.
pub enum Outcome {
    /// The server acknowledged a beat, and asks for this.
    Acknowledged(Signals),
    /// The server described the attempt.
    Described(Box<Found>),
    /// The request failed.
    Failed(RpcError),
    /// The request was given up, because it kept a call waiting.
    GivenUp,
}

/// What the scheduler does after a request.
#[derive(Debug, PartialEq)]
pub struct Effects {
    /// When the activity is due next.
    pub due: Moment,
    /// The part of the lease that was left at the acknowledgement.
    pub lease_margin: Option<f64>,
}

/// What a call that ends the activity needs to know.
pub struct End {
    /// Where it goes.
    pub target: Target,
    /// Details that the server doesn't have yet.
    pub unsent: Option<Payloads>,
    /// Whether it is to be looked up if it is in doubt.
    pub verify: bool,
}

/// The signals for the watches.
pub struct Publication {
    /// The signals.
    pub signals: Signals,
    /// A greater number is newer.
    pub number: u64,
    /// When time alone changes them next.
    pub next_change: Moment,
}

/// Signals that have changed.
pub struct SignalChange {
    /// Those by now.
    pub signals: Signals,
    /// Those before.
    pub before: Signals,
    /// The activity's ids; empty when they can't be read.
    pub ids: Ids,
    /// The last error.
    pub why: Option<String>,
}

/// The facts of `thb_activity_get_info`, beside the signals.
#[derive(Debug, PartialEq)]
pub struct Info {
    /// The attempt, from 1; 0 when unknown.
    pub attempt: i32,
    /// `token`, `derived_token` or `ids`, once that is known.
    pub addressed_by: Option<&'static str>,
    /// `open`, `ending`, `ended` or `gone`.
    pub state: &'static str,
    /// The heartbeat timeout; zero when unknown or none.
    pub heartbeat_timeout: Duration,
    /// What is left of the lease, where there is one.
    pub lease_left: Option<Duration>,
    /// How long ago the last acknowledged beat was sent.
    pub since_acknowledged: Option<Duration>,
    /// Whether something recorded isn't acknowledged.
    pub pending: bool,
    /// Until the next beat.
    pub next_beat: Option<Duration>,
    /// What has happened so far.
    pub counts: Counts,
    /// The last error.
    pub last_error: Option<Error>,
}

impl Activity {
    /// Opens an activity now.
    pub fn open(token: &[u8], mut options: OpenOptions, now: Moment) -> Result<Self> {
        let address = ActivityAddress::given(token, &mut options)?;
        if options.require_encoded
            && let Some(details) = &options.initial_details
        {
            details.refuse_readable("initial_details")?;
        }
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let initial_details = options.initial_details.map(Details::handed_over).transpose()?;
        let asks_for_timeout = address.ids().is_some() && options.heartbeat_timeout.is_zero();
        let mut activity = Activity {
            workflow: address.workflow(),
            address,
            watched: false,
            lifecycle: Lifecycle::Open,
            pulse: options.pulse,
            require_encoded: options.require_encoded,
            verify: options.verify,
            in_flight: false,
            is_given_up: false,
            timeout_lookup: TimeoutLookup::NotNeeded,
            poll_ms: ms(options.cancel_poll),
            stall_ms: ms(options.stall_timeout),
            asked: Signals::default(),
            published: Signals::default(),
            publications: 0,
            records: RecordSequence::default(),
            details: None,
            initial_details: InitialDetails::Unknown,
            lease: Lease::new(options.heartbeat_timeout, now.earlier(options.age)),
            tries: TryHistory::default(),
            last_send: Moment::LONG_AGO,
            try_began: Moment::LONG_AGO,
            last_progress: now,
            deadline: options.attempt_remaining.map_or(Moment::NEVER, |left| now.later(left)),
            due: Moment::NEVER,
            counts: Counts::default(),
        };
        if let Some(details) = initial_details {
            activity.seed(details);
        }
        // The pulse's interval depends on the heartbeat timeout, so that is fetched first.
        (activity.timeout_lookup, activity.due) = match (asks_for_timeout, activity.pulse) {
            (true, true) => (TimeoutLookup::Due, now),
            (true, false) => (TimeoutLookup::AfterNextBeat, Moment::NEVER),
            (false, true) => (TimeoutLookup::NotNeeded, activity.first_pulse().max(now)),
            (false, false) => (TimeoutLookup::NotNeeded, Moment::NEVER),
        };
        Ok(activity)
    }

    /// What no two activities that are open at once may have in common: the task token, or the ids.
    pub fn key(&self) -> &[u8] {
        self.address.key()
    }

    /// When the scheduler is to look at it next.
    pub fn due(&self) -> Moment {
        self.due
    }

    fn schedule(&self) -> Schedule {
        let poll = Duration::from_millis(self.poll_ms.into());
        Schedule::new(self.lease.timeout(), poll, self.tries.longest_answer())
    }

    /// When the first beat of the pulse is due.
    fn first_pulse(&self) -> Moment {
        self.no_later_than_deadline_check(self.lease.from().later(self.schedule().first_pulse()))
    }

    fn has_sent(&self) -> bool {
        self.last_send != Moment::LONG_AGO
    }

    /// Whether it is known what the server holds, or what it is to hold.
    fn knows_details(&self) -> bool {
        self.details.is_some()
    }

    /// What a beat carries: no details only if there are none to be erased.
    fn details_to_send(&self) -> Option<Payloads> {
        self.details.clone().filter(|details| !details.encoded().is_empty())
    }

    /// Takes the details that the server holds at the start. What was recorded since is newer.
    fn seed(&mut self, details: Details) {
        if !self.knows_details() {
            let is_empty = details.values().is_empty();
            self.details = Some(if is_empty { Payloads::default() } else { details.payloads().clone() });
        }
        let is_nothing = details.payloads().encoded().is_empty() && details.about() == About::default();
        self.initial_details = InitialDetails::Known((!is_nothing).then(|| Box::new(details)));
    }
}

#[cfg(test)]
mod tests;
