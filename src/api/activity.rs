//! What a process can do with an activity that it holds open, by handle.
//!
//! Like [`crate::api::rpc`] these are the functions of the C header, for Rust. Recording never waits; what waits says for how long.

use zeroize::Zeroizing;

use crate::{
    activity::{
        Activities, LONGEST_NAP,
        registry::Checked,
        state::{Activity, End, WaitingCall},
        watch::News,
    },
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

/// Has an activity take in progress, which tells whether the sender must hear of it. The signals from before.
#[inline]
fn progress(
    number: u64,
    take_in: impl FnOnce(&mut Activity, usize, Moment) -> Result<bool>,
) -> Result<Signals> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let limit = activities.rules.size_limit();
    let (signals, earlier) = activities.registry.with(handle, |activity| -> Result<_> {
        let now = Moment::now();
        // First of all: whoever wakes from a freeze must hear of it before more work is done.
        let signals = activity.signals(now);
        let earlier = take_in(activity, limit, now)?;
        Ok((signals, earlier.then(|| activity.due())))
    })??;
    if let Some(due) = earlier {
        activities.wake_at(handle, due);
    }
    Ok(signals)
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
    let handle = activities.registry.handle(number)?;
    let unsent = activities.registry.with(handle, |activity| matches!(activity.is_flushed(), Ok(false)))?;
    let flushed = match timeout.start() {
        Some(deadline) if unsent => activities.flush(handle, deadline),
        None if unsent => {
            Err(Error::new(Status::Timeout, "the timeout is 0: what was recorded last wasn't sent"))
        }
        _ => Ok(()),
    };
    let closed = activities.registry.remove(handle)?;
    activities.wake_tries();
    if closed.watched {
        activities.watches.forget(number);
    }
    match flushed {
        // By another thread, meanwhile: there is nothing more to send.
        Err(error) if error.status() == Status::Ended => Ok(()),
        flushed => flushed,
    }
}

/// Makes a call that ends the activity, with its beats suspended. How it ends may take the details that the server doesn't have yet.
fn end(number: u64, deadline: Deadline, ending: impl FnOnce(Option<Payloads>) -> Ending) -> Result<()> {
    let activities = process::activities()?;
    let handle = activities.registry.handle(number)?;
    let session = process::session()?;
    activities.registry.with(handle, Activity::begin_ending)??;

    let call = WaitingCall::new(Moment::now(), deadline.remaining());
    let may_end = activities.registry.wait(handle, deadline, |activity| {
        let now = Moment::now();
        Ok(match activity.may_end(now)? {
            Some(end) => Checked::Found(end),
            None => Checked::Again(activities.nap(activity.give_up_for_ending(call, now))),
        })
    });
    let outcome = match activities.woken(may_end) {
        Ok(Some(End { target, unsent, verify })) => {
            let ending = ending(unsent);
            session
                .call(deadline, |client| async move { client.end(&target, &ending, verify, deadline).await })
        }
        Ok(None) => Err(Error::new(Status::Timeout, "a beat is still under way; nothing was ended")),
        Err(error) => Err(error),
    };
    let due = activities
        .registry
        .change(handle, |activity| activity.finish_ending(&outcome, Moment::now()).then(|| activity.due()));
    if let Ok(Some(due)) = due {
        activities.wake_at(handle, due);
    }
    activities.publish_signals(handle);
    outcome
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
