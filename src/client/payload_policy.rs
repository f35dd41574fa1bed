//! What may go out to the server: how large it may be, and whether anybody may be able to read it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::model::{
    error::Result,
    failure::Report,
    payload::{DEFAULT_SIZE_LIMIT, Payloads},
};

/// Of one process. The client sets them, and whoever sends asks them.
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
    /// A client begins, whose server hasn't told its limit yet.
    pub fn begin(&self, require_encoded: bool) {
        self.set_size_limit(DEFAULT_SIZE_LIMIT);
        self.require_encoded.store(require_encoded, Ordering::Relaxed);
    }

    /// The server has told its limit.
    pub fn set_size_limit(&self, limit: usize) {
        self.size_limit.store(limit, Ordering::Relaxed);
    }

    /// The most bytes that one encoded `Payloads` or `Failure` may have.
    #[inline]
    pub fn size_limit(&self) -> usize {
        self.size_limit.load(Ordering::Relaxed)
    }

    /// Whether a codec must have encoded all values.
    #[inline]
    pub fn require_encoded(&self) -> bool {
        self.require_encoded.load(Ordering::Relaxed)
    }

    /// Refuses values that mustn't go out.
    pub fn check(&self, name: &str, values: &Option<Payloads>) -> Result<()> {
        let Some(values) = values else { return Ok(()) };
        if self.require_encoded() {
            values.refuse_readable(name)?;
        }
        values.check_size(name, self.size_limit())
    }

    /// Refuses a result that mustn't go out, or that no workflow could take.
    pub fn check_result(&self, result: &Option<Payloads>) -> Result<()> {
        Payloads::check_result(result)?;
        self.check("result", result)
    }

    /// Refuses a failure that mustn't go out.
    pub fn check_report(&self, report: &Report) -> Result<()> {
        if self.require_encoded() {
            report.refuse_readable()?;
        }
        report.check_size(self.size_limit())
    }
}
