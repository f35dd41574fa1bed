//! The state of one open activity: the facts about it, the next request, and the signals for the holder.
//!
//! Nothing here waits, sends, or reads a clock. The caller passes each event with its time, and the state returns the
//! next step. So each rule of the lease, the throttle and the pulse can be tested without threads.
//!
//! | file | what it does |
//! |---|---|
//! | `holder` | the functions for the holder: record, read, flush, end |
//! | `requests` | the functions for the scheduler: the next request, and its outcome |
//! | `encoder` | the details that wait for the codec |
//! | `server_view` | the timeouts in force, reasons, and the news of long polls |
//! | `stall` | missing progress, and the status text |
//! | `give_up` | abandons a try that delays a waiting call |
//! | `lease`, `records`, `try_history` | the values that these change |

mod encoder;
mod give_up;
mod holder;
mod lease;
mod records;
mod requests;
mod server_view;
mod stall;
mod try_history;

use std::{sync::Arc, time::Duration};

pub use give_up::WaitingCall;
pub use holder::encode_details;
pub use server_view::{Followed, ServerInfo};

use super::{address::ActivityAddress, options::OpenOptions, schedule::Schedule, stall_options::StallAction};
use crate::{
    client::{Acknowledgement, Found, rpc_error::RpcError},
    model::{
        attempt::{Ids, Subject, Target},
        details::{About, Details},
        encoded::Encoded,
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
    },
    sys::clock::Moment,
    transport::TryTime,
};
use encoder::Encoder;
use lease::Lease;
use records::{BeatReason, RecordSequence};
use server_view::{DeadlineCheck, ServerView};
use stall::Extras;
pub use stall::StallFacts;
use try_history::TryHistory;

/// The state of an open activity.
#[derive(Debug)]
pub struct Activity {
    address: ActivityAddress,
    /// A hash of the activity's workflow: the server handles the beats of one workflow one at a time.
    pub workflow: u32,
    /// Whether a watch waits for the activity's signals.
    pub watched: bool,
    lifecycle: Lifecycle,
    /// Whether beats are sent without records.
    pulse: bool,
    require_encoded: bool,
    verify: bool,
    /// Whether an ending call has found the activity over, or has ended it.
    is_finished: bool,
    /// Whether an ending call failed with an error other than NOT_FOUND. That call may have ended the activity.
    has_failed_to_end: bool,
    in_flight: bool,
    /// Whether the try in flight must be given up because it delays a waiting call.
    is_given_up: bool,
    timeout_lookup: TimeoutLookup,
    deadline_check: DeadlineCheck,
    /// Whether the scheduler has noted that no progress is made.
    is_stalled: bool,
    extras: Option<Box<Extras>>,
    /// The signals in the server's last answer. Cancel and reset stay set.
    asked: Signals,
    /// The signals that were published last.
    published: Signals,
    /// Counts the publications, so that an older reading doesn't replace a newer one.
    publications: u32,
    records: RecordSequence,
    /// The newest details that may be sent; empty if there are none. `None` if it isn't known whether the server holds details.
    details: Option<Encoded>,
    /// Encodes the records, if there is a codec.
    encoder: Option<Box<Encoder>>,
    initial_details: InitialDetails,
    /// What the server has described, if the activity has a deadline, is followed, or was described.
    server: Option<Box<ServerView>>,
    lease: Lease,
    tries: TryHistory,
    /// `LONG_AGO` before the first send.
    last_send: Moment,
    /// When the try in flight, or the last one, began.
    try_began: Moment,
    last_progress: Moment,
    /// A `touch`, until a flush counts it as a record.
    touch: BeatReason,
    deadline: Moment,
    due: Moment,
    counts: Counts,
}

/// Whether the holder may still use the activity.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lifecycle {
    Open,
    /// An ending call is in progress.
    Ending,
    /// There is no activity: nothing is ever sent.
    Inactive,
    /// This handle has ended the activity.
    Ended,
    /// The server answered that the activity is over.
    Gone,
}

/// Whether to ask the server for the heartbeat timeout.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeoutLookup {
    /// The timeout is known, or the server doesn't report it.
    NotNeeded,
    AfterNextBeat,
    Due,
    /// The request is in flight. Beats don't wait for it.
    InFlight,
}

/// The details that the server held when the activity was opened.
#[derive(Debug)]
enum InitialDetails {
    Unknown,
    /// Not known yet; a call waits for them.
    Wanted,
    /// Shared, so that the details aren't copied while the activity is locked.
    Known(Option<Arc<Details>>),
}

/// The activity's counters. Packed, so that a slot of the registry fits into four cache lines.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Records that the holder made.
    pub records: u64,
    /// Beats that the server acknowledged.
    pub beats: u32,
    /// Tries that failed.
    pub failed_tries: u32,
    /// Leases that were lost and regained.
    pub leases_regained: u32,
}

/// What the scheduler must do next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send a beat.
    Beat {
        /// The number of unsent records that these details replaced.
        replaced: u64,
        /// Where the beat is sent.
        target: Target,
        /// `None` only if the server holds no details that this would erase.
        details: Option<Encoded>,
        /// The time limits of the try.
        time: TryTime,
    },
    /// Ask the server for the details that it holds.
    Describe {
        /// The activity to describe.
        subject: Subject,
        /// The time limits of the try.
        time: TryTime,
    },
    /// Examine the activity again at this time.
    At(Moment),
    /// Wait for a wake-up.
    Nothing,
}

/// The outcome of a request.
pub enum Outcome {
    /// The server acknowledged a beat.
    Acknowledged(Acknowledgement),
    /// The server described the attempt.
    Described(Box<Found>),
    /// The request failed.
    Failed(RpcError),
    /// The request was given up because it delayed a waiting call.
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

/// What an ending call needs.
pub struct End {
    /// Where the call is sent.
    pub target: Target,
    /// Details that the server hasn't acknowledged.
    pub unsent: Option<Encoded>,
    /// Whether to verify an unknown outcome.
    pub verify: bool,
}

/// Signals for the watches.
pub struct Publication {
    /// The current signals.
    pub signals: Signals,
    /// The number of the publication; a greater one is newer.
    pub number: u32,
    /// When the signals change next by time alone.
    pub next_change: Moment,
}

/// A change of signals.
pub struct SignalChange {
    /// The current signals.
    pub signals: Signals,
    /// The previous signals.
    pub before: Signals,
    /// The activity's ids; empty when they can't be read.
    pub ids: Ids,
    /// The last error.
    pub why: Option<String>,
    /// What happens in a stall.
    pub stall_action: StallAction,
}

/// The facts of `thb_activity_get_info`, except the signals.
#[derive(Debug, PartialEq)]
pub struct Info {
    /// The attempt, from 1; 0 when unknown.
    pub attempt: i32,
    /// `token`, `derived_token` or `ids`, once known.
    pub addressed_by: Option<&'static str>,
    /// `open`, `ending`, `ended`, `gone` or `inactive`.
    pub state: &'static str,
    /// The heartbeat timeout; zero when unknown or none.
    pub heartbeat_timeout: Duration,
    /// What is left of the lease, if there is one.
    pub lease_left: Option<Duration>,
    /// The time since the last acknowledged beat was sent.
    pub since_acknowledged: Option<Duration>,
    /// Whether a record isn't acknowledged.
    pub pending: bool,
    /// How long details have waited for the codec.
    pub unencoded: Option<Duration>,
    /// The time until the next beat.
    pub next_beat: Option<Duration>,
    /// The activity's counters.
    pub counts: Counts,
    /// The last error.
    pub last_error: Option<Error>,
    /// What the server has described.
    pub server: ServerInfo,
    /// What the work is doing, as its holder has reported; empty if it hasn't.
    pub status: String,
    /// How long nothing was recorded, not counting time that doesn't count for a stall.
    pub since_progress: Duration,
}

impl Activity {
    /// Opens an activity at `now`.
    pub fn open(token: &[u8], mut options: OpenOptions, now: Moment) -> Result<Self> {
        let address = ActivityAddress::given(token, &mut options)?;
        if options.require_encoded
            && !options.has_codec
            && let Some(details) = &options.initial_details
        {
            details.refuse_readable("initial_details")?;
        }
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let server = ServerView::of(&options, now).map(Box::new);
        let about = About { attempt: address.attempt_number(), ..About::default() };
        let initial_details =
            options.initial_details.map(|details| Details::described(Some(details), about)).transpose()?;
        let asks_for_timeout = options.heartbeat_timeout.is_zero() && address.ids().is_some();
        let mut activity = Activity {
            workflow: address.workflow(),
            address,
            watched: false,
            is_finished: false,
            lifecycle: Lifecycle::Open,
            pulse: options.pulse,
            require_encoded: options.require_encoded,
            verify: options.verify,
            has_failed_to_end: false,
            in_flight: false,
            is_given_up: false,
            timeout_lookup: TimeoutLookup::NotNeeded,
            is_stalled: false,
            extras: Extras::of(ms(options.cancel_poll), ms(options.stall_timeout), &options.stall),
            deadline_check: DeadlineCheck::Needed,
            asked: Signals::default(),
            published: Signals::default(),
            publications: 0,
            records: RecordSequence::default(),
            details: None,
            encoder: options.has_codec.then(|| Box::new(Encoder::new())),
            initial_details: InitialDetails::Unknown,
            server,
            lease: Lease::new(options.heartbeat_timeout, now.earlier(options.age)),
            tries: TryHistory::default(),
            last_send: Moment::LONG_AGO,
            try_began: Moment::LONG_AGO,
            last_progress: now,
            touch: BeatReason::None,
            deadline: options.attempt_remaining.map_or(Moment::NEVER, |left| now.later(left)),
            due: Moment::NEVER,
            counts: Counts::default(),
        };
        if let Some(details) = initial_details {
            activity.take_over(details, now);
        }
        // The pulse's interval depends on the heartbeat timeout, so that is fetched first.
        (activity.timeout_lookup, activity.due) = match (asks_for_timeout, activity.pulse) {
            (true, true) => (TimeoutLookup::Due, now),
            (true, false) => (TimeoutLookup::AfterNextBeat, Moment::NEVER),
            (false, true) => (TimeoutLookup::NotNeeded, activity.first_pulse().max(now)),
            (false, false) => (TimeoutLookup::NotNeeded, activity.deadline_question()),
        };
        Ok(activity)
    }

    /// Opens an inactive activity. Its details are empty, its signals never change, and it is never due. `number` is
    /// unique among the inactive activities.
    pub fn inactive(number: u64, now: Moment) -> Result<Self> {
        let ids = Ids { run_id: "inactive".into(), activity_id: number.to_string(), ..Ids::default() };
        let initial_details = Some(Payloads::default());
        let options = OpenOptions { ids: Some(ids), initial_details, ..OpenOptions::default() };
        let (lifecycle, records) = (Lifecycle::Inactive, RecordSequence::of_inactive());
        Ok(Activity { lifecycle, records, ..Self::open(&[], options, now)? })
    }

    /// Returns whether there is no activity, so that nothing is ever sent.
    pub fn is_inactive(&self) -> bool {
        self.lifecycle == Lifecycle::Inactive
    }

    /// Returns the bytes that are unique among open activities: the task token, or the ids.
    pub fn key(&self) -> &[u8] {
        self.address.key()
    }

    /// Returns when the scheduler must examine the activity next.
    pub fn due(&self) -> Moment {
        self.due.min(self.encoding_due()).min(self.stall_due())
    }

    /// Returns when the scheduler must begin to encode details.
    pub fn encoding_due(&self) -> Moment {
        let encoder = self.encoder.as_ref().filter(|_| !self.is_over());
        encoder.map_or(Moment::NEVER, |encoder| encoder.due())
    }

    fn schedule(&self) -> Schedule {
        let poll_ms = match &self.extras {
            Some(extras) if !self.needs_no_poll() => extras.poll_ms,
            _ => 0,
        };
        let poll = Duration::from_millis(poll_ms.into());
        Schedule::new(self.lease.timeout(), poll, self.tries.longest_answer())
    }

    /// Returns when the first beat of the pulse is due, or the question that must precede it.
    fn first_pulse(&self) -> Moment {
        let schedule = self.schedule();
        let looks_first = !self.knows_details() && !self.lease.timeout().is_zero();
        let pause = if looks_first { schedule.first_look() } else { schedule.first_pulse() };
        self.no_later_than_deadline_check(self.lease.start().later(pause))
    }

    fn has_sent(&self) -> bool {
        self.last_send != Moment::LONG_AGO
    }

    /// Returns whether the details that the next beat should carry are known.
    fn knows_details(&self) -> bool {
        self.details.is_some()
    }

    /// Returns the details for a beat: none only if the server holds none that this would erase.
    fn details_to_send(&self) -> Option<Encoded> {
        self.details.clone().filter(|details| !details.is_empty())
    }

    /// Makes the pulse resend the details that the server holds now, which are newer than those from the hand-off. Records
    /// are kept.
    fn keep(&mut self, held: &Details) {
        let is_something = !held.payloads().encoded().is_empty();
        if self.counts.records == 0 && is_something || !self.knows_details() {
            self.details = Some(Encoded::held_by_server(held.payloads().clone()));
        }
        if is_something && let Some(encoder) = &mut self.encoder {
            encoder.forget_initial();
        }
    }

    /// Stores the details that a parent handed over. Without the codec, only what the server itself returned is sent again.
    fn take_over(&mut self, details: Details, now: Moment) {
        let payloads = details.payloads().clone();
        self.seed(details);
        if let Some(encoder) = &mut self.encoder
            && payloads.needs_codec()
        {
            self.details = None;
            encoder.take_initial(payloads, now);
        }
    }

    /// Stores the details that the server held at the start. Newer records are kept.
    fn seed(&mut self, details: Details) {
        if !self.knows_details() {
            let is_empty = details.values().is_empty();
            let held = if is_empty { Payloads::default() } else { details.payloads().clone() };
            self.details = Some(Encoded::held_by_server(held));
        }
        let is_nothing = details.payloads().encoded().is_empty() && details.about() == About::default();
        self.initial_details = InitialDetails::Known((!is_nothing).then(|| Arc::new(details)));
    }
}

#[cfg(test)]
mod tests;
