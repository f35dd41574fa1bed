//! What the server reports about the activity besides the answers to beats: the timeouts in force, who requested a
//! cancellation or a pause, and the news of long polls.

use std::time::Duration;

use super::{Activity, BeatReason, Lifecycle, TimeoutLookup};
use crate::{
    activity::options::OpenOptions,
    client::{
        admit::check_attempt,
        description::{Description, State},
    },
    model::{
        attempt::Ids,
        conditions::{Conditions, Reasons},
        signals::Signals,
        status::Status,
    },
    sys::clock::Moment,
};

/// What the server has reported. On the heap, because many activities are never described.
#[derive(Debug)]
pub struct ServerView {
    /// When the attempt started; `LONG_AGO` if that isn't known.
    started: Moment,
    /// `None` before the first description.
    conditions: Option<Conditions>,
    /// From the workflow's history, which shows them before a description does.
    workflow_reasons: Reasons,
    following: Following,
    /// Whether beats at the interval of `cancel_poll` aren't needed while long polls show changes.
    poll_is_fallback: bool,
    /// News, which the answer to a beat will show as signals.
    pub(super) news: BeatReason,
}

/// Whether long polls show changes of the activity.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Following {
    Off,
    /// They begin as soon as the run of the activity is known.
    Wanted,
    /// They begin, or continue, as soon as the limits allow it.
    Waiting,
    On,
}

/// Whether the attempt's deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DeadlineCheck {
    /// The server is asked when the deadline has passed. An operator may have moved it.
    Needed,
    /// It has passed, and the server has confirmed it.
    Passed,
    /// The server doesn't describe the activity.
    Impossible,
}

/// An activity for a long poll.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// The activity, with its run.
    pub ids: Ids,
    /// The event that scheduled it in its workflow's history, if known.
    pub scheduled_event_id: Option<i64>,
}

/// The facts of `thb_activity_get_info` that come from the server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerInfo {
    /// Whether long polls show changes.
    pub is_following: bool,
    /// Whether the timeouts are those that the server has described. Otherwise they come from the options of open.
    pub is_described: bool,
    /// The start-to-close timeout; `None`: unknown.
    pub start_to_close_timeout: Option<Duration>,
    /// The schedule-to-close timeout; `None`: unknown.
    pub schedule_to_close_timeout: Option<Duration>,
    /// Why the cancellation or the pause was requested.
    pub reasons: Reasons,
}

impl ServerView {
    /// Creates the view of an attempt that started then, if that is known.
    fn new(started: Moment) -> Self {
        ServerView {
            started,
            conditions: None,
            workflow_reasons: Reasons::default(),
            following: Following::Off,
            poll_is_fallback: false,
            news: BeatReason::None,
        }
    }

    /// Creates what the options need; `None` if that is nothing.
    pub(super) fn of(options: &OpenOptions, now: Moment) -> Option<Self> {
        let follows = options.follow_server;
        (follows || options.attempt_remaining.is_some()).then(|| ServerView {
            following: if follows { Following::Wanted } else { Following::Off },
            poll_is_fallback: options.cancel_poll_is_fallback,
            ..Self::new(now.earlier(options.age))
        })
    }

    /// Returns the facts for the holder.
    pub fn info(&self) -> ServerInfo {
        let conditions = self.conditions.clone().unwrap_or_default();
        let (described, workflow) = (conditions.reasons, self.workflow_reasons.clone());
        ServerInfo {
            is_following: self.following == Following::On,
            is_described: self.conditions.is_some(),
            start_to_close_timeout: conditions.start_to_close_timeout,
            schedule_to_close_timeout: conditions.schedule_to_close_timeout,
            reasons: Reasons {
                cancel_reason: described.cancel_reason.or(workflow.cancel_reason),
                cancel_identity: described.cancel_identity.or(workflow.cancel_identity),
                ..described
            },
        }
    }
}

impl Activity {
    /// Returns whether long polls should begin, and can: the run is known.
    pub fn may_be_followed(&self) -> bool {
        let is_wanted = |view: &ServerView| view.following == Following::Wanted;
        self.lifecycle == Lifecycle::Open
            && self.server.as_deref().is_some_and(is_wanted)
            && self.address.ids().is_some_and(|ids| !ids.run_id.is_empty())
    }

    /// Returns the activity for a long poll, once, if that should begin. It waits for [`Activity::note_polled`].
    pub fn begin_following(&mut self) -> Option<Followed> {
        if !self.may_be_followed() {
            return None;
        }
        let ids = self.address.ids()?;
        self.server.as_mut()?.following = Following::Waiting;
        Some(Followed { ids, scheduled_event_id: self.address.scheduled_event_id() })
    }

    /// Notes whether a long poll follows the activity now, or waits for a limit. Returns the same as [`Activity::record`].
    pub fn note_polled(&mut self, is_polled: bool, now: Moment) -> bool {
        let Some(view) = &mut self.server else { return false };
        if !matches!(view.following, Following::Waiting | Following::On) {
            return false;
        }
        view.following = if is_polled { Following::On } else { Following::Waiting };
        !is_polled && view.poll_is_fallback && self.advance_to_usual_due(now)
    }

    /// Notes that no long poll follows the activity any more. Returns the same as [`Activity::record`].
    pub fn stop_following(&mut self, now: Moment) -> bool {
        let Some(view) = &mut self.server else { return false };
        view.following = Following::Off;
        view.poll_is_fallback && self.advance_to_usual_due(now)
    }

    /// Returns whether long polls replace the beats that `cancel_poll` requires.
    pub(super) fn needs_no_poll(&self) -> bool {
        let is_replaced = |view: &ServerView| view.poll_is_fallback && view.following == Following::On;
        self.server.as_deref().is_some_and(is_replaced)
    }

    /// Returns whether the activity is followed, and no description has shown its timeouts, or why it is paused.
    pub fn lacks_description(&self) -> bool {
        let is_paused = self.asked.contains(Signals::PAUSED);
        let lacks = |view: &ServerView| {
            let is_shown = |shown: &Conditions| shown.paused || !is_paused;
            view.following == Following::On && !view.conditions.as_ref().is_some_and(is_shown)
        };
        self.lifecycle == Lifecycle::Open && self.server.as_deref().is_some_and(lacks)
    }

    /// Requests a beat, because its answer will contain new signals. Returns the same as [`Activity::record`].
    pub fn request_signals(&mut self, now: Moment) -> bool {
        if self.lifecycle != Lifecycle::Open {
            return false;
        }
        self.view().news = BeatReason::Unsent;
        self.advance_due(now)
    }

    /// Notes the reasons of the workflow's cancellation, which its code may pass on to the activity.
    pub fn note_workflow_reasons(&mut self, reasons: &Reasons) {
        self.view().workflow_reasons = reasons.clone();
    }

    /// Applies a description that isn't the answer to a request of this activity. With `has_news`, a beat is requested in any
    /// case. Returns the same as [`Activity::record`].
    pub fn observe(&mut self, description: &Description, has_news: bool, now: Moment) -> bool {
        if self.lifecycle != Lifecycle::Open {
            return false;
        }
        let conditions = &description.conditions;
        let is_this_attempt = match check_attempt(self.address.attempt(), description) {
            Ok(()) => description.state == State::Running,
            // An earlier attempt shows only that the description is out of date.
            Err(other) if other.error.status() != Status::NotFound => return false,
            Err(_) => false,
        };
        let mut has_news = has_news || !is_this_attempt;
        if is_this_attempt {
            let known = self.server.as_ref().and_then(|view| view.conditions.as_ref());
            let known = known.map(|known| (known.paused, known.cancel_requested)).unwrap_or((
                self.asked.contains(Signals::PAUSED),
                self.asked.contains(Signals::CANCEL_REQUESTED),
            ));
            // Compared with the last description, because the answers of beats may show only one of both.
            has_news |= known != (conditions.paused, conditions.cancel_requested);
            self.apply(conditions.clone(), now);
        }
        if has_news { self.request_signals(now) } else { self.advance_to_usual_due(now) }
    }

    /// Applies the conditions in force.
    pub(super) fn apply(&mut self, conditions: Conditions, now: Moment) {
        if let Some(timeout) = conditions.heartbeat_timeout {
            self.lease.set_timeout(timeout);
        }
        let limit = conditions.attempt_limit;
        let view = self.view();
        view.conditions = Some(conditions);
        if let Some(limit) = limit
            && view.started != Moment::LONG_AGO
        {
            self.deadline = view.started.later(limit);
        }
        self.deadline_check =
            if now >= self.deadline { DeadlineCheck::Passed } else { DeadlineCheck::Needed };
    }

    /// Returns when the server must be asked whether the attempt's deadline has passed.
    pub(super) fn deadline_question(&self) -> Moment {
        let is_asked = self.deadline_check == DeadlineCheck::Needed
            && self.timeout_lookup == TimeoutLookup::NotNeeded
            && self.deadline != Moment::NEVER
            && self.address.ids().is_some();
        if is_asked { self.deadline } else { Moment::NEVER }
    }

    /// Returns whether news has arrived after which no beat was acknowledged.
    #[inline]
    pub(super) fn has_server_news(&self) -> bool {
        self.server.as_ref().is_some_and(|view| view.news != BeatReason::None)
    }

    fn view(&mut self) -> &mut ServerView {
        self.server.get_or_insert_with(|| Box::new(ServerView::new(Moment::LONG_AGO)))
    }
}
