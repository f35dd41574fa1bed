//! Encodes what is sent, and decodes what is read, if the namespace has a codec. Every value that a request carries comes
//! from here or from the server.

use prost::DecodeError;
use tokio::time::Instant;

use std::pin::Pin;

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
    /// Returns whether messages and stack traces of failures are encoded.
    pub fn encodes_common_attributes(&self) -> bool {
        self.codec.is_some() && self.encodes_common_attributes
    }

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
            for attributes in report.encoded_attributes_mut().filter(|attributes| attributes.needs_codec()) {
                self.convert_one(codec, Direction::Encode, attributes, effort).await?;
            }
        }
        self.rules.check_encoded_report(&report).map_err(RpcError::permanent)?;
        Ok(report)
    }

    /// Encodes the values that aren't encoded. Values that a codec in this process has encoded stay as they are, and so do
    /// references to external storage, which the SDKs resolve before they decode.
    async fn encode_values(
        &self,
        codec: &Codec,
        values: Payloads,
        effort: Effort<'_>,
    ) -> Result<Payloads, RpcError> {
        let unreadable = || Error::new(Status::Internal, "the values can't be read");
        self.convert_some(codec, Direction::Encode, values, Payload::needs_codec, effort, unreadable).await
    }

    /// Decodes the values of details. Their payloads stay as they came.
    pub async fn decode(&self, details: Details, effort: Effort<'_>) -> Result<Details, RpcError> {
        let Some(codec) = &self.codec else { return Ok(details) };
        let unreadable = || Error::new(Status::ServerError, "the details can't be read");
        let values = details.payloads().clone();
        let decoded = self.convert_some(
            codec,
            Direction::Decode,
            values,
            |value| !value.is_plain(),
            effort,
            unreadable,
        );
        details.with_values(decoded.await?).map_err(RpcError::permanent)
    }

    /// Decodes the messages and stack traces of a failure and of its causes, if they are encoded.
    #[cfg(feature = "cli")]
    pub async fn decode_failure(
        &self,
        mut failure: Failure,
        effort: Effort<'_>,
    ) -> Result<Failure, RpcError> {
        if let Some(codec) = &self.codec {
            for attributes in encoded_attributes_mut(&mut failure).filter(|attributes| !attributes.is_plain())
            {
                self.convert_one(codec, Direction::Decode, attributes, effort).await?;
            }
        }
        show_common_attributes(&mut failure);
        Ok(failure)
    }

    /// Converts the values for which `is_chosen` holds. The others and the order stay, byte for byte.
    async fn convert_some(
        &self,
        codec: &Codec,
        direction: Direction,
        values: Payloads,
        is_chosen: impl Fn(&Payload) -> bool,
        effort: Effort<'_>,
        unreadable: impl Fn() -> Error,
    ) -> Result<Payloads, RpcError> {
        let failed = |why: DecodeError| RpcError::permanent(unreadable().with_context(why));
        let mut chosen = values.values().map_err(failed)?;
        chosen.retain(&is_chosen);
        if chosen.is_empty() {
            return Ok(values);
        }
        let converted = self.convert(codec, direction, chosen, effort).await?;
        values.with_replaced(is_chosen, converted).map_err(failed)
    }

    async fn convert_one(
        &self,
        codec: &Codec,
        direction: Direction,
        value: &mut Payload,
        effort: Effort<'_>,
    ) -> Result<(), RpcError> {
        let converted = self.convert(codec, direction, vec![std::mem::take(value)], effort).await?;
        *value = converted.into_iter().next().unwrap_or_default();
        Ok(())
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
            // On the heap and behind a pointer, because calls without a codec must not need the stack for it.
            let conversion: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(codec.convert(direction, values.clone(), end));
            let converted = effort.unless_cancelled(conversion).await;
            match converted.unwrap_or_else(|| Err(RpcError::cancelled())) {
                Ok(converted) => return Ok(converted),
                Err(failed) => rounds.next(failed).await?,
            }
        }
    }
}
