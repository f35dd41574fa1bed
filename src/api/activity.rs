//! Activities held open, by handle.
//!
//! Like [`crate::api::rpc`], these are the functions of the C header for Rust. Recording never waits.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    activity::{
        Activities, LONGEST_NAP,
        ending_call::{Before, EndingCall},
        handle::Handle,
        registry::Checked,
        state::Activity,
        watch::News,
    },
    client::{Client, Effort, Ending},
    model::{
        deadline::{Deadline, Timeout},
        details::Details,
        error::{Error, Result},
        failure::Report,
        payload::{Encoding, Payloads},
        signals::Signals,
    },
    process::{self, call::Call},
    sys::{clock::Moment, stack_dump},
    telemetry::log_record::Event,
};

pub use crate::activity::options::OpenOptions;

/// Opens an activity with options in JSON. From then on its beats are sent. Never waits for the server. With the option
/// `when_absent`, and without an activity in the environment, the handle is inactive: its calls succeed and do nothing.
pub fn open(token: &[u8], options_json: &[u8]) -> Result<u64> {
    open_with(token, OpenOptions::read(options_json)?)
}

/// Opens an activity. `token` or the options contain the token.
pub fn open_with(token: &[u8], mut options: OpenOptions) -> Result<u64> {
    if options.is_inactive && token.is_empty() {
        return open_inactive();
    }
    let handed_over = options.token.take();
    let token = match (&handed_over, token) {
        (Some(handed_over), []) => handed_over,
        (Some(_), _) => {
            return Err(Error::argument("both a token and from_env are given: give one of them"));
        }
        (None, token) => token,
    };
    let activities = process::activities()?;
    let began = activities.begin_call();
    // Without a client no beats would be sent.
    process::session()?;
    Ok(activities.open(began, token, options)?.number())
}

/// Opens an inactive handle, which needs no client.
fn open_inactive() -> Result<u64> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let activities = process::activities()?;
    let activity = Activity::inactive(OPENED.fetch_add(1, Ordering::Relaxed), Moment::now())?;
    let handle = activities.registry.insert(activity)?;
    activities.telemetry.log.write(Event::Inactive, &[], || {
        "an inactive handle was opened: there is no activity in the environment (when_absent)".to_owned()
    });
    Ok(handle.number())
}

/// Finds an open activity by its number, unless its handle is inactive. Calls that send succeed then and do nothing.
fn find_active(number: u64) -> Result<Option<(&'static Activities, Handle)>> {
    let (activities, handle) = find(number)?;
    let is_inactive = activities.registry.with_open(handle, |activity| activity.is_inactive())?;
    Ok((!is_inactive).then_some((activities, handle)))
}

/// Finds an open activity by its number.
#[inline]
fn find(number: u64) -> Result<(&'static Activities, Handle)> {
    let activities = process::activities()?;
    Ok((activities, activities.registry.handle(number)?))
}

/// Returns whether the caller must have encoded all values of this activity.
pub fn requires_encoded(number: u64) -> Result<bool> {
    let (activities, handle) = find(number)?;
    activities.registry.with_open(handle, |activity| activity.refuses_readable())
}

/// Returns whether messages and stack traces of failures may contain texts of the work: its values aren't encoded, or these texts
/// are encoded too.
#[cfg(feature = "cli")]
pub fn may_send_texts(number: u64) -> Result<bool> {
    let (activities, handle) = find(number)?;
    let is_encrypted = activities.registry.with_open(handle, |activity| activity.is_encrypted())?;
    Ok(!is_encrypted || process::session()?.client().encodes_common_attributes())
}

/// Records progress. Returns the current signals. Never waits.
#[inline]
pub fn record(number: u64, encoding: Encoding, data: &[u8]) -> Result<Signals> {
    let (activities, handle) = find(number)?;
    activities.record(handle, encoding, data)
}

/// Reports progress without details. Returns the current signals. Never waits.
pub fn touch(number: u64) -> Result<Signals> {
    let (activities, handle) = find(number)?;
    activities.progress(handle, |activity, _, now| activity.touch(now))
}

/// Sets what the work is doing. Reports no progress. Never waits.
pub fn set_status(number: u64, text: &str) -> Result<()> {
    let (activities, handle) = find(number)?;
    let thread = stack_dump::current_thread();
    activities.registry.with_open(handle, |activity| activity.set_status(text, thread))?
}

/// Returns the current signals. Never waits.
pub fn signals(number: u64) -> Result<Signals> {
    let (activities, handle) = find(number)?;
    activities.registry.with_open(handle, |activity| activity.signals(Moment::now()))
}

/// Waits until a signal in `mask` differs from `known`, or the timeout passes. Returns the current signals.
pub fn wait(number: u64, mask: Signals, known: Signals, timeout: Timeout) -> Result<Signals> {
    let (activities, handle) = find(number)?;
    let deadline = timeout.start_waiting();
    let mut last = known;
    let look = |activity: &mut Activity| {
        let now = Moment::now();
        last = activity.signals(now);
        if !last.changed(known, mask).is_empty() {
            return Ok(Checked::Found(()));
        }
        Ok(Checked::Again(activity.next_change(now).since(now).min(LONGEST_NAP)))
    };
    let began = activities.begin_call();
    let found = activities.registry.block_until(handle, &deadline, look);
    found.map_err(|error| activities.explain(began, error))?;
    Ok(last)
}

/// Waits until the activity isn't paused any more, one of [`Signals::STOP`] is set, or the timeout passes. Returns the
/// current signals, at once if the activity isn't paused.
pub fn wait_while_paused(number: u64, timeout: Timeout) -> Result<Signals> {
    wait(number, Signals::PAUSED | Signals::STOP, Signals::PAUSED, timeout)
}

/// Returns the details that the server held when the activity was opened: the previous attempt's.
pub fn details(number: u64, timeout: Timeout) -> Result<Call<Details>> {
    let (activities, handle) = find(number)?;
    // Refuses what can't be answered any more.
    let known = activities.registry.with_open(handle, |activity| activity.known_details())??;
    let Some(known) = known else { return initial_details(activities, handle, timeout) };
    let details = Arc::unwrap_or_clone(known);
    if details.values().is_empty() || !activities.rules.has_codec() {
        return Ok(Call::ready(details));
    }
    call_of(handle, timeout.start_waiting(), move |client, deadline| async move {
        Ok(client.decode(details, Effort::Until(&deadline)).await?)
    })
}

/// Returns them when the server has described the activity.
fn initial_details(
    activities: &'static Activities,
    handle: Handle,
    timeout: Timeout,
) -> Result<Call<Details>> {
    call_of(handle, timeout.start_waiting(), move |client, deadline| async move {
        let mut why = None;
        let mut asked = false;
        let look = |activity: &mut Activity| {
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
        };
        let found = activities.registry.wait(handle, &deadline, look).await?;
        let unknown = || Error::out_of_time(why, "the initial details aren't known yet");
        let details = Arc::unwrap_or_clone(found.ok_or_else(unknown)?);
        Ok(client.decode(details, Effort::Until(&deadline)).await?)
    })
}

/// Returns a report on the activity, as JSON.
pub fn info(number: u64) -> Result<String> {
    let (activities, handle) = find(number)?;
    let (info, signals) = activities.registry.with_open(handle, |activity| {
        let now = Moment::now();
        (activity.info(now), activity.signals(now))
    })?;
    Ok(info.json(signals))
}

/// Sends the newest record or touch at once, and waits until the server has acknowledged it.
pub fn flush(number: u64, timeout: Timeout) -> Result<Call<()>> {
    let Some((activities, handle)) = find_active(number)? else { return Ok(Call::ready(())) };
    let deadline = timeout.start_sending()?;
    activities.registry.with_open(handle, |activity| activity.record_touch())?;
    call_of(handle, deadline, |_, deadline| async move { activities.flush(handle, &deadline).await })
}

/// Sends a beat at once, even without a new record, and waits for the answer. Returns the server's signals.
pub fn beat(number: u64, timeout: Timeout) -> Result<Call<Signals>> {
    let Some((activities, handle)) = find_active(number)? else { return Ok(Call::ready(Signals::default())) };
    let deadline = timeout.start_sending()?;
    let due = activities.registry.with_open(handle, |activity| {
        Ok::<_, Error>(activity.request_beat(Moment::now())?.then(|| activity.due()))
    })??;
    if let Some(due) = due {
        activities.wake_at(handle, due);
    }
    call_of(handle, deadline, |_, deadline| async move {
        activities.flush(handle, &deadline).await?;
        activities.registry.with(handle, |activity| activity.signals(Moment::now()))
    })
}

/// Completes the activity with a result.
pub fn complete(number: u64, result: Option<Payloads>, timeout: Timeout) -> Result<Call<()>> {
    let activities = process::activities()?;
    activities.rules.check_result(&result)?;
    if requires_encoded(number)? {
        result.as_ref().map_or(Ok(()), |result| result.refuse_readable("result"))?;
    }
    end(number, timeout, Before::Nothing, Ending::Complete(result))
}

/// Ends the attempt with a failure, described in JSON. Unacknowledged details are sent with it. By ids a flush
/// precedes it. For a standalone activity, [`Client::end`](crate::client::Client::end) sends them in a heartbeat
/// first.
pub fn fail(number: u64, failure_json: &[u8], timeout: Timeout) -> Result<Call<()>> {
    let activities = process::activities()?;
    let report = Report::read(failure_json)?;
    if report.heartbeat_details.is_some() {
        return Err(Error::argument(
            "failure_json.heartbeat_details: an open activity sends the newest record of its handle instead; record them",
        ));
    }
    activities.rules.check_report(&report)?;
    if requires_encoded(number)? {
        report.refuse_readable()?;
    }
    end(number, timeout, Before::RecordThatFailureLoses, Ending::Fail(report))
}

/// Ends the activity as cancelled. The request can't carry the newest record, so that is sent first.
pub fn report_cancelled(number: u64, details: Option<Payloads>, timeout: Timeout) -> Result<Call<()>> {
    let activities = process::activities()?;
    activities.rules.check("details", &details)?;
    if requires_encoded(number)? {
        details.as_ref().map_or(Ok(()), |details| details.refuse_readable("details"))?;
    }
    end(number, timeout, Before::Record, Ending::Cancel(details))
}

/// Closes the handle, which is invalid from then on. Sends the newest record first, until `timeout`, and nothing after
/// that. Closes the handle even if this fails.
pub fn close(number: u64, timeout: Timeout) -> Result<Call<()>> {
    let (activities, handle) = find(number)?;
    let closing = activities.begin_closing(handle)?;
    if activities.registry.with(handle, |activity| activity.is_inactive())? {
        return Ok(Call::ready(()));
    }
    let closed = call_of(handle, timeout.start_waiting(), move |_, deadline| async move {
        let deadline = (timeout != Timeout::Zero).then_some(&deadline);
        closing.close(deadline).await
    })?;
    // The token is free when the caller returns, even if the I/O thread is late.
    Ok(closed.or(move |without| {
        activities.finish_closing(handle);
        Err(without)
    }))
}

fn end(number: u64, timeout: Timeout, before: Before, ending: Ending) -> Result<Call<()>> {
    let Some((activities, handle)) = find_active(number)? else { return Ok(Call::ready(())) };
    let deadline = timeout.start_sending()?;
    activities.registry.with_open(handle, |activity| activity.check_may_end())??;
    let call = Arc::new(EndingCall::new(activities, handle, process::session()?.client().clone()));
    let abandoned = call.clone();
    let ended =
        call_of(handle, deadline, |_, deadline| async move { call.run(&deadline, before, ending).await })?;
    Ok(ended.or(move |without| abandoned.abandon(without)))
}

/// Returns a call of an activity. Explains its error if a disconnect ends it.
fn call_of<T, Begun>(
    handle: Handle,
    deadline: Deadline,
    work: impl FnOnce(Arc<Client>, Deadline) -> Begun,
) -> Result<Call<T>>
where
    T: Send + 'static,
    Begun: Future<Output = Result<T>> + Send + 'static,
{
    let activities = process::activities()?;
    let began = activities.begin_call();
    let call = Call::new(process::session()?, deadline, |client, deadline| {
        let work = work(client, deadline);
        async move { work.await.map_err(|error| activities.explain(began, error)) }
    });
    Ok(call.of(activities, handle))
}

/// Opens a watch: one waiter for the signals of many activities. Without a client only inactive handles can be watched.
pub fn open_watch() -> Result<u64> {
    let activities = process::activities()?;
    if activities.registry.open() == 0 && !process::is_inactive()? {
        process::session()?;
    }
    activities.open_watch()
}

/// Adds an activity to a watch, which then reports its signals in `mask`, now and on each change. For an activity
/// that is already in the watch, replaces `mask` and `user_data`.
pub fn add_to_watch(watch: u64, activity: u64, mask: Signals, user_data: u64) -> Result<()> {
    process::activities()?.add_to_watch(watch, activity, mask, user_data)
}

/// Waits for the next activity with changed signals. Returns `None` on timeout.
pub fn next_of_watch(watch: u64, timeout: Timeout) -> Result<Option<News>> {
    process::activities()?.next_of_watch(watch, timeout)
}

/// Opens a descriptor that is readable while [`next_of_watch`] has a result. The caller closes it.
pub fn open_watch_fd(watch: u64) -> Result<i32> {
    process::activities()?.open_watch_fd(watch)
}

/// Closes a watch and wakes its waiters. Its activities stay open.
pub fn close_watch(watch: u64) -> Result<()> {
    process::activities()?.close_watch(watch)
}
