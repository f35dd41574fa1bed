//! Which payloads may be sent: their size, and whether they must be encoded.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::model::{
    error::Result,
    failure::Report,
    payload::{DEFAULT_SIZE_LIMIT, Payloads},
};

const AFTER_CODEC: &str = "this is what the codec server returned";

/// The policy of the process. The client sets it, and each sender checks it.
pub struct PayloadPolicy {
    size_limit: AtomicUsize,
    require_encoded: AtomicBool,
    /// The largest value before the codec; 0 without a codec.
    codec_limit: AtomicUsize,
}

impl Default for PayloadPolicy {
    fn default() -> Self {
        PayloadPolicy {
            size_limit: AtomicUsize::new(DEFAULT_SIZE_LIMIT),
            require_encoded: AtomicBool::new(false),
            codec_limit: AtomicUsize::new(0),
        }
    }
}

impl PayloadPolicy {
    /// Resets the policy for a new client: its server hasn't reported its limit yet. With a codec, values of up to
    /// `codec_limit` bytes are encoded before the other rules apply.
    pub fn begin(&self, require_encoded: bool, codec_limit: Option<usize>) {
        self.set_size_limit(DEFAULT_SIZE_LIMIT);
        self.require_encoded.store(require_encoded, Ordering::Relaxed);
        self.codec_limit.store(codec_limit.unwrap_or(0), Ordering::Relaxed);
    }

    /// Sets the limit that the server has reported.
    pub fn set_size_limit(&self, limit: usize) {
        self.size_limit.store(limit, Ordering::Relaxed);
    }

    /// Returns the largest size in bytes of an encoded `Payloads` or `Failure`.
    #[inline]
    pub fn size_limit(&self) -> usize {
        self.size_limit.load(Ordering::Relaxed)
    }

    /// Returns whether the library encodes values itself.
    pub fn has_codec(&self) -> bool {
        self.codec_limit.load(Ordering::Relaxed) > 0
    }

    /// Returns the largest size in bytes of the `Payloads` that a caller gives.
    #[inline]
    pub fn given_size_limit(&self) -> usize {
        match self.codec_limit.load(Ordering::Relaxed) {
            0 => self.size_limit(),
            limit => limit,
        }
    }

    /// Returns whether the caller must have encoded all values.
    #[inline]
    pub fn require_encoded(&self) -> bool {
        self.require_encoded.load(Ordering::Relaxed) && !self.has_codec()
    }

    /// Refuses values that a caller must not give.
    pub fn check(&self, name: &str, values: &Option<Payloads>) -> Result<()> {
        let Some(values) = values else { return Ok(()) };
        if self.require_encoded() {
            values.refuse_readable(name)?;
        }
        values.check_size(name, self.given_size_limit())
    }

    /// Refuses values that the codec must not have returned.
    pub fn check_encoded(&self, name: &str, values: &Payloads) -> Result<()> {
        if self.require_encoded.load(Ordering::Relaxed) {
            values.refuse_readable(name).map_err(|error| error.with_context(AFTER_CODEC))?;
        }
        let checked = values.check_size(name, self.size_limit());
        checked.map_err(|error| error.with_context(AFTER_CODEC))
    }

    /// Refuses a failure that the codec must not have returned.
    pub fn check_encoded_report(&self, report: &Report) -> Result<()> {
        if self.require_encoded.load(Ordering::Relaxed) {
            report.refuse_readable()?;
        }
        report.check_size(self.size_limit())
    }

    /// Refuses a result that must not be sent, or that no workflow could receive.
    pub fn check_result(&self, result: &Option<Payloads>) -> Result<()> {
        Payloads::check_result(result)?;
        self.check("result", result)
    }

    /// Refuses a failure that must not be sent.
    pub fn check_report(&self, report: &Report) -> Result<()> {
        if self.require_encoded() {
            report.refuse_readable()?;
        }
        report.check_size(self.given_size_limit())
    }
}
