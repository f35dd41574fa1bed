//! Iterates over the items of an open activity, and records each item that is done.
//!
//! ```no_run
//! use temporal_heartbeat::{
//!     api::{activity, track::{TrackError, track}},
//!     model::signals::Signals,
//! };
//!
//! fn work(handle: u64, files: &[String]) -> Result<(), TrackError> {
//!     for file in track(handle, files)? {
//!         compress(file?);
//!     }
//!     Ok(())
//! }
//!
//! fn compress(file: &str) {}
//! ```
//!
//! An item is done when the loop requests the next one. Then it is recorded. After a `break`, a `return` or a `?` in the
//! body, its item isn't recorded. The next attempt begins after the last recorded item. A record may be lost with the
//! process, so the work on an item must be repeatable.
//!
//! After each item and before the first one, the iterator blocks while the activity is paused. If the work should stop, it
//! returns [`TrackError::Stopped`], and then ends.

use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

use serde::Serialize;
use serde_json::Value;

use super::{activity, rpc};
use crate::model::{
    deadline::Timeout,
    error::{Error, Result},
    payload::Encoding,
    signals::Signals,
    status::Status,
};

const TIMEOUT: Timeout = Timeout::Within(rpc::DEFAULT_TIMEOUT);

/// The longest recorded value in a message.
const MAX_SHOWN: usize = 200;

/// Why an iteration ended before its last item.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackError {
    /// The work should stop, because one of [`Signals::STOP`] is set. After `CANCEL_REQUESTED` report the cancellation.
    Stopped(Signals),
    /// A call failed, or the recorded value doesn't belong to these items.
    Failed(Error),
}

impl From<Error> for TrackError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for TrackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(signals) => {
                let set = |(bit, _): &(usize, &str)| signals.bits() & (1 << bit) != 0;
                let names = Signals::NAMES.into_iter().enumerate().filter(set).map(|(_, name)| name);
                let names: Vec<_> = names.collect();
                write!(f, "the work should stop: {}", names.join(", "))
            }
            Self::Failed(error) => f.write_str(error.message()),
        }
    }
}

impl std::error::Error for TrackError {}

/// Iterates over the items that no earlier attempt has done.
///
/// The items must be the same in each attempt, in the same order. The index of the last item that is done is recorded: an
/// integer from 0, as in the other languages. If all items are done, the iteration is empty. Items are skipped with
/// [`Iterator::nth`], so slices and ranges don't read them.
///
/// An activity has one such iteration: begin it before the first record.
///
/// Fails with `InvalidArgument` if the recorded value isn't an index, or is one beyond the end; with `FailedPrecondition`
/// if something was recorded before; and as [`activity::details`].
pub fn track<I: IntoIterator>(handle: u64, items: I) -> Result<Track<I::IntoIter, ByIndex>> {
    let mut items = items.into_iter();
    let mut next_index = 0;
    if let Some(last) = recorded(handle, "index", Value::is_u64)? {
        let index = last.as_u64().and_then(|index| usize::try_from(index).ok());
        if index.and_then(|index| items.nth(index)).is_none() {
            return Err(cannot_resume(format!(
                "item {last} was the last one that was done, but there are fewer items"
            )));
        }
        next_index = last.as_u64().unwrap_or_default() + 1;
    }
    Ok(Track::new(handle, items, ByIndex { next_index }))
}

/// Does the same, but records the key of an item, which must be unique and the same in each attempt. Any JSON is
/// possible.
///
/// Fails with `InvalidArgument` if no item has the recorded key.
pub fn track_by_key<I, F, K>(handle: u64, items: I, key: F) -> Result<Track<I::IntoIter, ByKey<F>>>
where
    I: IntoIterator,
    F: FnMut(&I::Item) -> K,
    K: Serialize,
{
    let mut items = items.into_iter();
    let mut key = ByKey(key);
    if let Some(last) = recorded(handle, "key", |_| true)? {
        let mut count = 0_u64;
        loop {
            let Some(item) = items.next() else {
                return Err(cannot_resume(format!(
                    "no item has the key {}, which the last item that was done had; there are {count} items",
                    shown(&last)
                )));
            };
            count += 1;
            if key.value(&item)? == last {
                break;
            }
        }
    }
    Ok(Track::new(handle, items, key))
}

/// Returns what the previous attempt recorded for its last item, if it recorded anything.
fn recorded(handle: u64, what: &str, is_valid: impl Fn(&Value) -> bool) -> Result<Option<Value>> {
    let info: Value = serde_json::from_str(&activity::info(handle)?).unwrap_or_default();
    if info.get("records").is_some_and(|records| *records != 0) {
        return Err(Error::new(
            Status::FailedPrecondition,
            "something was recorded for the activity before the iteration of track: an activity has one such iteration, \
             which records alone. For several, chain the items, or record them with activity::record",
        ));
    }
    let details = activity::details(handle, TIMEOUT)?.wait()?;
    let values: Vec<Option<Value>> = details
        .values()
        .iter()
        .map(|value| match value.encoding.as_str() {
            "json/plain" => serde_json::from_slice(&value.data).ok(),
            "binary/null" => Some(Value::Null),
            _ => None,
        })
        .collect();
    match &values[..] {
        [] => Ok(None),
        [Some(value)] if is_valid(value) => Ok(Some(value.clone())),
        _ => {
            let texts =
                values.iter().map(|value| value.as_ref().map_or("a value that isn't JSON".into(), shown));
            let texts = texts.collect::<Vec<_>>().join(", ");
            Err(cannot_resume(format!("the heartbeat details aren't the {what} of an item, but {texts}")))
        }
    }
}

fn cannot_resume(reason: String) -> Error {
    Error::argument(format!("track can't resume: {reason}")).with_context(
        "pass the same items and the same kind of key as the earlier attempt. To start with the first item again, delete \
         the details: temporal activity reset --reset-heartbeats",
    )
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// What is recorded for an item.
pub trait RecordOf<T> {
    /// Writes the record of the next item, as JSON.
    fn write(&mut self, item: &T, json: &mut String) -> Result<()>;
}

/// Records the index of an item.
#[derive(Debug)]
pub struct ByIndex {
    next_index: u64,
}

impl<T> RecordOf<T> for ByIndex {
    fn write(&mut self, _: &T, json: &mut String) -> Result<()> {
        let _ = write!(json, "{}", self.next_index); // a String takes any text
        self.next_index += 1;
        Ok(())
    }
}

/// Records the key of an item, which the function returns.
pub struct ByKey<F>(F);

impl<F> ByKey<F> {
    fn value<T, K: Serialize>(&mut self, item: &T) -> Result<Value>
    where
        F: FnMut(&T) -> K,
    {
        serde_json::to_value(self.0(item)).map_err(|error| {
            Error::argument(format!("the key of an item can't be converted to JSON: {error}"))
        })
    }
}

impl<T, K: Serialize, F: FnMut(&T) -> K> RecordOf<T> for ByKey<F> {
    fn write(&mut self, item: &T, json: &mut String) -> Result<()> {
        let _ = write!(json, "{}", self.value(item)?);
        Ok(())
    }
}

/// An iteration over the items of an activity: see [`track`]. After an error it ends.
#[must_use = "an iterator does nothing by itself"]
pub struct Track<I, R> {
    handle: u64,
    items: I,
    record_of: R,
    flush_every: Option<Duration>,
    last_flush: Instant,
    /// What is recorded when the current item is done.
    record: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    BeforeFirst,
    /// The loop works on an item.
    Working,
    Ended,
}

impl<I, R> Track<I, R> {
    fn new(handle: u64, items: I, record_of: R) -> Self {
        let (flush_every, record) = (None, String::new());
        Self {
            handle,
            items,
            record_of,
            flush_every,
            last_flush: Instant::now(),
            record,
            state: State::BeforeFirst,
        }
    }

    /// Flushes the record of an item if the last flush is as long ago, and the record of the last item. Zero flushes
    /// each. For expensive items, of which none may be repeated. After a temporary error the iteration continues.
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.flush_every = Some(interval);
        self
    }

    fn item_is_done(&mut self) -> std::result::Result<(), TrackError> {
        let signals = match activity::record(self.handle, Encoding::Json, self.record.as_bytes()) {
            Err(error) if error.status() == Status::NotFound => Signals::GONE,
            signals => signals?,
        };
        self.check(signals)?;
        match self.flush_every {
            Some(interval) if self.last_flush.elapsed() >= interval => self.flush(),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> std::result::Result<(), TrackError> {
        match activity::flush(self.handle, TIMEOUT).and_then(rpc::Call::wait) {
            Err(error) if error.status() == Status::NotFound => {
                return Err(TrackError::Stopped(Signals::GONE));
            }
            Err(error) if !error.is_retryable() => return Err(error.into()),
            _ => {}
        }
        self.last_flush = Instant::now();
        self.check(activity::signals(self.handle)?)
    }

    /// Waits while the activity is paused.
    fn check(&self, mut signals: Signals) -> std::result::Result<(), TrackError> {
        if signals.contains(Signals::PAUSED) {
            signals = activity::wait_while_paused(self.handle, Timeout::Forever)?;
        }
        if signals.intersects(Signals::STOP) { Err(TrackError::Stopped(signals)) } else { Ok(()) }
    }
}

impl<I: Iterator, R: RecordOf<I::Item>> Track<I, R> {
    fn advance(&mut self) -> std::result::Result<Option<I::Item>, TrackError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::BeforeFirst => self.check(activity::signals(self.handle)?)?,
            State::Working => self.item_is_done()?,
            State::Ended => return Ok(None),
        }
        let Some(item) = self.items.next() else {
            if self.flush_every.is_some() {
                self.flush()?;
            }
            return Ok(None);
        };
        self.record.clear();
        self.record_of.write(&item, &mut self.record)?;
        self.state = State::Working;
        Ok(Some(item))
    }
}

impl<I: Iterator, R: RecordOf<I::Item>> Iterator for Track<I, R> {
    type Item = std::result::Result<I::Item, TrackError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
