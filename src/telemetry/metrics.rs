//! Metrics: requests, beats, signals and connections.
//!
//! Each metric is an atomic that always exists, so counting takes no lock and allocates nothing.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tonic::Code;

use super::histogram::Histogram;
use crate::{
    model::{method::Call, signals::Signals, status::Status},
    proto::temporal::api::workflowservice::v1::CALLS,
    sys::sync::Mutex,
};

/// In seconds.
const LATENCIES: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 70.0];
/// Fractions of the heartbeat timeout.
const MARGINS: [f64; 11] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];

/// The number of gRPC codes.
pub const CODES: usize = 17;

/// A monotonic counter.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.more(1);
    }

    /// Adds `count`.
    pub fn more(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Returns the current value.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// All metrics of the process.
pub struct Metrics {
    /// The namespace that all metrics are about. They are reset when it changes.
    namespace: Mutex<Option<String>>,
    /// Indexed by the number of the call.
    pub operations: [Operation; CALLS.len()],
    /// The same for long polls.
    pub long_polls: [Operation; CALLS.len()],
    /// Beats that were sent, including retries.
    pub beats_sent: Counter,
    /// Records that were never sent because a newer one replaced them.
    pub beats_coalesced: Counter,
    /// Beats that failed with a temporary error.
    pub beats_failed: Counter,
    /// Beats that the server refused permanently, though the activity isn't over.
    pub beats_refused: Counter,
    /// The part of the lease that was left when a beat was acknowledged.
    pub lease_margin: Histogram<{ MARGINS.len() }>,
    /// How often each signal was set, by its bit.
    pub signals: [Counter; Signals::NAMES.len()],
    /// Connections, not counting the first one.
    pub reconnects: Counter,
    /// Failed connect attempts.
    pub connect_failures: Counter,
    /// Tasks that workers received.
    pub tasks_received: Counter,
    /// Those of them that were failed before any work began.
    pub tasks_handed_back: Counter,
    /// Requests to the codec server.
    pub codec_requests: Counter,
    /// Those of them that failed.
    pub codec_failures: Counter,
}

/// The metrics of one call of Temporal's API.
pub struct Operation {
    /// Tries.
    pub requests: Counter,
    /// Failed tries, by code.
    pub failures: [Counter; CODES],
    /// The time of the tries.
    pub latency: Histogram<{ LATENCIES.len() }>,
}

impl Default for Operation {
    fn default() -> Self {
        Operation {
            requests: Counter::default(),
            failures: Default::default(),
            latency: Histogram::new(&LATENCIES),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            namespace: Mutex::default(),
            operations: Default::default(),
            long_polls: Default::default(),
            beats_sent: Counter::default(),
            beats_coalesced: Counter::default(),
            beats_failed: Counter::default(),
            beats_refused: Counter::default(),
            lease_margin: Histogram::new(&MARGINS),
            signals: Default::default(),
            reconnects: Counter::default(),
            connect_failures: Counter::default(),
            tasks_received: Counter::default(),
            tasks_handed_back: Counter::default(),
            codec_requests: Counter::default(),
            codec_failures: Counter::default(),
        }
    }
}

impl Metrics {
    /// Notes a new client. The metrics are kept if it uses the same namespace.
    pub fn begin(&self, namespace: &str) {
        let mut current = self.namespace.lock();
        if current.as_deref() != Some(namespace) {
            *current = Some(namespace.to_owned());
            self.clear();
        }
    }

    /// Returns the namespace of the metrics; `None` before the first client.
    pub fn namespace(&self) -> Option<String> {
        self.namespace.lock().clone()
    }

    /// Counts a try of a call.
    pub fn tried(&self, call: Call, took: Duration, failure: Option<Code>) {
        let operations = if call.is_long_poll { &self.long_polls } else { &self.operations };
        let Some(operation) = operations.get(call.number) else { return };
        operation.requests.one();
        operation.latency.observe(took.as_secs_f64());
        let code = failure.and_then(|code| usize::try_from(code as i32).ok());
        if let Some(failures) = code.and_then(|code| operation.failures.get(code)) {
            failures.one();
        }
    }

    /// Counts a beat that was answered with an error.
    pub fn beat_failed(&self, status: Status, may_pass: bool) {
        match status {
            // The activity is over: not a fault, and a signal reports it.
            Status::NotFound => {}
            _ if may_pass => self.beats_failed.one(),
            _ => self.beats_refused.one(),
        }
    }

    /// Counts signals that were set.
    pub fn signalled(&self, signals: Signals) {
        for (bit, counter) in self.signals.iter().enumerate() {
            if signals.bits() >> bit & 1 == 1 {
                counter.one();
            }
        }
    }

    fn clear(&self) {
        for operation in self.operations.iter().chain(&self.long_polls) {
            operation.requests.clear();
            operation.failures.iter().for_each(Counter::clear);
            operation.latency.clear();
        }
        self.lease_margin.clear();
        let beats = [&self.beats_sent, &self.beats_coalesced, &self.beats_failed, &self.beats_refused];
        let connections =
            [&self.reconnects, &self.connect_failures, &self.codec_requests, &self.codec_failures];
        let tasks = [&self.tasks_received, &self.tasks_handed_back];
        beats.into_iter().chain(connections).chain(tasks).chain(&self.signals).for_each(Counter::clear);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_reset_only_for_another_namespace() {
        let metrics = Metrics::default();
        metrics.begin("one");
        metrics.beats_sent.one();
        metrics.begin("one");
        assert_eq!(metrics.beats_sent.count(), 1);
        metrics.begin("two");
        assert_eq!((metrics.beats_sent.count(), metrics.namespace().as_deref()), (0, Some("two")));
    }

    #[test]
    fn beat_of_an_ended_activity_is_not_a_failure() {
        let metrics = Metrics::default();
        metrics.beat_failed(Status::NotFound, false);
        metrics.beat_failed(Status::Unavailable, true);
        metrics.beat_failed(Status::PermissionDenied, false);
        assert_eq!((metrics.beats_failed.count(), metrics.beats_refused.count()), (1, 1));
    }
}
