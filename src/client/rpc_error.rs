//! What a try that failed means: which status it is, and what trying again can do.

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
    transport::Miss,
};

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cure {
    /// None: the same request gets the same answer.
    None,
    /// Trying again.
    Retry,
    /// Trying again later, for the server is asking for less.
    RetrySlowly,
    /// Other credentials, which may come at any time: who beats in the background goes on trying.
    Renewal,
}

/// A try that failed, understood.
#[derive(Debug)]
pub struct Setback {
    /// For the caller.
    pub error: Error,
    /// Whether and how to try again.
    pub cure: Cure,
    /// Whether the request may have been applied all the same.
    pub perhaps_applied: bool,
    /// Whether the try ran out of its time.
    pub late: bool,
    /// Whether another request found its connection dead, which says nothing of how this one would have gone.
    pub aborted: bool,
}

impl Setback {
    /// An error that the server answered.
    pub fn from_answer(answer: &tonic::Status) -> Self {
        use Cure::{None, Renewal, Retry, RetrySlowly};

        let detail = Detail::of(answer);
        let (status, cure, perhaps_applied) = match answer.code() {
            Code::NotFound if detail.is::<NamespaceNotFoundFailure>() => {
                (Status::NamespaceNotFound, None, false)
            }
            Code::NotFound if detail.is::<NotFoundFailure>() => (Status::NotFound, None, false),
            // Not Temporal's own answer: a gateway's, for example. See `is_unproven_end`.
            Code::NotFound => (Status::Unavailable, None, false),
            Code::FailedPrecondition if detail.is::<NamespaceNotActiveFailure>() => {
                (Status::NamespaceNotActive, Retry, false)
            }
            Code::FailedPrecondition | Code::AlreadyExists => (Status::FailedPrecondition, None, false),
            Code::ResourceExhausted if detail.is::<ResourceExhaustedFailure>() => {
                (Status::ResourceExhausted, RetrySlowly, false)
            }
            // Without the detail it is the size of the message, which stays what it is.
            Code::ResourceExhausted => (Status::ResourceExhausted, None, false),
            Code::InvalidArgument => (Status::InvalidArgument, None, false),
            Code::Unauthenticated => (Status::Unauthenticated, Renewal, false),
            Code::PermissionDenied => (Status::PermissionDenied, None, false),
            Code::Unimplemented => (Status::Unimplemented, None, false),
            Code::OutOfRange | Code::Ok => (Status::ServerError, None, false),
            Code::DeadlineExceeded => (Status::Timeout, Retry, true),
            // CANCELLED is a connection that is being closed; nobody cancelled anything.
            Code::Unavailable | Code::Cancelled => (Status::Unavailable, Retry, true),
            Code::Unknown | Code::Internal | Code::Aborted | Code::DataLoss => {
                (Status::ServerError, Retry, true)
            }
        };
        let mut error = Error::new(status, describe(answer)).with_grpc_code(answer.code() as i32);
        if let Some(step) = next_step(status) {
            error = error.because(step);
        }
        let is_final = matches!(cure, None | Renewal) && status != Status::Unavailable;
        Setback {
            error: if is_final { error } else { error.temporary(Option::None) },
            cure,
            perhaps_applied,
            late: false,
            aborted: false,
        }
    }
}

impl Setback {
    /// An error for which there is no cure.
    pub fn last(error: Error) -> Self {
        Setback { error, cure: Cure::None, perhaps_applied: false, late: false, aborted: false }
    }

    /// Whether the answer was NOT_FOUND without Temporal's status detail. It doesn't prove that the activity is over, and a
    /// repeated request may get it again: [`crate::client::Client`] describes the activity before it tries again.
    pub fn is_unproven_end(&self) -> bool {
        self.error.status() == Status::Unavailable && self.error.grpc_code() == Some(Code::NotFound as i32)
    }

    /// The same with more said.
    pub fn because(self, more: impl fmt::Display) -> Self {
        Setback { error: self.error.because(more), ..self }
    }

    /// A response that isn't the method's.
    pub fn unreadable(method: &str, why: &DecodeError) -> Self {
        let message = format!("the server's answer to {method} can't be read: {why}");
        Setback { perhaps_applied: true, ..Setback::last(Error::new(Status::ServerError, message)) }
    }
}

impl From<Setback> for Error {
    fn from(setback: Setback) -> Self {
        setback.error
    }
}

impl From<Miss> for Setback {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Refused(answer) => Setback::from_answer(&answer),
            Miss::Unsent(error) => {
                let cure = match error.status() {
                    Status::Tls | Status::Unauthenticated | Status::PermissionDenied => Cure::Renewal,
                    Status::TooLarge | Status::Internal => Cure::None,
                    _ => Cure::Retry,
                };
                Setback { error, cure, perhaps_applied: false, late: false, aborted: false }
            }
            // It was sent again at once, as it was.
            Miss::Compressed => {
                Setback::last(Error::new(Status::Unimplemented, "the server can't decompress requests"))
            }
            Miss::Unseen(error) => {
                Setback { error, cure: Cure::Retry, perhaps_applied: false, late: false, aborted: false }
            }
            Miss::Lost(error) => {
                Setback { error, cure: Cure::Retry, perhaps_applied: true, late: false, aborted: false }
            }
            Miss::Aborted(error) => {
                Setback { error, cure: Cure::Retry, perhaps_applied: true, late: false, aborted: true }
            }
            Miss::Late { sent } => Setback {
                error: Error::new(Status::Timeout, "no answer from the server in time"),
                cure: Cure::Retry,
                perhaps_applied: sent,
                late: true,
                aborted: false,
            },
        }
    }
}

/// What to do about credentials that the server doesn't like.
fn next_step(status: Status) -> Option<&'static str> {
    match status {
        Status::Unauthenticated => {
            Some("give it a valid key: api_key, or api_key_path, which is read again when it changes")
        }
        Status::PermissionDenied => Some("have it allowed for these credentials, or use others"),
        _ => None,
    }
}

fn describe(answer: &tonic::Status) -> String {
    match answer.message() {
        "" => format!("the server answered {:?} without a word", answer.code()),
        message => format!("the server says: {message}"),
    }
}

/// The type of an answer's first detail: it tells apart errors that share a code.
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

    fn answer(code: Code, detail: &str) -> Setback {
        let detail = prost_types::Any {
            type_url: format!("type.googleapis.com/temporal.api.errordetails.v1.{detail}"),
            value: Vec::new(),
        };
        let details = rpc::Status { details: vec![detail], ..rpc::Status::default() }.encode_to_vec();
        Setback::from_answer(&tonic::Status::with_details(code, "why", details.into()))
    }

    #[test]
    fn the_detail_tells_apart_what_shares_a_code() {
        for (code, detail, status, cure) in [
            (Code::NotFound, "NotFoundFailure", Status::NotFound, Cure::None),
            (Code::NotFound, "NamespaceNotFoundFailure", Status::NamespaceNotFound, Cure::None),
            (Code::FailedPrecondition, "NamespaceNotActiveFailure", Status::NamespaceNotActive, Cure::Retry),
            (Code::FailedPrecondition, "", Status::FailedPrecondition, Cure::None),
            (
                Code::ResourceExhausted,
                "ResourceExhaustedFailure",
                Status::ResourceExhausted,
                Cure::RetrySlowly,
            ),
            (Code::ResourceExhausted, "", Status::ResourceExhausted, Cure::None),
        ] {
            let setback = answer(code, detail);
            assert_eq!((setback.error.status(), setback.cure), (status, cure), "{code:?} {detail}");
            assert_eq!(setback.error.is_retryable(), cure != Cure::None);
            assert_eq!(setback.error.grpc_code(), Some(code as i32));
        }
    }

    #[test]
    fn not_found_without_the_servers_detail_is_no_end() {
        for (detail, unproven) in
            [("", true), ("NotFoundFailure", false), ("NamespaceNotFoundFailure", false), ("Other", true)]
        {
            let setback = answer(Code::NotFound, detail);
            assert_eq!(
                (setback.is_unproven_end(), setback.error.is_retryable()),
                (unproven, unproven),
                "{detail}"
            );
        }
        assert!(!answer(Code::Unavailable, "").is_unproven_end());
    }

    #[test]
    fn only_answers_that_leave_it_open_may_have_been_applied() {
        let open = [
            Code::Cancelled,
            Code::Unknown,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
        ];
        for code in (0..=16).map(Code::from_i32) {
            assert_eq!(answer(code, "").perhaps_applied, open.contains(&code), "{code:?}");
        }
    }
}
