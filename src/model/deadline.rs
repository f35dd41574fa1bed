//! How long a call may take.

use std::time::Duration;

use crate::{
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::clock::Instant,
};

/// What a caller gives as `timeout_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Never wait: check, send nothing.
    Zero,
    /// At most this long, retries included.
    Within(Duration),
    /// As long as it takes.
    Forever,
}

impl Timeout {
    /// The `timeout_ms` that means forever.
    pub const FOREVER_MS: u32 = u32::MAX;
    /// The longest `timeout_ms` that is a time.
    pub const MAX_MS: u32 = i32::MAX as u32;

    /// Reads a `timeout_ms`.
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

    /// The deadline of a call that starts now; `None` for [`Timeout::Zero`].
    pub fn start(self) -> Option<Deadline> {
        match self {
            Timeout::Zero => None,
            Timeout::Within(time) => Some(Deadline(Instant::now().checked_add(time))),
            Timeout::Forever => Some(Deadline(None)),
        }
    }

    /// The deadline of a call that has to send something. An error for [`Timeout::Zero`].
    pub fn start_sending(self) -> Result<Deadline> {
        let nothing = || Error::new(Status::Timeout, "the timeout is 0: nothing was sent");
        self.start().ok_or_else(nothing)
    }

    /// The deadline of a call that waits for news. [`Timeout::Zero`] polls.
    pub fn start_waiting(self) -> Deadline {
        self.start().unwrap_or(Deadline::within(Duration::ZERO))
    }
}

/// The moment at which a call must be over, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// No later than `time` from now.
    pub fn within(time: Duration) -> Self {
        Deadline(Instant::now().checked_add(time))
    }

    /// What is left of it; [`Duration::MAX`] when there is no end.
    pub fn remaining(self) -> Duration {
        self.0.map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()))
    }

    /// The same, `time` later.
    pub fn later(self, time: Duration) -> Self {
        Deadline(self.0.and_then(|end| end.checked_add(time)))
    }
}
