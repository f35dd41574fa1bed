//! One open activity: what is known of it, what is to be sent next, and what its holder must know.
//!
//! Nothing here waits, sends, or asks the time: it is told what happened and when, and says what to do. So every rule of the
//! lease, the throttle and the pulse can be tested by telling a story.
//!
//! | file | what is there |
//! |---|---|
//! | here | what is known |
//! | `holder` | what the holder does: records, reads, flushes, ends |
//! | `sender` | what the sender does: asks for the next step, and tells what came of it |
//! | `rules` | when a beat is due, and what the clock says of the lease and of standing still |

mod holder;
mod rules;
mod sender;

use std::time::Duration;

use super::{address::ActivityAddress, options::OpenOptions};
use crate::{
    model::{
        attempt::{Ids, Subject, Target},
        details::Details,
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
    },
    sys::clock::Moment,
    transport::TryTime,
};

/// An activity that a handle stands for.
#[derive(Debug)]
pub struct Activity {
    address: ActivityAddress,
    /// Which workflow it is of, as a hash: beats to one workflow wait for each other at the server.
    pub workflow: u32,
    /// Whether a watch wants to hear of its signals.
    pub watched: bool,
    /// The signals that those who look on were told last.
    announced: u16,
    lifecycle: Lifecycle,
    pulse: bool,
    require_encoded: bool,
    verify: bool,
    in_flight: bool,
    wants_initial_details: bool,
    /// The heartbeat timeout isn't known, and the server may tell it.
    timeout_lookup: TimeoutLookup,
    failed: u8,
    ran_out: u8,
    /// The longest time that a recent beat took to be acknowledged; 0: none was yet.
    longest_answer_ms: u32,
    timeout_ms: u32,
    poll_ms: u32,
    stall_ms: u32,
    /// What the server asked for last; cancel and reset stick.
    asked: Signals,
    /// Numbers of records: the newest, the one that is under way, the newest acknowledged, the newest that somebody waits for.
    recorded: u32,
    sending: u32,
    acknowledged: u32,
    awaited: u32,
    /// The newest details, without values when there are none; `None`: not known yet whether the server holds any.
    known: Option<Payloads>,
    /// The details that there were when it was opened, once they are known; and whether that is known and there were none.
    initial_details: Option<Box<Details>>,
    has_no_initial_details: bool,
    /// From here on the lease counts: the send of the last acknowledged beat; before that, the start of the attempt.
    lease_from: Moment,
    /// `LONG_AGO` before the first one.
    last_send: Moment,
    last_progress: Moment,
    /// When the attempt's time is over, by what was handed over.
    deadline: Moment,
    due: Moment,
    /// How many records the holder made.
    records: u64,
    counts: Counts,
    /// Why the last try failed. One that can't be retried has been refused for good.
    last_error: Option<Error>,
}

/// Whether the heartbeat timeout has to be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum TimeoutLookup {
    /// No: it is known, or nobody tells.
    No,
    /// After the next beat.
    Later,
    /// This is the moment.
    Now,
    /// It is being asked, and beats can do without the answer.
    UnderWay,
}

/// How it stands with the activity.
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

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Beats that the server acknowledged.
    pub beats: u32,
    /// Tries that failed.
    pub failed_tries: u32,
    /// Leases that were lost and won back.
    pub leases_regained: u32,
}

/// What the sender is to do now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Send a beat, with these details or without.
    Beat {
        /// How many records will never go out, for these came after them.
        replaced: u32,
        /// Where to.
        target: Target,
        /// `None` only where there are none to be erased.
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
    /// Wait to be told.
    Nothing,
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

/// Signals that have changed, for those who look on.
pub struct News {
    /// Those by now.
    pub signals: Signals,
    /// Those before.
    pub before: Signals,
    /// Whose; empty when that can't be read.
    pub ids: Ids,
    /// The last thing that went wrong.
    pub why: Option<String>,
}

/// What can be told about it, beside its signals.
#[derive(Debug, PartialEq)]
pub struct Info {
    /// The attempt, from 1; 0 when unknown.
    pub attempt: i32,
    /// `token`, `made_up_token` or `ids`, once that is known.
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
    /// How many records the holder made.
    pub records: u64,
    /// What has happened so far.
    pub counts: Counts,
    /// The last thing that went wrong.
    pub last_error: Option<Error>,
}

impl Activity {
    /// One that was opened now.
    pub fn open(token: &[u8], mut options: OpenOptions, now: Moment) -> Result<Self> {
        let address = ActivityAddress::given(token, &mut options)?;
        if options.require_encoded
            && let Some(details) = &options.initial_details
        {
            details.refuse_readable("initial_details")?;
        }
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let opening = options.initial_details.map(Details::handed_over).transpose()?;
        let asks = address.ids().is_some() && options.heartbeat_timeout.is_zero();
        let mut activity = Activity {
            workflow: address.workflow(),
            address,
            watched: false,
            announced: 0,
            lifecycle: Lifecycle::Open,
            pulse: options.pulse,
            require_encoded: options.require_encoded,
            verify: options.verify,
            in_flight: false,
            wants_initial_details: false,
            timeout_lookup: if asks { TimeoutLookup::Later } else { TimeoutLookup::No },
            failed: 0,
            ran_out: 0,
            longest_answer_ms: 0,
            timeout_ms: ms(options.heartbeat_timeout),
            poll_ms: ms(options.cancel_poll),
            stall_ms: ms(options.stall_timeout),
            asked: Signals::default(),
            recorded: 0,
            sending: 0,
            acknowledged: 0,
            awaited: 0,
            known: None,
            initial_details: None,
            has_no_initial_details: false,
            lease_from: now.earlier(options.age),
            last_send: Moment::LONG_AGO,
            last_progress: now,
            deadline: options.attempt_remaining.map_or(Moment::NEVER, |left| now.later(left)),
            due: Moment::NEVER,
            records: 0,
            counts: Counts::default(),
            last_error: None,
        };
        if let Some(opening) = opening {
            activity.seed(opening);
        }
        if activity.pulse {
            let first = activity.lease_from.later(activity.schedule().first_pulse());
            activity.due = if asks { now } else { activity.no_later_than_deadline_check(first).max(now) };
            if asks {
                // Who doesn't know how long there is, must know it before he can wait.
                activity.timeout_lookup = TimeoutLookup::Now;
            }
        }
        Ok(activity)
    }

    /// What no two activities that are open at once may have in common: the task token, or the ids.
    pub fn key(&self) -> &[u8] {
        self.address.key()
    }

    /// When the sender is to look at it next.
    pub fn due(&self) -> Moment {
        self.due
    }
}

#[cfg(test)]
mod tests;
