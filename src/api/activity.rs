//! What a process can do with an activity that it holds open, by handle.
//!
//! Like [`crate::api::rpc`] these are the functions of the C header, for Rust. Recording never waits; what waits says for how long.

use zeroize::Zeroizing;

use crate::{
    activity::{Activities, LONGEST_NAP, registry::Checked, state::Activity, watch::News},
    client::Ending,
    model::{
        deadline::{Deadline, Timeout},
        details::Details,
        error::{Error, Result},
        failure::Report,
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    process,
    sys::clock::Moment,
};

pub use crate::activity::options::OpenOptions;

/// Opens an activity, with options in JSON: from now on beats go out for it. Never waits for the server.
pub fn open(token: &[u8], options_json: &[u8]) -> Result<u64> {
    open_with(token, OpenOptions::read(options_json)?)
}

/// Opens an activity. The token is given here or by the options.
pub fn open_with(token: &[u8], mut options: OpenOptions) -> Result<u64> {
    let token = match (options.token.take(), token) {
        (Some(handed), []) => handed,
        (Some(_), _) => {
            return Err(Error::argument("there is a token, and from_env asks for another: give one"));
        }
        (None, token) => Zeroizing::new(token.to_vec()),
    };
    // Without a connection no beats would be sent.
    let session = process::session()?;
    let activities = process::activities()?;
    activities.rules.check("initial_details", &options.initial_details)?;
    options.require_encoded |= activities.rules.require_encoded();
    let activity = Activity::open(&token, options, Moment::now())?;
    let due = activity.due();
    let handle = activities.registry.insert(activity)?;
    // A disconnect that came before the insertion didn't see this activity. Without this check the next connection would send for it.
    if !process::is_current(&session)? {
        let _ = activities.registry.remove(handle);
        return Err(Error::new(Status::NotConnected, "disconnected while the activity was being opened"));
    }
    activities.wake_at(handle, due);
    Ok(handle.number())
}

/// Records progress; what the server and the clock ask for, as far as known. Never waits.
#[inline]
pub fn record(number: u64, encoding: Encoding, data: &[u8]) -> Result<Signals> {
    progress(number, |activity, limit, now| activity.record(encoding, data, limit, now))
}

/// Tells progress without details. Never waits.
pub fn touch(number: u64) -> Result<Signals> {
    progress(number, |activity, _, now| activity.touch(now))
}

#[inline]
fn progress(
    number: u64,
    change: impl FnOnce(&mut Activity, usize, Moment) -> Result<bool>,
) -> Result<Signals> {
    let activities = process::activities()?;
    activities.progress(activities.registry.handle(number)?, change)
}

/// What the server and the clock ask for, as far as known. Never waits.
pub fn signals(number: u64) -> Result<Signals> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    activities.registry.with(handle, |activity| activity.signals(Moment::now()))
}

/// Waits until a signal among `mask` differs from `known`, or the time is over. The signals then.
pub fn wait(number: u64, mask: Signals, known: Signals, timeout: Timeout) -> Result<Signals> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let deadline = timeout.start_waiting();
    let mut last = known;
    let found = activities.registry.wait(handle, deadline, |activity| {
        let now = Moment::now();
        last = activity.signals(now);
        if !last.changed(known, mask).is_empty() {
            return Ok(Checked::Found(last));
        }
        Ok(Checked::Again(activity.next_change(now).since(now).min(LONGEST_NAP)))
    });
    Ok(activities.woken(found)?.unwrap_or(last))
}

/// The details that there were when the activity was opened: the previous attempt's.
pub fn details(number: u64, timeout: Timeout) -> Result<Details> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let deadline = timeout.start_waiting();
    let mut why = None;
    let mut asked = false;
    let found = activities.registry.wait(handle, deadline, |activity| {
        let (opening, earlier) = activity.initial_details(asked, Moment::now())?;
        asked = true;
        if let Some(details) = opening {
            return Ok(Checked::Found(details));
        }
        if earlier {
            activities.wake_at(handle, activity.due());
        }
        why = activity.last_error().cloned();
        Ok(Checked::Again(LONGEST_NAP))
    });
    activities
        .woken(found)?
        .ok_or_else(|| Error::out_of_time(why, "the details at the start aren't known yet"))
}

/// What can be told about the activity, as JSON.
pub fn info(number: u64) -> Result<String> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let (info, signals) = activities
        .registry
        .with(handle, |activity| (activity.info(Moment::now()), activity.signals(Moment::now())))?;
    Ok(info.json(signals))
}

/// Sends what was recorded, and waits until the server has it.
pub fn flush(number: u64, timeout: Timeout) -> Result<()> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    activities.flush(handle, timeout.start_sending()?)
}

/// Sends a beat without waiting for its time, whether or not there is something new to tell, and waits for the answer: the
/// server's word that the activity is alive, and what it asks for.
pub fn beat(number: u64, timeout: Timeout) -> Result<Signals> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    activities.beat(handle, timeout.start_sending()?)?;
    signals(number)
}

/// Ends the activity with a result.
pub fn complete(number: u64, result: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let activities = process::activities()?;
    activities.rules.check_result(&result)?;
    if requires_encoded(activities, number)? {
        result.as_ref().map_or(Ok(()), |result| result.refuse_readable("result"))?;
    }
    end(number, timeout.start_sending()?, |_| Ending::Complete(result))
}

/// Ends the attempt with a failure, described in JSON. Details that the server doesn't have yet go with it. By ids a flush precedes it,
/// and for a standalone activity [`Client::end`](crate::client::Client::end) sends them in a heartbeat first.
pub fn fail(number: u64, failure_json: &[u8], timeout: Timeout) -> Result<()> {
    let activities = process::activities()?;
    let report = Report::read(failure_json)?;
    if report.heartbeat_details.is_some() {
        return Err(Error::argument(
            "failure_json.heartbeat_details: an activity that is held open sends what was recorded with its handle; record them",
        ));
    }
    activities.rules.check_report(&report)?;
    if requires_encoded(activities, number)? {
        report.refuse_readable()?;
    }
    let handle = activities.registry.handle(number)?;
    let flushes = activities.registry.with(handle, |activity| activity.flushes_before_failing())?;
    let deadline = timeout.start_sending()?;
    if flushes {
        activities.flush(handle, deadline)?;
    }
    end(number, deadline, |unsent| Ending::Fail(Report { heartbeat_details: unsent, ..report }))
}

/// Ends the activity as cancelled. The request has no room for what was recorded, so that is sent before.
pub fn report_cancelled(number: u64, details: Option<Payloads>, timeout: Timeout) -> Result<()> {
    let activities = process::activities()?;
    activities.rules.check("details", &details)?;
    if requires_encoded(activities, number)? {
        details.as_ref().map_or(Ok(()), |details| details.refuse_readable("details"))?;
    }
    let handle = activities.registry.handle(number)?;
    let deadline = timeout.start_sending()?;
    activities.flush(handle, deadline)?;
    end(number, deadline, |_| Ending::Cancel(details))
}

fn requires_encoded(activities: &Activities, number: u64) -> Result<bool> {
    let handle = activities.registry.handle(number)?;
    activities.registry.with(handle, |activity| activity.requires_encoded())
}

/// Closes the handle: what was recorded is sent, for which there is the time of `timeout`, and nothing more afterwards. The handle
/// is closed whatever this returns.
pub fn close(number: u64, timeout: Timeout) -> Result<()> {
    let activities = process::activities()?;
    activities.close(activities.registry.handle(number)?, timeout)
}

fn end(number: u64, deadline: Deadline, ending: impl FnOnce(Option<Payloads>) -> Ending) -> Result<()> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let session = process::session()?;
    activities.end(handle, deadline, ending, |target, ending, verify| {
        session.call(deadline, |client| async move { client.end(&target, &ending, verify, deadline).await })
    })
}

/// Opens a watch: one waiter for the signals of many activities.
pub fn open_watch() -> Result<u64> {
    process::session()?;
    process::activities()?.open_watch()
}

/// Has a watch tell of an activity: of the signals in `mask`, now and whenever they change. Once more: with another mask.
pub fn add_to_watch(watch: u64, activity: u64, mask: Signals, user_data: u64) -> Result<()> {
    process::activities()?.add_to_watch(watch, activity, mask, user_data)
}

/// Waits for the next activity with news; `None` when the time is over.
pub fn next_of_watch(watch: u64, timeout: Timeout) -> Result<Option<News>> {
    process::activities()?.next_of_watch(watch, timeout)
}

/// A descriptor, for the caller to close, that is readable while [`next_of_watch`] has something.
pub fn open_watch_fd(watch: u64) -> Result<i32> {
    process::activities()?.open_watch_fd(watch)
}

/// Closes a watch; its activities stay open. Those who wait on it learn of it.
pub fn close_watch(watch: u64) -> Result<()> {
    process::activities()?.close_watch(watch)
}
