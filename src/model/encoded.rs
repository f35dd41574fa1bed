//! Values that may be sent: nothing else reaches the server.

use super::payload::Payloads;

/// Values in the form in which they are sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded(Payloads);

impl Encoded {
    /// Takes the answer of the codec.
    pub fn by_codec(payloads: Payloads) -> Self {
        Encoded(payloads)
    }

    /// Takes values that the server has already; they return to it unchanged.
    pub fn held_by_server(payloads: Payloads) -> Self {
        Encoded(payloads)
    }

    /// Takes the values of a process without a codec.
    pub fn without_codec(payloads: Payloads) -> Self {
        Encoded(payloads)
    }

    /// Returns the values.
    pub fn payloads(&self) -> &Payloads {
        &self.0
    }

    /// Returns the values.
    pub fn into_payloads(self) -> Payloads {
        self.0
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.encoded().is_empty()
    }

    /// Returns the values, for a process without a codec to replace.
    #[inline]
    pub fn without_codec_mut(&mut self) -> &mut Payloads {
        &mut self.0
    }
}
