//! A codec of a Rust program.

use std::{fmt, sync::Arc};

use super::error::Result;
pub use crate::proto::temporal::api::common::v1::Payload;

/// Encodes the values of a namespace, for example encrypts them, and decodes them.
///
/// The library calls it on threads of its own, several at a time, and may encode the same values again. The result has as many
/// values as the argument, in the same order. If the error is [temporary](super::error::Error::temporary), the call is repeated.
pub trait PayloadCodec: Send + Sync {
    /// Encodes values that no codec has encoded. Sets the encoding in the metadata of each, by which workers find their
    /// codec.
    fn encode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>>;

    /// Reverses [`PayloadCodec::encode`]. Returns values of other encodings unchanged.
    fn decode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>>;
}

/// A codec that the program gave.
#[derive(Clone)]
pub struct OwnCodec(pub Arc<dyn PayloadCodec>);

impl fmt::Debug for OwnCodec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OwnCodec")
    }
}

/// The same object.
impl PartialEq for OwnCodec {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
