//! Values that all layers share: what a task token, a payload, an error or a deadline is.

pub mod attempt;
pub mod deadline;
pub mod details;
pub mod error;
pub mod failure;
pub(crate) mod json;
pub(crate) mod method;
pub mod payload;
pub(crate) mod secret;
pub mod signals;
pub mod status;
pub(crate) mod time;
pub mod token;
