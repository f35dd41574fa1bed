//! Logs and counts changes of an activity's signals, and logs a missing heartbeat timeout.

use super::{Activities, handle::Handle, stall_options::StallAction, state::SignalChange};
use crate::{
    model::{attempt::Ids, signals::Signals},
    telemetry::log_record::{Event, Value},
};

impl Activities {
    /// Counts and logs the changes of an activity's signals.
    pub fn log_signals(&self, handle: Handle, change: &SignalChange) {
        let changed = change.signals.changed(change.before, Signals::from_bits(u32::MAX));
        let set = Signals::from_bits(changed.bits() & change.signals.bits());
        self.telemetry.metrics.signalled(set);

        let activity = change.ids.activity_id.as_str();
        for (bit, name) in Signals::NAMES.iter().enumerate() {
            let signal = Signals::from_bits(1 << bit);
            if !changed.contains(signal) {
                continue;
            }
            let is_set = set.contains(signal);
            let [number, activity_id, workflow_id] = fields(handle, &change.ids);
            let fields = &[
                ("signal", Value::Text(name)),
                ("set", Value::Number(is_set.into())),
                number,
                activity_id,
                workflow_id,
            ];
            let (event, words) = words(signal, is_set, name, change.stall_action);
            self.telemetry.log.write(event, fields, || match (&change.why, is_set) {
                (Some(why), true) => format!("activity {activity}: {words}; last error: {why}"),
                _ => format!("activity {activity}: {words}"),
            });
        }
    }

    /// Logs that the server enforces no heartbeat timeout for an activity.
    pub fn log_no_heartbeat_timeout(&self, handle: Handle, ids: &Ids) {
        self.telemetry.log.write(Event::NoHeartbeatTimeout, &fields(handle, ids), || {
            format!(
                "activity {}: it has no heartbeat timeout, so that the server notices a dead process only at the \
                 start-to-close timeout: set a heartbeat timeout in the workflow",
                ids.activity_id
            )
        });
    }
}

/// The fields that identify an activity.
fn fields(handle: Handle, ids: &Ids) -> [(&'static str, Value<'_>); 3] {
    [
        ("activity", Value::Number(handle.number())),
        ("activity_id", Value::Text(&ids.activity_id)),
        ("workflow_id", Value::Text(&ids.workflow_id)),
    ]
}

fn words(signal: Signals, is_set: bool, name: &str, action: StallAction) -> (Event, String) {
    let (event, words) = match (signal, is_set) {
        (Signals::LEASE_LOST, true) => (
            Event::LeaseLost,
            "no beat was acknowledged for a whole heartbeat timeout; another attempt may be running",
        ),
        (Signals::LEASE_LOST, false) => (Event::LeaseRegained, "a beat was acknowledged again"),
        (Signals::STALLED, true) => {
            let words = match action {
                StallAction::Stop => "no progress for the stall timeout; its beats have stopped",
                StallAction::Warn => "no progress for the stall timeout; its beats continue",
                StallAction::Fail => "no progress for the stall timeout; the attempt is failed",
            };
            (Event::Stalled, words)
        }
        (Signals::REFUSED, true) => {
            (Event::BeatsRefused, "the server refuses its beats, and retries don't help")
        }
        (Signals::GONE, true) => (Event::Signal, "it is over for this token"),
        (_, true) => return (Event::Signal, format!("{name} was set")),
        (_, false) => return (Event::Signal, format!("{name} was cleared")),
    };
    (event, words.to_owned())
}
