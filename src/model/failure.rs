//! The failure that ends an attempt, built from the caller's JSON.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    error::{Error, Result},
    json::{self, MAX_BYTES, Object},
    payload::{ENCODING_KEY, JSON_ENCODING, Payloads, check_size},
    status::Status,
};
use crate::proto::temporal::api::{
    common::v1::Payload,
    enums::v1::ApplicationErrorCategory,
    failure::v1::{ApplicationFailureInfo, Failure, failure::FailureInfo},
};

/// The default source of a failure.
pub const DEFAULT_SOURCE: &str = "temporal-heartbeat";

const NAME: &str = "failure_json";

/// A failure and the last heartbeat details that are reported with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The failure as the workflow gets it.
    pub failure: Box<Failure>,
    /// Stored with the failure, for the next attempt. `None` keeps the details that the server holds.
    pub heartbeat_details: Option<Payloads>,
}

impl Report {
    /// Reads the JSON of fail.
    pub fn read(json: &[u8]) -> Result<Self> {
        if json.len() > MAX_BYTES {
            return Err(Error::new(
                Status::TooLarge,
                format!(
                    "{NAME} is {} bytes long; at most {MAX_BYTES} are accepted. Record large progress with a heartbeat",
                    json.len()
                ),
            ));
        }
        let report = json::read(NAME, json, |object| {
            Ok(Report {
                heartbeat_details: values(object, "heartbeat_details", "heartbeat_details_payloads")?,
                failure: Box::new(failure(object)?),
            })
        });
        report.map_err(|error| error.as_status(Status::InvalidArgument))
    }

    /// Creates a retryable failure that the library reports itself.
    pub fn of_library(kind: &str, message: String, stack_trace: String) -> Self {
        let info = ApplicationFailureInfo { r#type: kind.to_owned(), ..ApplicationFailureInfo::default() };
        Report {
            failure: Box::new(Failure {
                message,
                source: DEFAULT_SOURCE.to_owned(),
                stack_trace,
                failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
                ..Failure::default()
            }),
            heartbeat_details: None,
        }
    }

    /// Sets the details of the failure.
    pub fn set_details(&mut self, details: Payloads) {
        if let Some(FailureInfo::ApplicationFailureInfo(info)) = &mut self.failure.failure_info {
            info.details = Some(details);
        }
    }

    /// Moves the message and the stack trace of the failure and of its causes into values that a codec can encode. Failures
    /// for which that was done stay as they are.
    pub fn hide_common_attributes(&mut self, message: &str) {
        for failure in failures(&mut self.failure) {
            if failure.encoded_attributes.is_none() {
                let attributes = CommonAttributes {
                    message: failure.message.as_str().into(),
                    stack_trace: failure.stack_trace.as_str().into(),
                };
                *failure.encoded_attributes = Some(attributes.payload());
                message.clone_into(failure.message);
                failure.stack_trace.clear();
            }
        }
    }

    /// Returns all lists of values: the details of the failure and of its causes, and the heartbeat details.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Payloads> {
        let details = failures(&mut self.failure).filter_map(|failure| match failure.failure_info {
            Some(FailureInfo::ApplicationFailureInfo(info)) => info.details.as_mut(),
            None => None,
        });
        details.chain(&mut self.heartbeat_details)
    }

    /// Returns the encoded attributes of the failure and of its causes.
    pub fn encoded_attributes_mut(&mut self) -> impl Iterator<Item = &mut Payload> {
        encoded_attributes_mut(&mut self.failure)
    }

    /// Refuses values that no codec has encoded: in the failure, in its causes, and in the heartbeat details.
    pub fn refuse_readable(&self) -> Result<()> {
        let mut next = Some(&*self.failure);
        while let Some(failure) = next {
            if let Some(FailureInfo::ApplicationFailureInfo(ApplicationFailureInfo {
                details: Some(details),
                ..
            })) = &failure.failure_info
            {
                details.refuse_readable("details")?;
            }
            if let Some(attributes) = &failure.encoded_attributes {
                attributes.refuse_readable("encoded_attributes")?;
            }
            next = failure.cause.as_deref();
        }
        self.heartbeat_details.as_ref().map_or(Ok(()), |details| details.refuse_readable("heartbeat_details"))
    }

    /// Refuses what is over the server's limit, which would otherwise cut or drop it.
    pub fn check_size(&self, limit: usize) -> Result<()> {
        check_size("the failure", "Failure", self.failure.encoded_len(), limit)?;
        self.heartbeat_details
            .as_ref()
            .map_or(Ok(()), |details| details.check_size("heartbeat_details", limit))
    }
}

/// What a codec may hide of a failure, with the names that the SDKs use.
#[derive(Serialize, Deserialize)]
struct CommonAttributes<'a> {
    #[serde(default)]
    message: Cow<'a, str>,
    #[serde(default)]
    stack_trace: Cow<'a, str>,
}

impl CommonAttributes<'_> {
    fn payload(&self) -> Payload {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let metadata = [(ENCODING_KEY.to_owned(), Bytes::from_static(JSON_ENCODING))].into();
        Payload { metadata, data: json.into() }
    }
}

/// Returns the encoded attributes of a failure and of its causes.
pub(crate) fn encoded_attributes_mut(failure: &mut Failure) -> impl Iterator<Item = &mut Payload> {
    failures(failure).filter_map(|failure| failure.encoded_attributes.as_mut())
}

/// Puts decoded attributes into the failure and its causes. Those that can't be read stay as they are.
#[cfg(any(test, feature = "cli"))]
pub fn show_common_attributes(failure: &mut Failure) {
    for failure in failures(failure) {
        let json = failure.encoded_attributes.as_ref().filter(|value| value.encoding() == JSON_ENCODING);
        let attributes = json.and_then(|value| serde_json::from_slice::<CommonAttributes>(&value.data).ok());
        if let Some(CommonAttributes { message, stack_trace }) = attributes {
            *failure.message = message.into_owned();
            *failure.stack_trace = stack_trace.into_owned();
        }
    }
}

/// Returns the failure and its causes.
fn failures(first: &mut Failure) -> impl Iterator<Item = FailureParts<'_>> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let Failure { message, stack_trace, encoded_attributes, failure_info, cause, source: _ } =
            next.take()?;
        next = cause.as_deref_mut();
        Some(FailureParts { message, stack_trace, encoded_attributes, failure_info })
    })
}

/// A failure without its cause.
struct FailureParts<'a> {
    message: &'a mut String,
    stack_trace: &'a mut String,
    encoded_attributes: &'a mut Option<Payload>,
    failure_info: &'a mut Option<FailureInfo>,
}

fn failure(object: &mut Object<'_>) -> Result<Failure> {
    let next_retry_delay = object.integer("next_retry_delay_ms", 0..=i64::from(u32::MAX) * 1000)?;
    let info = ApplicationFailureInfo {
        r#type: object.string("type")?.unwrap_or_default(),
        non_retryable: object.boolean("non_retryable")?.unwrap_or(false),
        details: values(object, "details", "details_payloads")?,
        next_retry_delay: next_retry_delay.map(|ms| prost_types::Duration {
            seconds: ms / 1000,
            nanos: i32::try_from(ms % 1000 * 1_000_000).unwrap_or(0),
        }),
        category: category(object)?.into(),
    };
    Ok(Failure {
        message: object.string("message")?.unwrap_or_default(),
        source: object.string("source")?.unwrap_or_else(|| DEFAULT_SOURCE.to_owned()),
        stack_trace: object.string("stack_trace")?.unwrap_or_default(),
        encoded_attributes: encoded_attributes(object)?,
        cause: object.object("cause", failure)?.map(Box::new),
        // The server accepts only this kind of failure from an activity.
        failure_info: Some(FailureInfo::ApplicationFailureInfo(info)),
    })
}

fn category(object: &mut Object<'_>) -> Result<ApplicationErrorCategory> {
    match object.string("category")?.as_deref() {
        None => Ok(ApplicationErrorCategory::Unspecified),
        Some("benign") => Ok(ApplicationErrorCategory::Benign),
        Some(_) => Err(Error::argument(format!("{} must be \"benign\"", object.at("category")))),
    }
}

/// Returns the message and the stack trace that a codec has encoded: one encoded `Payload` in standard base64.
fn encoded_attributes(object: &mut Object<'_>) -> Result<Option<Payload>> {
    const KEY: &str = "encoded_attributes";
    let Some(text) = object.string(KEY)? else { return Ok(None) };
    let payload = BASE64_STANDARD.decode(text.trim()).ok().and_then(|bytes| Payload::decode(&*bytes).ok());
    let wrong =
        || Error::argument(format!("{} must be the standard base64 of an encoded Payload", object.at(KEY)));
    payload.map(Some).ok_or_else(wrong)
}

/// Returns the JSON values under the key `plain`, or the Payloads under the key `encoded`, in standard base64.
fn values(object: &mut Object<'_>, plain: &'static str, encoded: &'static str) -> Result<Option<Payloads>> {
    match (object.array(plain)?, object.string(encoded)?) {
        (Some(_), Some(_)) => {
            Err(Error::argument(format!("{} and {}: give one", object.at(plain), object.at(encoded))))
        }
        (Some(values), None) if values.is_empty() => Ok(None),
        (Some(values), None) => Ok(Some(Payloads::from_json_values(values.into_iter().map(RawValue::get)))),
        (None, Some(text)) => Payloads::from_base64(&object.at(encoded), &text).map(Some),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(failure: &Failure) -> &ApplicationFailureInfo {
        let Some(FailureInfo::ApplicationFailureInfo(info)) = &failure.failure_info else { panic!() };
        info
    }

    #[test]
    fn every_key_sets_its_field() {
        let report = Report::read(
            br#"{"message":"m","type":"T","non_retryable":true,"details":[1, "two"],"next_retry_delay_ms":1500,
                 "category":"benign","stack_trace":"at x","source":"solver","cause":{"message":"c","details":[null]},"heartbeat_details":[41],
                 "encoded_attributes":"EgFo"}"#,
        )
        .unwrap();
        let failure = &report.failure;
        assert_eq!((failure.message.as_str(), failure.source.as_str()), ("m", "solver"));
        assert_eq!(failure.stack_trace, "at x");
        assert_eq!(failure.encoded_attributes.as_ref().unwrap().data, "h");
        assert_eq!((info(failure).r#type.as_str(), info(failure).non_retryable), ("T", true));
        assert_eq!(info(failure).details, Some(Payloads::from_json_values(["1", "\"two\""])));
        let delay = prost_types::Duration { seconds: 1, nanos: 500_000_000 };
        assert_eq!(info(failure).next_retry_delay, Some(delay));
        assert_eq!(info(failure).category(), ApplicationErrorCategory::Benign);
        let cause = failure.cause.as_ref().unwrap();
        assert_eq!(info(cause).category(), ApplicationErrorCategory::Unspecified);
        assert_eq!((cause.message.as_str(), cause.source.as_str()), ("c", DEFAULT_SOURCE));
        assert_eq!(report.heartbeat_details, Some(Payloads::from_json_values(["41"])));
    }

    #[test]
    fn hidden_attributes_of_all_causes_can_be_shown_again() {
        let json = br#"{"message":"m","stack_trace":"s","cause":{"message":"\u2603","cause":{}}}"#;
        let plain = Report::read(json).unwrap();
        let mut report = plain.clone();
        report.hide_common_attributes("hidden");
        let shown = format!("{:?}", report.failure.cause);
        assert!(shown.contains("hidden") && report.failure.stack_trace.is_empty());
        assert_eq!(report.encoded_attributes_mut().count(), 3);
        let attributes = report.failure.encoded_attributes.clone().unwrap();
        assert_eq!(attributes.data, r#"{"message":"m","stack_trace":"s"}"#);

        let again = report.clone();
        report.hide_common_attributes("twice");
        assert_eq!(report, again);
        show_common_attributes(&mut report.failure);
        for failure in failures(&mut report.failure) {
            *failure.encoded_attributes = None;
        }
        assert_eq!(report, plain);
    }

    #[test]
    fn default_is_a_retryable_failure_that_keeps_the_progress() {
        let report = Report::read(b"").unwrap();
        assert!(!info(&report.failure).non_retryable);
        assert_eq!((report.heartbeat_details, &info(&report.failure).details), (None, &None));
    }

    #[test]
    fn mistakes_are_named_by_their_path() {
        for (json, message) in [
            ("{\"mesage\":\"\"}", "failure_json.mesage: there is no such key"),
            (
                "{\"cause\":{\"heartbeat_details\":[1]}}",
                "failure_json.cause.heartbeat_details: there is no such key",
            ),
            ("{\"cause\":{\"type\":1}}", "failure_json.cause.type must be a string"),
            ("{\"cause\":\"x\"}", "failure_json.cause must be a JSON object"),
            ("{\"details\":{}}", "failure_json.details must be an array"),
            ("{\"details_payloads\":\"?\"}", "failure_json.details_payloads must be the standard base64"),
            ("{\"details_payloads\":\"/w==\"}", "failure_json.details_payloads isn't an encoded"),
            ("{\"details\":[1],\"details_payloads\":\"\"}", "give one"),
            ("{\"next_retry_delay_ms\":-1}", "failure_json.next_retry_delay_ms must be an integer"),
            ("{\"cause\":{\"category\":\"\"}}", "failure_json.cause.category must be \"benign\""),
            ("{\"encoded_attributes\":\"?\"}", "failure_json.encoded_attributes must be the standard base64"),
            ("7", "failure_json must be a JSON object"),
        ] {
            let error = Report::read(json.as_bytes()).unwrap_err();
            assert_eq!(error.status(), Status::InvalidArgument);
            assert!(error.message().contains(message), "{json}: {error}");
        }
    }

    #[test]
    fn text_over_its_limit_is_too_large() {
        let text = format!("{{\"message\":\"{}\"}}", "x".repeat(MAX_BYTES));
        assert_eq!(Report::read(text.as_bytes()).unwrap_err().status(), Status::TooLarge);
    }

    #[test]
    fn readable_values_are_found_in_all_places() {
        for json in [
            r#"{"details":[1]}"#,
            r#"{"heartbeat_details":[1]}"#,
            r#"{"cause":{"cause":{"details":[1]}}}"#,
            r#"{"cause":{"encoded_attributes":"EgFo"}}"#,
        ] {
            let refused = Report::read(json.as_bytes()).unwrap().refuse_readable().unwrap_err();
            assert!(refused.message().contains(" would be readable"), "{json}: {refused}");
        }
        Report::read(br#"{"message":"m","stack_trace":"s","cause":{}}"#).unwrap().refuse_readable().unwrap();
    }

    #[test]
    fn failure_and_progress_are_limited_separately() {
        let report = Report::read(br#"{"message":"0123456789","heartbeat_details":["0123456789"]}"#).unwrap();
        report.check_size(1000).unwrap();
        assert_eq!(report.check_size(30).unwrap_err().status(), Status::TooLarge);
    }
}
