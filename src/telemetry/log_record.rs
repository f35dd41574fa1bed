//! One log record: the event, its level, a message and fields.

use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::model::printable::printable;

const END_OF_9999: Duration = Duration::from_secs(253_402_300_799);

/// The severity of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Needs action.
    Error,
    /// Needs attention if it persists.
    Warn,
    /// Informs about normal operation.
    Info,
    /// Helps to find the cause of a problem.
    Debug,
}

impl Level {
    /// Returns the level's name, in records and in `THB_LOG`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }

    /// Returns the level with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Level::Error, Level::Warn, Level::Info, Level::Debug].into_iter().find(|level| level.name() == name)
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $event:ident = $name:literal $level:ident at most $burst:literal then every $seconds:literal s,)*) => {
        /// The events. Names are added, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $event,)*
        }

        impl Event {
            /// Every event.
            pub const ALL: &'static [Event] = &[$(Event::$event,)*];

            /// Returns the event's name in records.
            pub fn name(self) -> &'static str {
                match self { $(Event::$event => $name,)* }
            }

            /// Returns the event's level.
            pub fn level(self) -> Level {
                match self { $(Event::$event => Level::$level,)* }
            }

            /// Returns how many records of the event there may be at once, and the interval at which one more is
            /// allowed.
            pub fn rate(self) -> (u32, Duration) {
                match self { $(Event::$event => ($burst, Duration::from_secs($seconds)),)* }
            }
        }
    };
}

events! {
    /// A connection was made.
    Connected = "connected" Info at most 5 then every 10 s,
    /// A connection couldn't be made.
    ConnectFailed = "connect_failed" Warn at most 5 then every 10 s,
    /// The codec server couldn't encode or decode values.
    CodecFailed = "codec_failed" Warn at most 5 then every 10 s,
    /// It has answered again after that.
    CodecAnswers = "codec_answers" Info at most 5 then every 10 s,
    /// Files with credentials have changed and were reread.
    CredentialsRenewed = "credentials_renewed" Info at most 5 then every 10 s,
    /// Such a file is invalid now; the previous contents stay in force.
    RenewalFailed = "renewal_failed" Warn at most 2 then every 10 s,
    /// Some of the CA certificates can't be used.
    CertificatesSkipped = "certificates_skipped" Warn at most 2 then every 10 s,
    /// The caller disconnected the client.
    Disconnected = "disconnected" Info at most 5 then every 10 s,
    /// A try failed with a temporary error.
    RequestFailed = "request_failed" Warn at most 5 then every 10 s,
    /// A call returned an error of the server.
    RequestRefused = "request_refused" Debug at most 20 then every 1 s,
    /// A signal of an open activity was set or cleared.
    Signal = "signal" Info at most 50 then every 1 s,
    /// An open activity makes no progress.
    Stalled = "stalled" Warn at most 20 then every 1 s,
    /// What an open activity without progress is doing, or why that couldn't be reported.
    StallReport = "stall_report" Warn at most 5 then every 10 s,
    /// No beat of an open activity was acknowledged for a heartbeat timeout.
    LeaseLost = "lease_lost" Warn at most 20 then every 1 s,
    /// A beat was acknowledged after the lease was lost.
    LeaseRegained = "lease_regained" Info at most 20 then every 1 s,
    /// The server enforces no heartbeat timeout for an open activity.
    NoHeartbeatTimeout = "no_heartbeat_timeout" Warn at most 1 then every 3600 s,
    /// No long poll shows changes of an activity with `follow_server`.
    NotFollowed = "not_followed" Warn at most 5 then every 60 s,
    /// The server refuses the beats of an open activity.
    BeatsRefused = "beats_refused" Error at most 10 then every 10 s,
    /// Polling a task queue failed, and is retried.
    PollingFailed = "polling_failed" Warn at most 5 then every 10 s,
    /// A poll has succeeded again after that.
    PollingWorks = "polling_works" Info at most 5 then every 10 s,
    /// A worker takes no tasks, because all its slots are occupied.
    SlotsOccupied = "slots_occupied" Info at most 5 then every 60 s,
    /// A worker failed an attempt as retryable before any work began.
    TaskHandedBack = "task_handed_back" Warn at most 20 then every 1 s,
    /// A message is near the server's size limit.
    Large = "large" Warn at most 5 then every 10 s,
    /// There is no activity in the environment, so connect or a handle is inactive.
    Inactive = "inactive" Info at most 5 then every 10 s,
    /// The metrics are being served.
    MetricsServed = "metrics_served" Info at most 5 then every 10 s,
    /// Records were dropped because the program didn't read them.
    RecordsDropped = "records_dropped" Warn at most 1 then every 0 s,
}

/// The value of a field.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
}

/// A log record.
pub struct Record<'a> {
    /// The event.
    pub event: Event,
    /// The message.
    pub message: &'a str,
    /// The fields.
    pub fields: &'a [(&'a str, Value<'a>)],
    /// How many records of the event were suppressed before this one.
    pub suppressed: u64,
    /// The time of the event.
    pub at: SystemTime,
}

impl Record<'_> {
    /// Returns the record as a JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the record as a line for people.
    pub fn line(&self) -> String {
        let mut text = format!(
            "{} {:5} temporal-heartbeat {}: {}",
            humantime::format_rfc3339_millis(UNIX_EPOCH + self.unix()),
            self.event.level().name().to_uppercase(),
            self.event.name(),
            printable(self.message)
        );
        for (name, value) in self.fields {
            // Writing to a string can't fail.
            let _ = match value {
                Value::Text(words) => write!(text, " {name}={words:?}"),
                Value::Number(number) => write!(text, " {name}={number}"),
            };
        }
        if self.suppressed > 0 {
            // Writing to a string can't fail.
            let _ = write!(text, " suppressed={}", self.suppressed);
        }
        text
    }

    /// The time since 1970, at most to the end of the year 9999: humantime formats no other time.
    fn unix(&self) -> Duration {
        self.at.duration_since(UNIX_EPOCH).unwrap_or_default().min(END_OF_9999)
    }
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time_unix_ms", &self.unix().as_millis())?;
        map.serialize_entry("level", self.event.level().name())?;
        map.serialize_entry("event", self.event.name())?;
        map.serialize_entry("message", self.message)?;
        for (name, value) in self.fields {
            match value {
                Value::Text(words) => map.serialize_entry(name, words)?,
                Value::Number(number) => map.serialize_entry(name, number)?,
            }
        }
        if self.suppressed > 0 {
            map.serialize_entry("suppressed", &self.suppressed)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(message: &str) -> Record<'_> {
        let fields = &[("peer", Value::Text("a \"b\"")), ("activity", Value::Number(7))];
        let at = UNIX_EPOCH + Duration::from_millis(1_764_094_717_309);
        Record { event: Event::LeaseLost, message, fields, suppressed: 3, at }
    }

    #[test]
    fn record_is_json_for_any_text() {
        let read: serde_json::Value = serde_json::from_str(&record("two\n\"lines\"").json()).unwrap();
        assert_eq!(read["message"], "two\n\"lines\"");
        assert_eq!((&read["level"], &read["event"]), (&"warn".into(), &"lease_lost".into()));
        assert_eq!(
            (&read["peer"], &read["activity"], &read["suppressed"]),
            (&"a \"b\"".into(), &7.into(), &3.into())
        );
    }

    #[test]
    fn record_is_one_line_as_text() {
        let line = record("two\nlines").line();
        let expected = "2025-11-25T18:18:37.309Z WARN  temporal-heartbeat lease_lost: two\\nlines peer=\"a \\\"b\\\"\" activity=7 suppressed=3";
        assert_eq!(line, expected);
    }

    #[test]
    fn server_message_does_not_control_the_terminal() {
        let line = record("\u{1b}[31m\u{9b}2J\u{7f}\u{202e}\r\n2025 ERROR 'é'").line();
        assert!(line.contains(r"\u{1b}[31m\u{9b}2J\u{7f}\u{202e}\r\n2025 ERROR 'é'"), "{line}");
    }

    #[test]
    fn wrong_clock_is_formatted() {
        for (at, text) in [
            (UNIX_EPOCH - Duration::from_secs(1), "1970-01-01T00:00:00.000Z"),
            (UNIX_EPOCH + Duration::from_secs(1 << 40), "9999-12-31T23:59:59.000Z"),
        ] {
            let line = Record { at, ..record("x") }.line();
            assert!(line.starts_with(text), "{line}");
        }
    }

    #[test]
    fn page_on_logs_lists_every_event() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logs.md");
        let page = std::fs::read_to_string(page).unwrap();
        for event in Event::ALL {
            let row = format!("| `{}` | {} |", event.name(), event.level().name());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_level_is_found_by_its_name() {
        for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
            assert_eq!(Level::from_name(level.name()), Some(level));
        }
        assert_eq!(Level::from_name("off"), None);
    }
}
