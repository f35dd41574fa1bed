//! What went wrong, why, and whether trying again can help.

use std::{fmt, time::Duration};

use super::status::Status;

/// The result of everything that can fail here.
pub type Result<T> = std::result::Result<T, Error>;

/// A call that failed. The message names the cause and, where there is one, the next step; it holds no secret.
///
/// Boxed, so that a result without an error is passed on in registers: recording takes some ten nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug, PartialEq)]
struct Parts {
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
        let message = message.into();
        Self(Box::new(Parts { status, message, grpc_code: None, retryable, retry_after: None }))
    }

    /// An argument that is wrong.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// A wrong option, variable or file.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Status::Config, message)
    }

    /// The same, as answered by the server with this gRPC code.
    pub fn with_grpc_code(mut self, code: i32) -> Self {
        self.0.grpc_code = Some(code);
        self
    }

    /// The same, said to be temporary; with a time before which there is no point in trying again.
    pub fn temporary(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retryable = true;
        self.0.retry_after = retry_after;
        self
    }

    /// The same with more said.
    pub fn because(mut self, more: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {more}", self.0.message);
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
        let mut other = Self::new(status, self.0.message);
        other.0.grpc_code = self.0.grpc_code;
        other
    }

    /// Its kind.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The server's gRPC code, when a server answered.
    pub fn grpc_code(&self) -> Option<i32> {
        self.0.grpc_code
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long to wait before that.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.status.name().to_string_lossy(), self.0.message)
    }
}

impl std::error::Error for Error {}
