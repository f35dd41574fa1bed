//! Activities held open: a handle stands for one, and its beats go out in the background.
//!
//! | file | what it does |
//! |---|---|
//! | `options` | reads how an activity is to be held |
//! | `handle`, `registry` | numbers that stand for open activities, and where those are |
//! | `schedule` | when to beat: arithmetic |
//! | `state` | one activity: the rules of lease, throttle and pulse |
//! | `watch` | one waiter for many |
//! | `info` | what can be told about one, as JSON |
//!
//! `pulse`, beside this folder, sends what is due.

pub mod handle;
mod info;
pub mod options;
pub mod registry;
mod schedule;
pub mod state;
pub mod watch;

use std::{
    future::Future,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    client::Client,
    deadline::{Deadline, Timeout},
    details::Details,
    error::{Error, Result},
    failure::Report,
    global,
    payload::{Encoding, Payloads},
    pulse::Pulse,
    signals::Signals,
    status::Status,
    sys::clock::Moment,
    token::{self, Token},
};
use handle::Handle;
use options::OpenOptions;
use registry::{Look, Registry};
use state::{Activity, Unsent};
use watch::Watches;

/// The longest that a waiter sleeps before it looks again, for the sake of times that pass unnoticed while the machine is suspended.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// What the process holds open, and what sends for it. It outlives the client, and is empty without one.
pub struct Activities {
    /// The open ones.
    pub registry: Registry,
    /// When they are due.
    pub pulse: Pulse,
    /// Who wants to hear of their signals.
    pub watches: Watches,
}

impl Activities {
    /// None, in a process that was forked this often.
    pub fn new(fork: u32) -> Self {
        Activities { registry: Registry::new(fork), pulse: Pulse::default(), watches: Watches::default() }
    }

    /// Tells the sender of an activity that has something to do.
    fn tell(&self, handle: Handle, due: Moment) {
        self.pulse.schedule(due, handle);
    }
}

/// Opens an activity: from now on beats go out for it. Never waits for the server.
pub fn open(token: &[u8], options_json: &[u8]) -> Result<u64> {
    let mut options = OpenOptions::read(options_json)?;
    let token = match (options.token.take(), token) {
        (Some(handed), []) => handed,
        (Some(_), _) => {
            return Err(Error::argument("there is a token, and from_env asks for another: give one"));
        }
        (None, token) => token.to_vec(),
    };
    let token = crate::calls::checked(&token)?;
    // Who opens must be connected, for nobody would send otherwise.
    global::session()?;
    let read = Token::read(&token);
    if read.is_none() && options.initial_details.is_none() && options.pulse {
        return Err(Error::new(
            Status::TokenUnreadable,
            "the token isn't one that can be read, so that the progress that the server holds can't be asked for: give \
             initial_details, or pulse false",
        ));
    }
    let activities = global::activities()?;
    let activity = Activity::open(&token, read.as_ref(), workflow(read.as_ref()), options, Moment::now())?;
    let due = activity.due();
    let handle = activities.registry.insert(activity)?;
    activities.tell(handle, due);
    Ok(handle.number())
}

/// Records progress; what the server and the clock ask for, as far as known. Never waits.
#[inline]
pub fn record(number: u64, encoding: Encoding, data: &[u8]) -> Result<Signals> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let limit = activities.registry.size_limit();
    let (signals, earlier) = activities.registry.with(handle, |activity| -> Result<_> {
        let now = Moment::now();
        // First of all: whoever wakes from a freeze must hear of it before more work is done.
        let signals = activity.signals(now);
        let earlier = activity.record(encoding, data, limit, now)?;
        Ok((signals, earlier.then(|| activity.due())))
    })??;
    if let Some(due) = earlier {
        activities.tell(handle, due);
    }
    Ok(signals)
}

/// Tells progress without details. Never waits.
pub fn touch(number: u64) -> Result<Signals> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let (signals, earlier) = activities.registry.with(handle, |activity| -> Result<_> {
        let now = Moment::now();
        let signals = activity.signals(now);
        let earlier = activity.touch(now)?;
        Ok((signals, earlier.then(|| activity.due())))
    })??;
    if let Some(due) = earlier {
        activities.tell(handle, due);
    }
    Ok(signals)
}

/// What the server and the clock ask for, as far as known. Never waits.
pub fn signals(number: u64) -> Result<Signals> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    activities.registry.with(handle, |activity| activity.signals(Moment::now()))
}

/// Waits until a signal among `mask` differs from `known`, or the time is over. The signals then.
pub fn wait(number: u64, mask: Signals, known: Signals, timeout: Timeout) -> Result<Signals> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    // Zero polls.
    let deadline = timeout.start().unwrap_or(Deadline::within(Duration::ZERO));
    let mut last = known;
    let found = activities.registry.wait(handle, deadline, |activity| {
        let now = Moment::now();
        last = activity.signals(now);
        if !last.changed(known, mask).is_empty() {
            return Ok(Look::Found(last));
        }
        Ok(Look::Again(activity.next_change(now).since(now).min(LONGEST_NAP)))
    });
    Ok(woken(found)?.unwrap_or(last))
}

/// The details that there were when the activity was opened: the previous attempt's.
pub fn details(number: u64, timeout: Timeout) -> Result<Details> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let deadline = timeout.start().unwrap_or(Deadline::within(Duration::ZERO));
    let mut why = None;
    let found = activities.registry.wait(handle, deadline, |activity| {
        let (opening, earlier) = activity.opening(Moment::now())?;
        if let Some(details) = opening {
            return Ok(Look::Found(details));
        }
        if earlier {
            activities.tell(handle, activity.due());
        }
        why = activity.last_error().cloned();
        Ok(Look::Again(LONGEST_NAP))
    });
    woken(found)?.ok_or_else(|| out_of_time(why, "the details at the start aren't known yet"))
}

/// What can be told about the activity, as JSON.
pub fn info(number: u64) -> Result<String> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let now = Moment::now();
    let (info, signals) =
        activities.registry.with(handle, |activity| (activity.info(now), activity.signals(now)))?;
    Ok(info::json(&info, signals))
}

/// Sends what was recorded, and waits until the server has it.
pub fn flush(number: u64, timeout: Timeout) -> Result<()> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    match timeout.start() {
        Some(deadline) => flush_until(activities, handle, deadline),
        None => Err(Error::new(Status::Timeout, "the timeout is 0: nothing was waited for")),
    }
}

/// Ends the activity with a result.
pub fn complete(number: u64, result: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let limit = global::activities()?.registry.size_limit();
    crate::calls::check_result(&result, limit)?;
    end(number, timeout, |client, token, _, deadline| async move {
        client.complete(token, result, deadline).await
    })
}

/// Ends the attempt with a failure, described in JSON. Details that the server doesn't have yet go with it.
pub fn fail(number: u64, failure_json: &[u8], timeout: Timeout) -> Result<()> {
    let report = Report::read(failure_json)?;
    if report.heartbeat_details.is_some() {
        return Err(Error::argument(
            "failure_json.heartbeat_details: an activity that is held open sends what was recorded with its handle; record them",
        ));
    }
    report.check_size(global::activities()?.registry.size_limit())?;
    end(number, timeout, |client, token, Unsent(unsent), deadline| {
        let report = Report { heartbeat_details: unsent, ..report };
        async move { client.fail(token, report, deadline).await }
    })
}

/// Ends the activity as cancelled. The request has no room for what was recorded, so that is sent before.
pub fn report_cancelled(number: u64, details: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let activities = global::activities()?;
    details
        .as_ref()
        .map_or(Ok(()), |details| details.check_size("details", activities.registry.size_limit()))?;
    let handle = activities.registry.handle(number)?;
    if let Some(deadline) = timeout.start() {
        flush_until(activities, handle, deadline)?;
    }
    end(number, timeout, |client, token, _, deadline| async move {
        client.report_cancelled(token, details, deadline).await
    })
}

/// Closes the handle: what was recorded is sent, for which there is the time of `timeout`, and nothing more afterwards. The handle
/// is closed whatever this returns.
pub fn close(number: u64, timeout: Timeout) -> Result<()> {
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let unsent = activities.registry.with(handle, |activity| matches!(activity.is_flushed(), Ok(false)))?;
    let flushed = match timeout.start() {
        Some(deadline) if unsent => flush_until(activities, handle, deadline),
        None if unsent => {
            Err(Error::new(Status::Timeout, "the timeout is 0: what was recorded last wasn't sent"))
        }
        _ => Ok(()),
    };
    if activities.registry.remove(handle)?.watched {
        activities.watches.forget(number);
    }
    flushed
}

/// Sends what all activities have recorded, until the deadline, and closes them.
pub fn close_all(activities: &Activities, timeout: Timeout) {
    let handles = activities.registry.handles();
    if let Some(deadline) = timeout.start() {
        for handle in &handles {
            press(activities, *handle);
        }
        for handle in &handles {
            // Whatever it is that can't be sent: the client is going.
            let _ = flush_until(activities, *handle, deadline);
        }
    }
    for handle in handles {
        // Somebody else may have closed it meanwhile.
        let _ = activities.registry.remove(handle);
    }
    activities.watches.close_all();
}

fn press(activities: &Activities, handle: Handle) {
    let due = activities.registry.with(handle, |activity| {
        let unsent = matches!(activity.is_flushed(), Ok(false));
        (unsent && activity.press(Moment::now())).then(|| activity.due())
    });
    if let Ok(Some(due)) = due {
        activities.tell(handle, due);
    }
}

fn flush_until(activities: &Activities, handle: Handle, deadline: Deadline) -> Result<()> {
    press(activities, handle);
    let mut why = None;
    let flushed = activities.registry.wait(handle, deadline, |activity| {
        why = activity.last_error().cloned();
        Ok(if activity.is_flushed()? { Look::Found(()) } else { Look::Again(LONGEST_NAP) })
    });
    woken(flushed)?.ok_or_else(|| out_of_time(why, "what was recorded isn't acknowledged yet"))
}

/// Makes a call that ends the activity, with its beats suspended.
fn end<Call, Ending>(number: u64, timeout: Timeout, call: Call) -> Result<()>
where
    Call: FnOnce(Arc<Client>, Bytes, Unsent, Deadline) -> Ending,
    Ending: Future<Output = Result<()>> + Send + 'static,
{
    let activities = global::activities()?;
    let handle = activities.registry.handle(number)?;
    let session = global::session()?;
    let Some(deadline) = timeout.start() else {
        return Err(Error::new(Status::Timeout, "the timeout is 0: nothing was sent"));
    };
    activities.registry.with(handle, Activity::begin_ending)??;

    let landed = activities.registry.wait(handle, deadline, |activity| {
        Ok(match activity.may_end()? {
            Some(unsent) => Look::Found((Bytes::copy_from_slice(activity.token()), unsent)),
            None => Look::Again(LONGEST_NAP),
        })
    });
    let outcome = match woken(landed) {
        Ok(Some((token, unsent))) => session.run(deadline, |client| call(client, token, unsent, deadline)),
        Ok(None) => Err(Error::new(Status::Timeout, "a beat is still under way; nothing was ended")),
        Err(error) => Err(error),
    };
    let due = activities
        .registry
        .change(handle, |activity| activity.finish_ending(&outcome, Moment::now()).then(|| activity.due()));
    if let Ok(Some(due)) = due {
        activities.tell(handle, due);
    }
    activities.look(handle);
    outcome
}

/// A handle that was closed by a disconnect, while somebody waited for its activity, is no mistake of theirs.
fn woken<T>(waited: Result<T>) -> Result<T> {
    waited.map_err(|error| match error.status() {
        Status::InvalidHandle if global::session().is_err() => {
            Error::new(Status::NotConnected, "the client was disconnected, which closed the handle")
        }
        _ => error,
    })
}

fn out_of_time(why: Option<Error>, what: &str) -> Error {
    match why {
        Some(error) => error.because(what),
        None => Error::new(Status::Timeout, what),
    }
}

/// A hash of the activity's workflow, or of nothing in particular.
fn workflow(token: Option<&Token>) -> u32 {
    let mut hasher = DefaultHasher::new();
    match token.map(|token| &token.activity) {
        Some(token::Activity::OfWorkflow { workflow_id, .. }) => workflow_id.hash(&mut hasher),
        Some(token::Activity::Standalone { activity_id, .. }) => activity_id.hash(&mut hasher),
        None => fastrand::u64(..).hash(&mut hasher),
    }
    u32::try_from(hasher.finish() >> 32).unwrap_or(0)
}
