//! The report on an open activity, as JSON.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::state::Info;
use crate::model::{error::Error, signals::Signals};

impl Info {
    /// Returns the JSON object. Keys may be added but never change.
    pub fn json(&self, signals: Signals) -> String {
        serde_json::to_string(&Report { info: self, signals }).unwrap_or_default()
    }
}

// `json!` would add 20 KiB of code and sort the keys.
struct Report<'a> {
    info: &'a Info,
    signals: Signals,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let Report { info, signals } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("state", info.state)?;
        map.serialize_entry("attempt", &info.attempt)?;
        map.serialize_entry("addressed_by", &info.addressed_by)?;
        map.serialize_entry("signals", &signals.bits())?;
        map.serialize_entry("heartbeat_timeout_ms", &ms(info.heartbeat_timeout))?;
        map.serialize_entry("lease_left_ms", &info.lease_left.map(ms))?;
        map.serialize_entry("since_acknowledged_ms", &info.since_acknowledged.map(ms))?;
        map.serialize_entry("pending", &info.pending)?;
        map.serialize_entry("unencoded_ms", &info.unencoded.map(ms))?;
        map.serialize_entry("next_beat_ms", &info.next_beat.map(ms))?;
        map.serialize_entry("records", &{ info.counts.records })?;
        map.serialize_entry("beats", &info.counts.beats)?;
        map.serialize_entry("failed_tries", &info.counts.failed_tries)?;
        map.serialize_entry("leases_regained", &info.counts.leases_regained)?;
        map.serialize_entry("last_error", &info.last_error.as_ref().map(LastError))?;
        map.serialize_entry("status", &(!info.status.is_empty()).then_some(&info.status))?;
        map.serialize_entry("since_progress_ms", &ms(info.since_progress))?;
        let server = &info.server;
        map.serialize_entry("following", &server.is_following)?;
        map.serialize_entry("timeouts_from", if server.is_described { "server" } else { "options" })?;
        map.serialize_entry("start_to_close_timeout_ms", &server.start_to_close_timeout.map(ms))?;
        map.serialize_entry("schedule_to_close_timeout_ms", &server.schedule_to_close_timeout.map(ms))?;
        map.serialize_entry("cancel_reason", &server.reasons.cancel_reason)?;
        map.serialize_entry("cancel_identity", &server.reasons.cancel_identity)?;
        map.serialize_entry("pause_reason", &server.reasons.pause_reason)?;
        map.serialize_entry("pause_identity", &server.reasons.pause_identity)?;
        map.end()
    }
}

struct LastError<'a>(&'a Error);

impl Serialize for LastError<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", &self.0.status().code())?;
        map.serialize_entry("name", &self.0.status().name().to_string_lossy())?;
        map.serialize_entry("message", self.0.message())?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activity::state::{Counts, ServerInfo},
        model::{error::Error, status::Status},
    };

    #[test]
    fn report_is_json_for_any_error_text() {
        let info = Info {
            attempt: 2,
            addressed_by: Some("ids"),
            state: "open",
            heartbeat_timeout: Duration::from_secs(10),
            lease_left: None,
            since_acknowledged: Some(Duration::from_millis(5)),
            pending: true,
            unencoded: None,
            next_beat: None,
            counts: Counts::default(),
            last_error: Some(Error::new(Status::Unavailable, "a \"quoted\"\nmessage")),
            status: "loading".into(),
            since_progress: Duration::from_millis(7),
            server: ServerInfo::default(),
        };
        let text = info.json(Signals::PAUSED);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["signals"], &read["lease_left_ms"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!(read["addressed_by"], "ids");
        assert_eq!((&read["status"], &read["since_progress_ms"]), (&"loading".into(), &7.into()));
        assert_eq!(read["last_error"]["message"], "a \"quoted\"\nmessage");
        assert_eq!(read["last_error"]["name"], "THB_UNAVAILABLE");
    }
}
