//! What went wrong, why, and whether trying again can help.

use std::{fmt, time::Duration};

use crate::status::Status;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// A call that failed. The message names the cause and, where there is one, the next step; it holds no secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    status: Status,
    message: String,
    grpc_code: Option<i32>,
    retryable: bool,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error found here, not told by the server.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        let retryable = matches!(status, Status::Unavailable | Status::Timeout | Status::LocalLimit);
        Self { status, message: message.into(), grpc_code: None, retryable, retry_after: None }
    }

    /// An argument that is wrong.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// The same, as answered by the server with this gRPC code.
    pub fn with_grpc_code(mut self, code: i32) -> Self {
        self.grpc_code = Some(code);
        self
    }

    /// The same, said to be temporary; with a time before which there is no point in trying again.
    pub fn temporary(mut self, retry_after: Option<Duration>) -> Self {
        self.retryable = true;
        self.retry_after = retry_after;
        self
    }

    /// The same with more said.
    pub fn because(mut self, more: impl fmt::Display) -> Self {
        self.message = format!("{}; {more}", self.message);
        self
    }

    /// For who gives up waiting: the last thing that went wrong, if any did, and what it was that was waited for.
    pub fn out_of_time(why: Option<Error>, what: &str) -> Self {
        match why {
            Some(error) => error.because(what),
            None => Error::new(Status::Timeout, what),
        }
    }

    /// The same under another status, which decides anew whether a retry can help.
    pub fn as_status(self, status: Status) -> Self {
        Self { grpc_code: self.grpc_code, ..Self::new(status, self.message) }
    }

    /// Its kind.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The server's gRPC code, when a server answered.
    pub fn grpc_code(&self) -> Option<i32> {
        self.grpc_code
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// How long to wait before that.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.name().to_string_lossy(), self.message)
    }
}

impl std::error::Error for Error {}
