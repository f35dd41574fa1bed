//! Metrics and log records of the process. They are pulled, never pushed.
//!
//! | file | what it does |
//! |---|---|
//! | `metrics` | counts requests, beats and signals |
//! | `histogram` | counts values by size |
//! | `prometheus` | writes the metrics in Prometheus's text form |
//! | `http` | serves them to Prometheus |
//! | `log_ring` | keeps the newest log records, not too many of one kind |
//! | `log_record` | one log record, as JSON and as a line |

mod histogram;
pub mod http;
pub mod log_record;
pub mod log_ring;
pub mod metrics;
mod prometheus;

use log_ring::LogRing;
use metrics::Metrics;

/// The metrics and log of the process. They outlive the client.
#[derive(Default)]
pub struct Telemetry {
    /// The metrics.
    pub metrics: Metrics,
    /// The log records.
    pub log: LogRing,
}
