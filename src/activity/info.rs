//! What can be told about an activity, as JSON.

use std::{fmt::Write, time::Duration};

use super::state::Info;
use crate::model::signals::Signals;

impl Info {
    /// The JSON object. Keys are added, never changed.
    pub fn json(&self, signals: Signals) -> String {
        let info = self;
        let ms = |time: Option<Duration>| time.map_or("null".to_owned(), |time| time.as_millis().to_string());
        let counts = info.counts;
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "{{\"state\":\"{}\",\"attempt\":{},\"addressed_by\":{},\"signals\":{},\"heartbeat_timeout_ms\":{},\"lease_left_ms\":{},\
         \"since_acknowledged_ms\":{},\"pending\":{},\"next_beat_ms\":{},\"records\":{},\"beats\":{},\"failed_tries\":{},\
         \"leases_regained\":{},\"last_error\":",
            info.state,
            info.attempt,
            info.addressed_by.map_or("null".to_owned(), |way| format!("\"{way}\"")),
            signals.bits(),
            info.heartbeat_timeout.as_millis(),
            ms(info.lease_left),
            ms(info.since_acknowledged),
            info.pending,
            ms(info.next_beat),
            info.counts.records,
            counts.beats,
            counts.failed_tries,
            counts.leases_regained,
        );
        match &info.last_error {
            None => text.push_str("null"),
            Some(error) => {
                let quoted = serde_json::to_string(error.message()).unwrap_or_else(|_| "\"\"".to_owned());
                let _ = write!(
                    text,
                    "{{\"code\":{},\"name\":\"{}\",\"message\":{quoted}}}",
                    error.status().code(),
                    error.status().name().to_string_lossy()
                );
            }
        }
        text.push('}');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        activity::state::Counts,
        model::{error::Error, status::Status},
    };

    #[test]
    fn it_is_json_whatever_the_error_says() {
        let info = Info {
            attempt: 2,
            addressed_by: Some("ids"),
            state: "open",
            heartbeat_timeout: Duration::from_secs(10),
            lease_left: None,
            since_acknowledged: Some(Duration::from_millis(5)),
            pending: true,
            next_beat: None,
            counts: Counts::default(),
            last_error: Some(Error::new(Status::Unavailable, "a \"quoted\"\nmessage")),
        };
        let text = info.json(Signals::PAUSED);
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&read["signals"], &read["lease_left_ms"]), (&2.into(), &serde_json::Value::Null));
        assert_eq!(read["addressed_by"], "ids");
        assert_eq!(read["last_error"]["message"], "a \"quoted\"\nmessage");
        assert_eq!(read["last_error"]["name"], "THB_UNAVAILABLE");
    }
}
