//! Classifies a failed request: its status, and whether a retry can help.

use std::fmt;

use prost::{DecodeError, Message, Name};
use tonic::Code;

use crate::{
    model::{error::Error, status::Status},
    proto::{
        google::rpc,
        temporal::api::errordetails::v1::{
            NamespaceNotActiveFailure, NamespaceNotFoundFailure, NotFoundFailure, ResourceExhaustedFailure,
        },
    },
    transport::TransportError,
};

/// Whether a retry can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the same request gets the same answer.
    Never,
    /// Yes, after a short pause.
    Soon,
    /// Yes, after at least a second: the server asks for fewer requests.
    Slowly,
    /// Only with other credentials. They may change at any time, so background beats continue.
    WithOtherCredentials,
}

/// The error of a request that got no successful response.
#[derive(Debug)]
pub struct RpcError {
    /// The error for the caller.
    pub error: Error,
    /// Whether to retry the request.
    pub retry: Retry,
    /// Whether the server may have applied the request.
    pub outcome_unknown: bool,
    /// Whether the request timed out without an answer.
    pub timed_out: bool,
    /// Whether the connection ended.
    pub connection_ended: bool,
    /// Whether the connection was aborted because it received nothing while another request waited. This says nothing
    /// about whether this request would have succeeded.
    pub connection_aborted: bool,
}

impl RpcError {
    fn new(error: Error, retry: Retry) -> Self {
        RpcError {
            error,
            retry,
            outcome_unknown: false,
            timed_out: false,
            connection_ended: false,
            connection_aborted: false,
        }
    }

    /// Creates an error that a retry doesn't resolve.
    pub fn permanent(error: Error) -> Self {
        RpcError::new(error, Retry::Never)
    }

    /// Creates an error that a retry may resolve.
    pub fn temporary(error: Error) -> Self {
        RpcError::new(error.temporary(None), Retry::Soon)
    }

    /// Creates the error of a request whose call was cancelled before the answer.
    pub fn cancelled() -> Self {
        let error = Error::new(Status::Timeout, "the call was cancelled before the server answered");
        RpcError { outcome_unknown: true, timed_out: true, ..RpcError::temporary(error) }
    }

    /// Classifies a gRPC status that the server answered.
    pub fn from_status(answer: &tonic::Status) -> Self {
        use Retry::{Never, Slowly, Soon, WithOtherCredentials};

        let detail = Detail::of(answer);
        let (status, retry, outcome_unknown) = match answer.code() {
            Code::NotFound if detail.is::<NamespaceNotFoundFailure>() => {
                (Status::NamespaceNotFound, Never, false)
            }
            Code::NotFound if detail.is::<NotFoundFailure>() => (Status::NotFound, Never, false),
            // Not from Temporal but, for example, from a gateway. The client checks the activity before it retries:
            // see `is_unproven_end`.
            Code::NotFound => (Status::Unavailable, Never, false),
            Code::FailedPrecondition if detail.is::<NamespaceNotActiveFailure>() => {
                (Status::NamespaceNotActive, Soon, false)
            }
            Code::FailedPrecondition | Code::AlreadyExists => (Status::FailedPrecondition, Never, false),
            Code::ResourceExhausted if detail.is::<ResourceExhaustedFailure>() => {
                (Status::ResourceExhausted, Slowly, false)
            }
            // Without the detail, the request or the response is too large, and a retry doesn't change that.
            Code::ResourceExhausted => (Status::ResourceExhausted, Never, false),
            Code::InvalidArgument => (Status::InvalidArgument, Never, false),
            Code::Unauthenticated => (Status::Unauthenticated, WithOtherCredentials, false),
            Code::PermissionDenied => (Status::PermissionDenied, Never, false),
            Code::Unimplemented => (Status::Unimplemented, Never, false),
            Code::OutOfRange | Code::Ok => (Status::ServerError, Never, false),
            Code::DeadlineExceeded => (Status::Timeout, Soon, true),
            // The server answers CANCELLED when it closes a connection. The caller has cancelled nothing.
            Code::Unavailable | Code::Cancelled => (Status::Unavailable, Soon, true),
            Code::Unknown | Code::Internal | Code::Aborted | Code::DataLoss => {
                (Status::ServerError, Soon, true)
            }
        };
        let mut error = Error::new(status, error_message(answer)).with_grpc_code(answer.code() as i32);
        if let Some(remedy) = remedy(status) {
            error = error.with_context(remedy);
        }
        let is_final = matches!(retry, Never | WithOtherCredentials) && status != Status::Unavailable;
        let error = if is_final { error } else { error.temporary(None) };
        RpcError { outcome_unknown, ..RpcError::new(error, retry) }
    }

    /// Creates the error for a response that can't be decoded.
    pub fn undecodable(method: &str, why: &DecodeError) -> Self {
        let message = format!("the server's answer to {method} can't be read: {why}");
        RpcError { outcome_unknown: true, ..RpcError::permanent(Error::new(Status::ServerError, message)) }
    }

    /// Returns whether the answer was NOT_FOUND without Temporal's status detail. This doesn't prove that the activity
    /// is over, and a retry may get the same answer. So [`crate::client::Client`] describes the activity first.
    pub fn is_unproven_end(&self) -> bool {
        self.error.status() == Status::Unavailable && self.error.grpc_code() == Some(Code::NotFound as i32)
    }

    /// Returns whether the answer was over `max_message_bytes`.
    pub fn is_answer_too_large(&self) -> bool {
        self.outcome_unknown && self.error.grpc_code() == Some(Code::OutOfRange as i32)
    }

    /// Appends a clause to the error's message.
    pub fn with_context(self, more: impl fmt::Display) -> Self {
        RpcError { error: self.error.with_context(more), ..self }
    }
}

impl From<RpcError> for Error {
    fn from(error: RpcError) -> Self {
        error.error
    }
}

impl From<TransportError> for RpcError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Status(answer) => RpcError::from_status(&answer),
            TransportError::NotSent(error) => {
                let retry = match error.status() {
                    Status::Tls | Status::Unauthenticated | Status::PermissionDenied => {
                        Retry::WithOtherCredentials
                    }
                    Status::TooLarge | Status::Internal => Retry::Never,
                    _ => Retry::Soon,
                };
                RpcError::new(error, retry)
            }
            TransportError::AnswerTooLarge(error) => RpcError {
                outcome_unknown: true,
                ..RpcError::permanent(error.with_grpc_code(Code::OutOfRange as i32))
            },
            // The transport has already retried the request without compression.
            TransportError::CompressionRefused => {
                RpcError::permanent(Error::new(Status::Unimplemented, "the server can't decompress requests"))
            }
            TransportError::NotProcessed(error) => {
                RpcError { connection_ended: true, ..RpcError::new(error, Retry::Soon) }
            }
            TransportError::OutcomeUnknown(error) => RpcError {
                outcome_unknown: true,
                connection_ended: true,
                ..RpcError::new(error, Retry::Soon)
            },
            TransportError::Aborted(error) => RpcError {
                outcome_unknown: true,
                connection_ended: true,
                connection_aborted: true,
                ..RpcError::new(error, Retry::Soon)
            },
            TransportError::TimedOut { sent } => {
                let error = Error::new(Status::Timeout, "no answer from the server in time");
                RpcError { outcome_unknown: sent, timed_out: true, ..RpcError::new(error, Retry::Soon) }
            }
        }
    }
}

/// Returns the remedy for rejected credentials.
fn remedy(status: Status) -> Option<&'static str> {
    match status {
        Status::Unauthenticated => {
            Some("set a valid key in api_key or api_key_path, a file that is reread when it changes")
        }
        Status::PermissionDenied => Some("grant the permission to these credentials, or use others"),
        _ => None,
    }
}

fn error_message(answer: &tonic::Status) -> String {
    match answer.message() {
        "" => format!("the server answered {:?} without a message", answer.code()),
        message => format!("the server says: {message}"),
    }
}

/// The type of the first detail of a status. It distinguishes errors that share a code.
struct Detail(Option<String>);

impl Detail {
    fn of(answer: &tonic::Status) -> Self {
        let status = rpc::Status::decode(answer.details()).ok();
        Detail(status.and_then(|status| status.details.into_iter().next()).map(|detail| detail.type_url))
    }

    fn is<Failure: Name>(&self) -> bool {
        let name = self.0.as_deref().and_then(|url| url.rsplit('/').next());
        name.is_some_and(|name| name == Failure::full_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: Code, detail: &str) -> RpcError {
        let detail = prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.errordetails.v1.{detail}"),
            value: Vec::new(),
        };
        let details = rpc::Status { details: vec![detail], ..rpc::Status::default() }.encode_to_vec();
        RpcError::from_status(&tonic::Status::with_details(code, "why", details.into()))
    }

    #[test]
    fn detail_distinguishes_errors_with_the_same_code() {
        for (code, detail, status, retry) in [
            (Code::NotFound, "NotFoundFailure", Status::NotFound, Retry::Never),
            (Code::NotFound, "NamespaceNotFoundFailure", Status::NamespaceNotFound, Retry::Never),
            (Code::FailedPrecondition, "NamespaceNotActiveFailure", Status::NamespaceNotActive, Retry::Soon),
            (Code::FailedPrecondition, "", Status::FailedPrecondition, Retry::Never),
            (Code::ResourceExhausted, "ResourceExhaustedFailure", Status::ResourceExhausted, Retry::Slowly),
            (Code::ResourceExhausted, "", Status::ResourceExhausted, Retry::Never),
        ] {
            let rpc_error = answer(code, detail);
            assert_eq!((rpc_error.error.status(), rpc_error.retry), (status, retry), "{code:?} {detail}");
            assert_eq!(rpc_error.error.is_retryable(), retry != Retry::Never);
            assert_eq!(rpc_error.error.grpc_code(), Some(code as i32));
        }
    }

    #[test]
    fn not_found_without_temporals_detail_is_an_unproven_end() {
        for (detail, unproven) in
            [("", true), ("NotFoundFailure", false), ("NamespaceNotFoundFailure", false), ("Other", true)]
        {
            let rpc_error = answer(Code::NotFound, detail);
            assert_eq!(
                (rpc_error.is_unproven_end(), rpc_error.error.is_retryable()),
                (unproven, unproven),
                "{detail}"
            );
        }
        assert!(!answer(Code::Unavailable, "").is_unproven_end());
    }

    #[test]
    fn the_outcome_is_unknown_for_exactly_these_codes() {
        let unknown = [
            Code::Cancelled,
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
        ];
        for code in (0..=16).map(Code::from_i32) {
            assert_eq!(answer(code, "").outcome_unknown, unknown.contains(&code), "{code:?}");
        }
    }
}
