//! Metrics and log records of the process.

use super::{
    boundary,
    types::{thb_error_t, thb_status_t, thb_text_t},
};
use crate::{api::rpc, model::deadline::Timeout};

/// Returns the process's metrics in the Prometheus text format; docs/metrics.md lists them. Before the first
/// thb_connect the text has metric names but no values.
///
/// Thread-safe. Never blocks. The caller frees *metrics_out with thb_text_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT: metrics_out is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_get_metrics(
    metrics_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("metrics_out", metrics_out, error_out, || {
            Ok(boundary::text(rpc::metrics()?.as_bytes()))
        })
    }
}

/// Removes and returns the oldest log record, a JSON object: time_unix_ms, level ("error", "warn", "info", "debug"),
/// event, message, and keys of the event (docs/logs.md). The library keeps the newest 1024 records. Waits for a
/// record; *record_out is NULL when timeout_ms passes without one. Needs no client. To also write records to stderr,
/// set the environment variable THB_LOG to a level, for example THB_LOG=info.
///
/// Thread-safe. Blocks at most timeout_ms; 0 polls. The caller frees *record_out with thb_text_free.
/// Returns THB_OK; THB_INVALID_ARGUMENT: record_out is NULL, or timeout_ms is out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thb_log_next(
    timeout_ms: u32,
    record_out: *mut *mut thb_text_t,
    error_out: *mut *mut thb_error_t,
) -> thb_status_t {
    // SAFETY: as the header requires, outputs are NULL or writable.
    unsafe {
        boundary::run_giving("record_out", record_out, error_out, || {
            let record = rpc::next_log(Timeout::from_ms(timeout_ms)?)?;
            Ok(record.map(|record| boundary::text(record.as_bytes())))
        })
    }
}
