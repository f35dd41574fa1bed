//! Heartbeat details: read from the server, or built from several values.

use std::time::Duration;

use bytes::Buf;

use super::{
    error::{Error, Result},
    payload::{self, Encoding, Payloads},
    status::Status,
};
use crate::proto::temporal::api::common::v1::Payload;

/// Zero or more values, with the server's information about the activity.
#[derive(Clone, Debug, Default)]
pub struct Details {
    payloads: Payloads,
    /// What a codec server has decoded, if there is one.
    decoded: Option<Payloads>,
    values: Vec<Value>,
    about: About,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The name of its encoding, for example `json/plain`; empty without one.
    pub encoding: String,
    /// Its bytes.
    pub data: bytes::Bytes,
    /// Whether the bytes are a reference to a value in an SDK's external storage.
    pub is_external_reference: bool,
}

/// What the server reports about the activity together with its details.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct About {
    /// The current attempt, from 1; 0 when unknown.
    pub attempt: i32,
    /// When the details were recorded, in milliseconds since 1970; 0: never.
    pub recorded_at_unix_ms: i64,
    /// The heartbeat timeout in force; `None` if the server doesn't report it.
    pub heartbeat_timeout: Option<Duration>,
}

impl Details {
    /// Creates empty details.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates details from values that a parent handed over, without further information.
    pub fn handed_over(payloads: Payloads) -> Result<Self> {
        Self::described(Some(payloads), About::default())
    }

    /// Creates details from the server's description.
    pub fn described(payloads: Option<Payloads>, about: About) -> Result<Self> {
        let payloads = payloads.unwrap_or_default();
        let values = values(payloads.encoded())?;
        Ok(Details { payloads, decoded: None, values, about })
    }

    /// Appends a value.
    pub fn add(&mut self, encoding: Encoding, data: &[u8]) -> Result<()> {
        let mut added = Payloads::default();
        added.push("data", encoding, data)?;
        let added = added.into_encoded();
        let values = values(added.clone())?;
        self.payloads.push("data", Encoding::Payloads, &added)?;
        if let Some(decoded) = &mut self.decoded {
            decoded.push("data", Encoding::Payloads, &added)?;
        }
        self.values.extend(values);
        Ok(())
    }

    /// Returns the values.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Replaces the values by what a codec has decoded. The payloads stay as they are.
    pub fn with_values(self, decoded: Payloads) -> Result<Self> {
        let values = values(decoded.encoded())?;
        Ok(Details { values, decoded: Some(decoded), ..self })
    }

    /// Returns the values as one encoded message, unchanged if it came from the server.
    pub fn payloads(&self) -> &Payloads {
        &self.payloads
    }

    /// Returns the values as one encoded message, after the codec server has decoded them.
    pub fn decoded_payloads(&self) -> &Payloads {
        self.decoded.as_ref().unwrap_or(&self.payloads)
    }

    /// Returns the server's information about the activity.
    pub fn about(&self) -> About {
        self.about
    }
}

fn values(encoded: impl Buf) -> Result<Vec<Value>> {
    let values = payload::values(encoded)
        .map_err(|why| Error::new(Status::ServerError, format!("the details can't be read: {why}")))?;
    Ok(values.into_iter().map(Value::from).collect())
}

impl From<Payload> for Value {
    fn from(payload: Payload) -> Self {
        Value {
            encoding: String::from_utf8_lossy(payload.encoding()).into_owned(),
            is_external_reference: payload.is_external_reference(),
            data: payload.data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_added_one_by_one_are_read_back() {
        let mut details = Details::new();
        details.add(Encoding::Json, b"41").unwrap();
        details.add(Encoding::Null, b"").unwrap();
        assert!(details.add(Encoding::None, b"").is_err());
        assert!(details.add(Encoding::Json, b"{").is_err());
        let copied = details.payloads().encoded().to_vec();
        details.add(Encoding::Payloads, &copied).unwrap();
        let names: Vec<_> = details.values().iter().map(|value| value.encoding.as_str()).collect();
        assert_eq!(names, ["json/plain", "binary/null", "json/plain", "binary/null"]);
        assert_eq!(details.values()[2].data, "41");
    }
}
