//! The conditions under which the server runs an activity. An operator can change them during an attempt.

use std::time::Duration;

/// The timeouts in force, and what was requested of the activity. `None`: the server doesn't report it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// The heartbeat timeout; zero: none.
    pub heartbeat_timeout: Option<Duration>,
    /// The start-to-close timeout; zero: none.
    pub start_to_close_timeout: Option<Duration>,
    /// The schedule-to-close timeout; zero: none.
    pub schedule_to_close_timeout: Option<Duration>,
    /// How long the attempt may take, from its start to the first of these two timeouts.
    pub attempt_limit: Option<Duration>,
    /// Whether the cancellation was requested.
    pub cancel_requested: bool,
    /// Whether the activity is paused.
    pub paused: bool,
    /// The reasons of the cancellation and of the pause.
    pub reasons: Reasons,
}

/// The reasons of a cancellation and of a pause, as the requests contained them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasons {
    /// Why the cancellation was requested.
    pub cancel_reason: Option<String>,
    /// The identity that requested the cancellation.
    pub cancel_identity: Option<String>,
    /// Why the activity was paused.
    pub pause_reason: Option<String>,
    /// The identity that paused it.
    pub pause_identity: Option<String>,
}
