//! Which payloads may be sent: their size, and whether they must be encoded.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::model::{
    error::Result,
    failure::Report,
    payload::{DEFAULT_SIZE_LIMIT, Payloads},
};

/// The policy of the process. The client sets it, and each sender checks it.
pub struct PayloadPolicy {
    size_limit: AtomicUsize,
    require_encoded: AtomicBool,
}

impl Default for PayloadPolicy {
    fn default() -> Self {
        PayloadPolicy {
            size_limit: AtomicUsize::new(DEFAULT_SIZE_LIMIT),
            require_encoded: AtomicBool::new(false),
        }
    }
}

impl PayloadPolicy {
    /// Resets the policy for a new client: its server hasn't reported its limit yet.
    pub fn begin(&self, require_encoded: bool) {
        self.set_size_limit(DEFAULT_SIZE_LIMIT);
        self.require_encoded.store(require_encoded, Ordering::Relaxed);
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

    /// Returns whether a codec must have encoded all values.
    #[inline]
    pub fn require_encoded(&self) -> bool {
        self.require_encoded.load(Ordering::Relaxed)
    }

    /// Refuses values that must not be sent.
    pub fn check(&self, name: &str, values: &Option<Payloads>) -> Result<()> {
        let Some(values) = values else { return Ok(()) };
        if self.require_encoded() {
            values.refuse_readable(name)?;
        }
        values.check_size(name, self.size_limit())
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
        report.check_size(self.size_limit())
    }
}
