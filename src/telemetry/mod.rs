//! What those who watch over the process get to see: figures, and records of what happened. Pulled by them, never pushed.
//!
//! | file | what it does |
//! |---|---|
//! | `metrics` | counts |
//! | `histogram` | counts by size |
//! | `exposition` | writes the figures in Prometheus's text form |
//! | `listener` | lets Prometheus fetch them |
//! | `log` | keeps the newest records, not too many of one kind |
//! | `record` | one of them, as JSON and as a line |

mod histogram;
pub mod http;
pub mod log_record;
pub mod log_ring;
pub mod metrics;
mod prometheus;

use log_ring::LogRing;
use metrics::Metrics;

/// Of one process. It outlives the client.
#[derive(Default)]
pub struct Telemetry {
    /// Figures.
    pub metrics: Metrics,
    /// Records.
    pub log: LogRing,
}
