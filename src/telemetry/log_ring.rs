//! The log ring: keeps the newest records until the program reads them, and writes lines to stderr on request.

use std::{
    collections::VecDeque,
    env,
    time::{Duration, SystemTime},
};

use super::log_record::{Event, Level, Record, Value};
use crate::{
    model::{
        deadline::Deadline,
        error::{Error, Result},
        status::Status,
    },
    sys::{
        self,
        clock::Instant,
        sync::{Condvar, Mutex},
    },
};

/// How many records are kept. A new one replaces the oldest.
pub const CAPACITY: usize = 1024;
/// The longest message of a record or line; the rest is cut off.
const MAX_MESSAGE: usize = 2048;
/// The variable that requests lines on stderr.
pub const VARIABLE: &str = "THB_LOG";

/// Holds the records.
pub struct LogRing {
    /// The least severe level that is written to stderr; `None`: none is.
    stderr: Option<Level>,
    kept: Mutex<Kept>,
    filled: Condvar,
}

#[derive(Default)]
struct Kept {
    records: VecDeque<String>,
    dropped: u64,
    /// Dropped records that weren't reported yet.
    untold: u64,
    /// Indexed by the event's number.
    quotas: Vec<Quota>,
}

/// The quota of an event.
#[derive(Clone, Copy, Default)]
struct Quota {
    used: u32,
    /// When the quota last grew.
    since: Option<Instant>,
    suppressed: u64,
}

impl Default for LogRing {
    fn default() -> Self {
        LogRing {
            // Connect reports an invalid level.
            stderr: check_log_level().unwrap_or_default(),
            kept: Mutex::default(),
            filled: Condvar::new(),
        }
    }
}

impl LogRing {
    /// Resets the quotas for a new client, so that its events are logged however many the previous client had.
    pub fn begin(&self) {
        self.kept.lock().quotas.clear();
    }

    /// Returns whether a record of this event would be visible.
    pub fn wants(&self, event: Event) -> bool {
        event.level() <= self.stderr.unwrap_or(Level::Info).max(Level::Info)
    }

    /// Records an event, unless its quota is used up. `message` is called only if needed.
    pub fn write(&self, event: Event, fields: &[(&str, Value<'_>)], message: impl FnOnce() -> String) {
        if !self.wants(event) {
            return;
        }
        let Some(suppressed) = self.kept.lock().admit(event, Instant::now()) else { return };
        let mut message = message();
        if let Some((cut, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(cut);
        }
        let record = Record { event, message: &message, fields, suppressed, at: SystemTime::now() };
        if self.stderr.is_some_and(|level| event.level() <= level) {
            sys::stderr::write_line(&record.line());
        }
        self.kept.lock().keep(record.json());
        self.filled.notify_one();
    }

    /// Removes and returns the oldest record, waiting for one until the deadline. Returns `None` if there is none.
    pub fn next(&self, deadline: &Deadline) -> Option<String> {
        let mut kept = self.kept.lock();
        loop {
            if let Some(record) = kept.take() {
                return Some(record);
            }
            let left = deadline.remaining();
            if left.is_zero() {
                return None;
            }
            kept = self.filled.wait_timeout(kept, left.min(LONGEST_NAP));
        }
    }

    /// Returns how many records were dropped unread.
    pub fn dropped(&self) -> u64 {
        self.kept.lock().dropped
    }
}

/// The longest single wait: a longer one would overflow some clocks.
const LONGEST_NAP: Duration = Duration::from_secs(3600);

impl Kept {
    /// Takes one record from the event's quota. Returns how many were suppressed before it; `None`: the quota is used
    /// up.
    fn admit(&mut self, event: Event, now: Instant) -> Option<u64> {
        let (burst, period) = event.rate();
        self.quotas.resize(Event::ALL.len(), Quota::default());
        let quota = self.quotas.get_mut(event as usize)?;
        let since = *quota.since.get_or_insert(now);
        let given_back = now.saturating_duration_since(since).as_nanos() / period.as_nanos().max(1);
        if given_back > 0 || quota.used == 0 {
            quota.used = quota.used.saturating_sub(u32::try_from(given_back).unwrap_or(u32::MAX));
            quota.since = Some(now);
        }
        if quota.used >= burst {
            quota.suppressed += 1;
            return None;
        }
        quota.used += 1;
        Some(std::mem::take(&mut quota.suppressed))
    }

    fn keep(&mut self, record: String) {
        if self.records.len() >= CAPACITY {
            self.records.pop_front();
            self.dropped += 1;
            self.untold += 1;
        }
        self.records.push_back(record);
    }

    fn take(&mut self) -> Option<String> {
        if self.untold > 0 {
            let dropped = std::mem::take(&mut self.untold);
            let message = format!("{dropped} records were replaced by newer ones before they were read");
            let fields = &[("dropped", Value::Number(dropped))];
            let event = Event::RecordsDropped;
            let record = Record { event, message: &message, fields, suppressed: 0, at: SystemTime::now() };
            return Some(record.json());
        }
        self.records.pop_front()
    }
}

/// Returns the level that `THB_LOG` requests; `None`: none.
pub fn check_log_level() -> Result<Option<Level>> {
    let Some(text) = env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.to_str() {
        Some("off") => Ok(None),
        name => name.and_then(Level::from_name).map(Some).ok_or_else(|| {
            Error::new(Status::Config, format!("{VARIABLE} must be off, error, warn, info or debug"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> LogRing {
        LogRing { stderr: None, kept: Mutex::default(), filled: Condvar::new() }
    }

    fn taken(log: &LogRing) -> Vec<String> {
        std::iter::from_fn(|| log.next(&Deadline::within(Duration::ZERO))).collect()
    }

    #[test]
    fn newest_records_are_kept_and_dropped_ones_counted() {
        let log = log();
        let all = CAPACITY + 7;
        (0..all).for_each(|number| log.kept.lock().keep(number.to_string()));
        assert_eq!(log.dropped(), 7);
        let records = taken(&log);
        assert!(records[0].contains("\"event\":\"records_dropped\"") && records[0].contains("\"dropped\":7"));
        assert_eq!((records[1].as_str(), records.len()), ("7", CAPACITY + 1));
        assert_eq!(records.last().unwrap(), &(all - 1).to_string());
        assert_eq!(log.dropped(), 7, "taking them doesn't make it undone");
    }

    #[test]
    fn records_of_one_event_are_limited_and_counted() {
        let mut kept = Kept::default();
        let now = Instant::now();
        let event = Event::ConnectFailed;
        let (burst, period) = event.rate();
        let admitted = (0..1000).filter(|_| kept.admit(event, now).is_some()).count();
        assert_eq!(admitted, burst as usize);
        assert_eq!(kept.admit(Event::Connected, now), Some(0), "another kind isn't held up by it");
        assert_eq!(kept.admit(event, now + period), Some(1000 - u64::from(burst)));
        assert_eq!(kept.admit(event, now + period), None);
        assert_eq!(kept.admit(event, now + 100 * period), Some(1));
    }

    #[test]
    fn waiting_thread_gets_the_next_record() {
        let log = std::sync::Arc::new(log());
        let waiter = std::thread::spawn({
            let log = log.clone();
            move || log.next(&Deadline::within(Duration::from_secs(60)))
        });
        log.write(Event::Connected, &[], || "here".to_owned());
        assert!(waiter.join().unwrap().unwrap().contains("\"message\":\"here\""));
    }

    #[test]
    fn invisible_record_is_not_formatted() {
        let log = log();
        log.write(Event::RequestRefused, &[], || panic!("nobody asked for it"));
        assert!(taken(&log).is_empty());
    }

    #[test]
    fn long_message_is_cut_between_characters() {
        let log = log();
        log.write(Event::Connected, &[], || "\u{e9}".repeat(1 << 20));
        let [record] = &taken(&log)[..] else { panic!() };
        assert!(record.len() < 2 * MAX_MESSAGE + 200);
    }
}
