//! Timeouts and deadlines of calls.

use std::time::Duration;

use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::clock::Instant,
};

/// The `timeout_ms` of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Never waits: checks the arguments and sends nothing.
    Zero,
    /// At most this long, retries included.
    Within(Duration),
    /// Without limit.
    Forever,
}

impl Timeout {
    /// The `timeout_ms` without limit.
    pub const FOREVER_MS: u32 = u32::MAX;
    /// The longest limited `timeout_ms`.
    pub const MAX_MS: u32 = i32::MAX as u32;

    /// Parses a `timeout_ms`.
    pub fn from_ms(timeout_ms: u32) -> Result<Self> {
        match timeout_ms {
            0 => Ok(Timeout::Zero),
            Self::FOREVER_MS => Ok(Timeout::Forever),
            ms if ms <= Self::MAX_MS => Ok(Timeout::Within(Duration::from_millis(ms.into()))),
            ms => Err(Error::argument(format!(
                "timeout_ms is {ms}: it must be at most {}, or {} (THB_FOREVER)",
                Self::MAX_MS,
                Self::FOREVER_MS
            ))),
        }
    }

    /// Returns the deadline of a call that starts now; `None` for [`Timeout::Zero`].
    pub fn start(self) -> Option<Deadline> {
        match self {
            Timeout::Zero => None,
            Timeout::Within(time) => Some(Deadline(Instant::now().checked_add(time))),
            Timeout::Forever => Some(Deadline(None)),
        }
    }

    /// Returns the deadline of a call that must send a request. Fails for [`Timeout::Zero`].
    pub fn start_sending(self) -> Result<Deadline> {
        let nothing = || Error::new(Status::Timeout, "the timeout is 0: nothing was sent");
        self.start().ok_or_else(nothing)
    }

    /// Returns the deadline of a call that waits for an event. [`Timeout::Zero`] polls.
    pub fn start_waiting(self) -> Deadline {
        self.start().unwrap_or(Deadline::within(Duration::ZERO))
    }
}

/// The time at which a call must end, if there is a limit.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Creates a deadline `time` from now.
    pub fn within(time: Duration) -> Self {
        Deadline(Instant::now().checked_add(time))
    }

    /// Returns the remaining time; [`Duration::MAX`] without limit.
    pub fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }
}
