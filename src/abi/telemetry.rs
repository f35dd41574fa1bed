//! What those who watch over the process get to see.

use super::{
    boundary,
    types::{thb_error_t, thb_status_t, thb_text_t},
};
use crate::{api::rpc, model::deadline::Timeout};

/// Read the process's metrics in Prometheus's text form (docs/metrics.md lists them); before the first thb_connect there
/// are names only. Thread-safe. Never waits. *metrics_out is the caller's, to be freed by thb_text_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT: metrics_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_get_metrics(
    metrics_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. Each is used after its check.
    unsafe {
        boundary::clear(metrics_out);
        boundary::run(error_out, || {
            boundary::required("metrics_out", metrics_out)?;
            boundary::give(metrics_out, boundary::text(rpc::metrics()?.as_bytes()));
            Ok(())
        })
    }
}

/// Take the oldest log record, as a JSON object: time_unix_ms, level ("error", "warn", "info", "debug"), event, message,
/// and more (docs/logs.md). The newest 1024 are kept. Waits for one; *record_out is NULL when timeout_ms is over. Needs
/// no client. The variable THB_LOG=info, or another level, has lines written to stderr as well.
///
/// Thread-safe. Blocks at most timeout_ms; 0 polls. *record_out is the caller's, to be freed by thb_text_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_log_next(
    timeout_ms: u32,
    record_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: the header's words: outputs are NULL or writable. Each is used after its check.
    unsafe {
        boundary::clear(record_out);
        boundary::run(error_out, || {
            boundary::required("record_out", record_out)?;
            if let Some(record) = rpc::next_log(Timeout::from_ms(timeout_ms)?)? {
                boundary::give(record_out, boundary::text(record.as_bytes()));
            }
            Ok(())
        })
    }
}
