//! Writes the metrics in Prometheus's text format, version 0.0.4.

use std::fmt::{Display, Write};

use tonic::Code;

use super::{
    Telemetry,
    histogram::Counted,
    metrics::{CODES, Metrics, Operation},
};
use crate::{model::signals::Signals, proto::temporal::api::workflowservice::v1::CALLS};

/// The value of the label `service_name`. The SDKs have it too, with a name of their own.
const SERVICE_NAME: &str = "temporal-heartbeat";

impl Telemetry {
    /// Returns all metrics. `open` is the number of open activities, and `followed` how many of them long polls follow.
    pub fn exposition(&self, open: usize, followed: usize) -> String {
        let mut text =
            Text { text: String::new(), labels: self.metrics.namespace().map(|name| labels(&name)) };
        requests(&mut text, &self.metrics.operations, "temporal_request");
        requests(&mut text, &self.metrics.long_polls, "temporal_long_request");
        beats(&mut text, &self.metrics);
        text.family("temporal_heartbeat_activities_open", "gauge", "Activities that are currently open.");
        text.sample("temporal_heartbeat_activities_open", "", open);
        let name = "temporal_heartbeat_activities_followed";
        text.family(name, "gauge", "Activities of which a long poll shows changes.");
        text.sample(name, "", followed);
        let dropped = "temporal_heartbeat_log_records_dropped";
        text.family(
            dropped,
            "counter",
            "Log records that were replaced by newer ones before they were read.",
        );
        text.sample(dropped, "", self.log.dropped());
        text.text
    }
}

/// Writes the requests. Long polls have metrics of their own, as in the SDKs, because their latency means nothing.
fn requests(text: &mut Text, operations: &[Operation], name: &str) {
    let called = || CALLS.iter().zip(operations).filter(|(_, operation)| operation.requests.count() > 0);

    text.family(name, "counter", "Requests to the server, each try counted.");
    for (call, operation) in called() {
        text.sample(name, &format!("operation=\"{call}\""), operation.requests.count());
    }
    let failure = format!("{name}_failure");
    text.family(&failure, "counter", "Requests that failed, by the gRPC status code.");
    for (call, operation) in called() {
        for (failures, code) in operation.failures.iter().zip(code_names()) {
            if failures.count() > 0 {
                let label = format!("operation=\"{call}\",status_code=\"{code}\"");
                text.sample(&failure, &label, failures.count());
            }
        }
    }
    let latency = format!("{name}_latency");
    text.family(&latency, "histogram", "How long requests took, in seconds.");
    for (call, operation) in called() {
        text.histogram(&latency, &format!("operation=\"{call}\""), &operation.latency.counted());
    }
}

fn beats(text: &mut Text, metrics: &Metrics) {
    for (name, counter, help) in [
        ("beats_sent", &metrics.beats_sent, "Heartbeats that were sent, including retries."),
        (
            "beats_coalesced",
            &metrics.beats_coalesced,
            "Records that a newer one replaced before they were sent.",
        ),
        ("beats_failed", &metrics.beats_failed, "Heartbeats that failed with a temporary error."),
        ("beats_refused", &metrics.beats_refused, "Heartbeats that the server permanently refused."),
        ("reconnects", &metrics.reconnects, "Connections after the first one."),
        ("connect_failures", &metrics.connect_failures, "Failed connect attempts."),
        ("tasks_received", &metrics.tasks_received, "Tasks that workers received."),
        ("tasks_handed_back", &metrics.tasks_handed_back, "Tasks that were failed before any work began."),
        ("codec_requests", &metrics.codec_requests, "Requests to the codec server, including retries."),
        ("codec_failures", &metrics.codec_failures, "Requests to the codec server that failed."),
    ] {
        let name = format!("temporal_heartbeat_{name}");
        text.family(&name, "counter", help);
        text.sample(&name, "", counter.count());
    }
    text.family(
        "temporal_heartbeat_signals",
        "counter",
        "How often each signal was set on an open activity.",
    );
    for (signal, counter) in Signals::NAMES.iter().zip(&metrics.signals) {
        text.sample("temporal_heartbeat_signals", &format!("signal=\"{signal}\""), counter.count());
    }
    let name = "temporal_heartbeat_lease_margin_ratio";
    text.family(
        name,
        "histogram",
        "The part of the heartbeat timeout that was left when a beat was acknowledged.",
    );
    text.histogram(name, "", &metrics.lease_margin.counted());
}

struct Text {
    text: String,
    /// The labels of every sample; without a client there are no samples.
    labels: Option<String>,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, label: &str, value: impl Display) {
        let Some(labels) = &self.labels else { return };
        let comma = if label.is_empty() { "" } else { "," };
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{name}{{{labels}{comma}{label}}} {value}");
    }

    fn histogram<const N: usize>(&mut self, name: &str, label: &str, counted: &Counted<N>) {
        let comma = if label.is_empty() { "" } else { "," };
        for (bound, count) in counted.up_to {
            self.sample(&format!("{name}_bucket"), &format!("{label}{comma}le=\"{bound}\""), count);
        }
        self.sample(&format!("{name}_bucket"), &format!("{label}{comma}le=\"+Inf\""), counted.count);
        self.sample(&format!("{name}_sum"), label, counted.sum);
        self.sample(&format!("{name}_count"), label, counted.count);
    }
}

/// Returns the labels of every sample.
fn labels(namespace: &str) -> String {
    let namespace = namespace.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("namespace=\"{namespace}\",service_name=\"{SERVICE_NAME}\"")
}

/// Returns the codes in the spelling of gRPC and the SDKs: `NOT_FOUND`.
fn code_names() -> [String; CODES] {
    std::array::from_fn(|code| {
        let name = format!("{:?}", Code::from_i32(i32::try_from(code).unwrap_or_default()));
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.push(letter.to_ascii_uppercase());
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_as_grpc_does() {
        let names = code_names();
        assert_eq!(
            (names[0].as_str(), names[4].as_str(), names[16].as_str()),
            ("OK", "DEADLINE_EXCEEDED", "UNAUTHENTICATED")
        );
        assert!(names.iter().all(|name| name != "UNKNOWN" || *name == names[2]));
    }

    #[test]
    fn namespace_with_any_name_is_a_valid_label() {
        let telemetry = Telemetry::default();
        telemetry.metrics.begin("a\"b\\c\nd");
        let text = telemetry.exposition(3, 0);
        let line = "temporal_heartbeat_activities_open{namespace=\"a\\\"b\\\\c\\nd\",service_name=\"temporal-heartbeat\"} 3\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn without_a_client_there_are_no_samples() {
        let text = Telemetry::default().exposition(0, 0);
        assert!(text.lines().count() > 20 && text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}
