//! The error of a call: its status, its message, and whether a retry can help.

use std::{fmt, io, time::Duration};

use super::status::Status;

/// The result of fallible functions of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed call. The message names the cause and, if possible, the next step. It contains no secret.
///
/// Boxed, so that a result without an error fits into registers: recording takes only about ten nanoseconds.
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
    /// Creates an error that the library itself detected.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        let retryable = matches!(status, Status::Unavailable | Status::Timeout | Status::LocalLimit);
        let message = message.into();
        Self(Box::new(Parts { status, message, grpc_code: None, retryable, retry_after: None }))
    }

    /// Creates the error for an invalid argument.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(Status::InvalidArgument, message)
    }

    /// Creates the error for an invalid option, variable or file.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Status::Config, message)
    }

    /// Creates the error for a descriptor that can't be created.
    pub fn no_descriptor(purpose: &str, why: &io::Error) -> Self {
        let message =
            format!("no descriptor for the {purpose}: {why}; raise the limit of open files (ulimit -n)");
        Self::new(Status::LocalLimit, message)
    }

    /// Sets the gRPC code that the server answered.
    pub fn with_grpc_code(mut self, code: i32) -> Self {
        self.0.grpc_code = Some(code);
        self
    }

    /// Marks the error as temporary, with the earliest time for a retry.
    pub fn temporary(mut self, retry_after: Option<Duration>) -> Self {
        self.0.retryable = true;
        self.0.retry_after = retry_after;
        self
    }

    /// Appends a clause to the message: a reason, a circumstance or a remedy.
    pub fn with_context(mut self, more: impl fmt::Display) -> Self {
        self.0.message = format!("{}; {more}", self.0.message);
        self
    }

    /// Puts a subject before the message, for example whose answer it is about.
    pub fn prefixed(mut self, subject: &str) -> Self {
        self.0.message = format!("{subject} {}", self.0.message);
        self
    }

    /// Returns the error of a wait that timed out: the last error, if there was one, and what was awaited.
    pub fn out_of_time(why: Option<Error>, what: &str) -> Self {
        match why {
            Some(error) => error.with_context(what),
            None => Error::new(Status::Timeout, what),
        }
    }

    /// Changes the status. The new status decides whether a retry can help.
    pub fn as_status(self, status: Status) -> Self {
        let mut other = Self::new(status, self.0.message);
        other.0.grpc_code = self.0.grpc_code;
        other
    }

    /// Returns the status.
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the gRPC code, if a server answered.
    pub fn grpc_code(&self) -> Option<i32> {
        self.0.grpc_code
    }

    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// Returns how long to wait before a retry.
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
