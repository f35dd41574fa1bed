//! Values that all layers share, such as tokens, payloads, errors and deadlines.

pub mod attempt;
pub mod codec;
pub(crate) mod conditions;
pub mod deadline;
pub mod details;
pub mod encoded;
pub mod error;
pub mod failure;
pub(crate) mod json;
pub(crate) mod method;
pub mod payload;
pub mod payload_json;
pub mod printable;
pub(crate) mod secret;
pub mod signals;
pub mod status;
pub(crate) mod time;
pub mod token;
