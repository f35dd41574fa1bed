//! Encodes what is sent, and decodes what is read, if the namespace has a codec. Every value that a request carries comes
//! from here or from the server.

use tokio::time::Instant;

use super::{
    Client, Effort, Ending,
    codec::{Codec, Direction},
    rounds::Rounds,
    rpc_error::RpcError,
};
#[cfg(feature = "cli")]
use crate::{
    model::failure::{encoded_attributes_mut, show_common_attributes},
    proto::temporal::api::failure::v1::Failure,
};
use crate::{
    model::{
        details::Details, encoded::Encoded, error::Error, failure::Report, payload::Payloads, status::Status,
    },
    proto::temporal::api::common::v1::Payload,
};

/// The message of a failure whose message is encoded, as in the SDKs.
const ENCODED_MESSAGE: &str = "Encoded failure";

/// How to end an activity, with values that may be sent.
#[derive(Clone, Debug)]
pub struct EncodedEnding(Ending);

impl EncodedEnding {
    /// Returns how to end it.
    pub fn ending(&self) -> &Ending {
        &self.0
    }

    /// Refuses values that no codec has encoded.
    pub fn refuse_readable(&self) -> Result<(), Error> {
        match &self.0 {
            Ending::Complete(Some(values)) => values.refuse_readable("result"),
            Ending::Cancel(Some(values)) => values.refuse_readable("details"),
            Ending::Complete(None) | Ending::Cancel(None) => Ok(()),
            Ending::Fail(report) => report.refuse_readable(),
        }
    }

    /// Returns the heartbeat details of a failure.
    pub(super) fn heartbeat_details(&self) -> Option<Encoded> {
        match &self.0 {
            Ending::Fail(report) => report.heartbeat_details.clone().map(Encoded::by_codec),
            Ending::Complete(_) | Ending::Cancel(_) => None,
        }
    }

    /// Adds the details that the server doesn't have yet, if this is a failure.
    pub fn with_unsent(self, unsent: Option<Encoded>) -> Self {
        match self.0 {
            Ending::Fail(report) => {
                let heartbeat_details = unsent.map(Encoded::into_payloads);
                EncodedEnding(Ending::Fail(Report { heartbeat_details, ..report }))
            }
            other => EncodedEnding(other),
        }
    }
}

impl Client {
    /// Encodes values. A try of an open activity's record is one [`Effort::Once`].
    pub async fn encode(
        &self,
        name: &str,
        values: Option<Payloads>,
        effort: Effort<'_>,
    ) -> Result<Option<Encoded>, RpcError> {
        let Some(codec) = &self.codec else { return Ok(values.map(Encoded::without_codec)) };
        let Some(values) = values else { return Ok(None) };
        let encoded = self.encode_values(codec, values, effort).await?;
        self.rules.check_encoded(name, &encoded).map_err(RpcError::permanent)?;
        Ok(Some(Encoded::by_codec(encoded)))
    }

    /// Encodes what an ending carries.
    pub async fn encode_ending(&self, ending: Ending, effort: Effort<'_>) -> Result<EncodedEnding, RpcError> {
        let encoded = self.encode_values_of(ending, effort).await;
        encoded.map_err(|failed| failed.with_context("so the activity wasn't ended"))
    }

    async fn encode_values_of(&self, ending: Ending, effort: Effort<'_>) -> Result<EncodedEnding, RpcError> {
        let values = |values: Option<Encoded>| values.map(Encoded::into_payloads);
        Ok(EncodedEnding(match ending {
            Ending::Complete(result) => {
                Ending::Complete(values(self.encode("result", result, effort).await?))
            }
            Ending::Cancel(details) => Ending::Cancel(values(self.encode("details", details, effort).await?)),
            Ending::Fail(report) => Ending::Fail(self.encode_report(report, effort).await?),
        }))
    }

    async fn encode_report(&self, mut report: Report, effort: Effort<'_>) -> Result<Report, RpcError> {
        if self.encodes_common_attributes {
            report.hide_common_attributes(ENCODED_MESSAGE);
        }
        if let Some(codec) = &self.codec {
            for values in report.values_mut() {
                *values = self.encode_values(codec, std::mem::take(values), effort).await?;
            }
            for attributes in report.encoded_attributes_mut() {
                let encoded = self.convert_readable(codec, vec![std::mem::take(attributes)], effort).await?;
                *attributes = encoded.into_iter().next().unwrap_or_default();
            }
        }
        self.rules.check_encoded_report(&report).map_err(RpcError::permanent)?;
        Ok(report)
    }

    async fn encode_values(
        &self,
        codec: &Codec,
        values: Payloads,
        effort: Effort<'_>,
    ) -> Result<Payloads, RpcError> {
        let read = values.values().map_err(|why| {
            RpcError::permanent(Error::new(Status::Internal, format!("the values can't be read: {why}")))
        })?;
        if !read.iter().any(Payload::needs_codec) {
            // Byte for byte.
            return Ok(values);
        }
        Ok(Payloads::from_values(self.convert_readable(codec, read, effort).await?))
    }

    /// Encodes the values that aren't encoded. Values that a codec in this process has encoded stay as they are, and so do
    /// references to external storage, which the SDKs resolve before they decode.
    async fn convert_readable(
        &self,
        codec: &Codec,
        values: Vec<Payload>,
        effort: Effort<'_>,
    ) -> Result<Vec<Payload>, RpcError> {
        self.convert_some(codec, Direction::Encode, values, Payload::needs_codec, effort).await
    }

    /// Decodes the values of details. Their payloads stay as they came.
    pub async fn decode(&self, details: Details, effort: Effort<'_>) -> Result<Details, RpcError> {
        let Some(codec) = &self.codec else { return Ok(details) };
        let read = details.payloads().values().map_err(|why| {
            RpcError::permanent(Error::new(Status::ServerError, format!("the details can't be read: {why}")))
        })?;
        let decoded =
            self.convert_some(codec, Direction::Decode, read, |value| !value.is_plain(), effort).await?;
        Ok(details.with_values(decoded))
    }

    /// Decodes the messages and stack traces of a failure and of its causes, if they are encoded.
    #[cfg(feature = "cli")]
    pub async fn decode_failure(
        &self,
        mut failure: Failure,
        effort: Effort<'_>,
    ) -> Result<Failure, RpcError> {
        if let Some(codec) = &self.codec {
            for attributes in encoded_attributes_mut(&mut failure) {
                let encoded = vec![std::mem::take(attributes)];
                let decoded =
                    self.convert_some(codec, Direction::Decode, encoded, |value| !value.is_plain(), effort);
                *attributes = decoded.await?.into_iter().next().unwrap_or_default();
            }
        }
        show_common_attributes(&mut failure);
        Ok(failure)
    }

    /// Converts the values for which `is_chosen` holds, and keeps the others and the order.
    async fn convert_some(
        &self,
        codec: &Codec,
        direction: Direction,
        mut values: Vec<Payload>,
        is_chosen: impl Fn(&Payload) -> bool,
        effort: Effort<'_>,
    ) -> Result<Vec<Payload>, RpcError> {
        let chosen: Vec<Payload> = values.iter().filter(|value| is_chosen(value)).cloned().collect();
        if chosen.is_empty() {
            return Ok(values);
        }
        let mut converted = self.convert(codec, direction, chosen, effort).await?.into_iter();
        for value in values.iter_mut().filter(|value| is_chosen(value)) {
            if let Some(converted) = converted.next() {
                *value = converted;
            }
        }
        Ok(values)
    }

    async fn convert(
        &self,
        codec: &Codec,
        direction: Direction,
        values: Vec<Payload>,
        effort: Effort<'_>,
    ) -> Result<Vec<Payload>, RpcError> {
        let mut rounds = Rounds::new(self.retry, effort);
        loop {
            let end = Instant::now() + effort.remaining();
            let conversion = codec.convert(direction, values.clone(), end);
            let converted = effort.unless_cancelled(conversion).await;
            match converted.unwrap_or_else(|| Err(RpcError::cancelled())) {
                Ok(converted) => return Ok(converted),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }
}
