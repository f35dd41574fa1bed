//! The client's process, and what its threads do with their activities.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{
    invariants::{self, End, Held},
    plan::Shape,
    submissions::{Submissions, await_future, submit},
    temporal::{self, State},
    trace::Lane,
    world::{World, lock},
};
use crate::{
    activity::{
        Activities,
        ending_call::{Before, EndingCall},
        handle::Handle,
        options::OpenOptions,
        state::Activity,
        watch::News,
    },
    client::{Effort, Ending},
    config::Options,
    model::{
        attempt::Target,
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        failure::Report,
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
    process::{call::Call, session::Session},
    runtime::Runtime,
    sys::clock::Moment,
    telemetry::Telemetry,
};

/// A call that has lasted for so much longer than its timeout hangs.
const HANGS: Duration = Duration::from_secs(1);
/// The time of the first try of a request where no heartbeat timeout is known, less what the network takes.
const USUAL_TRY: Duration = Duration::from_secs(8);
/// How long a try lasts after its handle was closed (`activity::TRY_AFTER_CLOSE`), and a little more.
const LONGEST_END_OF_TRIES: Duration = Duration::from_millis(600);
/// The most records at once.
const LONGEST_BURST: u64 = 300;
/// How often another call is submitted before one has ended, if calls are submitted.
const SEVERAL: f64 = 0.5;
/// How often a call isn't submitted, but its future is awaited.
const AWAITED: f64 = 0.2;
/// How often an activity has a stall timeout.
const STALLS: f64 = 0.2;
/// How often a holder looks whether there is a task.
const LOOK: Duration = Duration::from_millis(50);

/// The client's process: what `process` and `runtime` do, on the simulation's own runtime.
pub struct Process {
    activities: &'static Activities,
    session: Mutex<Option<Arc<Session>>>,
    /// The tasks of the session, which end with it.
    tasks: Mutex<Vec<AbortHandle>>,
    pub submissions: Submissions,
    /// Whether the work is to end.
    is_stopping: AtomicBool,
    /// The newest API key.
    key: AtomicU64,
    /// Whether it is disconnecting and connecting again.
    is_reconnecting: AtomicBool,
    /// When its connection was replaced.
    replacements: Mutex<Vec<Instant>>,
    /// The watch of all open activities; `user_data` is the number of the activity.
    watch: AtomicU64,
}

impl Process {
    /// `activities` must outlive it.
    pub fn new(activities: &'static Activities) -> Arc<Self> {
        let (session, tasks, is_stopping) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Process {
            activities,
            session,
            tasks,
            submissions: Submissions::new(activities),
            is_stopping,
            key: AtomicU64::new(0),
            is_reconnecting: AtomicBool::new(false),
            replacements: Mutex::default(),
            watch: AtomicU64::new(0),
        })
    }

    pub fn activities(&self) -> &'static Activities {
        self.activities
    }

    fn options(&self) -> Options {
        let key = self.key.load(Ordering::Relaxed);
        let json = format!(
            r#"{{"address":"server.example:7233","identity":"sim","api_key":"key-{key}","tls":false}}"#
        );
        Options::read(json.as_bytes()).unwrap()
    }

    pub fn connect(self: &Arc<Self>, world: &World) {
        let telemetry = &self.activities.telemetry;
        let session = Session::new(self.options(), self.activities, telemetry, Runtime::simulated()).unwrap();
        let session = Arc::new(session);
        world.network.begin();
        world.log(Lane::Client, || "connects".into());
        let (process, running) = (self.clone(), session.clone());
        self.spawn(async move {
            loop {
                running.jobs().await.into_iter().for_each(|job| process.spawn(job));
            }
        });
        session.begin_sending();
        let handshake = session.client().clone();
        let deadline = Deadline::within(Duration::from_secs(10));
        session.spawn(async move { drop(handshake.handshake(Effort::Until(&deadline)).await) });
        *lock(&self.session) = Some(session);
        self.watch.store(self.activities.open_watch().unwrap(), Ordering::Relaxed);
    }

    /// Gives the client another API key, and perhaps another certificate, for which its connection is replaced.
    pub fn renew(&self, world: &World, key: u64) {
        self.key.fetch_max(key, Ordering::Relaxed);
        let Ok(session) = self.session() else { return };
        world.log(Lane::Client, || format!("uses key {key}"));
        let transport = session.client().transport();
        transport.secure(&self.options()).unwrap();
        if world.chance(0.5) {
            transport.replace_connection();
            lock(&self.replacements).push(Instant::now());
        }
    }

    /// How often the connection was replaced in this time.
    pub fn replacements_within(&self, time: Duration) -> usize {
        lock(&self.replacements).iter().filter(|at| at.elapsed() < time).count()
    }

    /// Disconnects within `timeout` and connects again, unless that is under way.
    pub async fn reconnect(self: &Arc<Self>, world: &Arc<World>, timeout: Duration) {
        if !self.is_reconnecting.swap(true, Ordering::Relaxed) {
            self.disconnect(world, timeout).await;
            self.connect(world);
            self.is_reconnecting.store(false, Ordering::Relaxed);
        }
    }

    /// What the watch reports now: numbers of activities, their handles and signals.
    pub fn reported(&self) -> Vec<(usize, Handle, Signals)> {
        let (activities, watch) = (self.activities, self.watch.load(Ordering::Relaxed));
        let next = || activities.next_of_watch(watch, Timeout::Zero).ok().flatten();
        let read = |news: News| {
            let handle = activities.registry.handle(news.activity).unwrap();
            (usize::try_from(news.user_data).unwrap(), handle, news.signals)
        };
        std::iter::from_fn(next).map(read).collect()
    }

    /// As `process::disconnect`.
    pub async fn disconnect(self: &Arc<Self>, world: &Arc<World>, timeout: Duration) {
        let (activities, number) = (self.activities, self.session_number());
        let _ = wait_for(world, self, "disconnect".to_owned(), timeout, move |process, deadline| {
            let (session, (process, ending)) = (process.session()?, (process.clone(), process.clone()));
            let call = Call::new(session, deadline, |_, deadline| async move {
                activities.flush_all(&deadline).await;
                process.finish_disconnecting();
                Ok(())
            });
            let without_flush = move |_| {
                ending.finish_disconnecting();
                Ok(())
            };
            Ok(call.outliving_session().or(without_flush))
        })
        .await;
        self.submissions.session_has_ended(world, number);
        world.release_all();
        invariants::all_are_closed(world, self);
        // The real client's runtime is dropped, with all its tasks and connections.
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
        world.network.cut();
        // The tries of its scheduler end by themselves, since their handles are closed.
        sleep(LONGEST_END_OF_TRIES).await;
        world.network.cut();
        // The scheduler of this connection ends.
        activities.wake_queue.begin();
        activities.wake_queue.wake();
        activities.wake_tries();
    }

    fn finish_disconnecting(&self) {
        // Before the handles are closed, because another one must not be opened after that.
        let Some(session) = lock(&self.session).take() else { return };
        self.activities.close_all();
        session.stop();
        self.submissions.queues.end_calls_of(session.number);
    }

    /// As `Reactor::spawn`.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(work).abort_handle());
    }

    /// The number of the session; 0: there is none.
    pub fn session_number(&self) -> u64 {
        self.session().map_or(0, |session| session.number)
    }

    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    fn session(&self) -> Result<Arc<Session>> {
        lock(&self.session).clone().ok_or_else(|| Error::new(Status::NotConnected, "disconnected"))
    }
}

/// Makes the process's activities, for as long as `work` takes.
pub fn with_activities(work: impl FnOnce(&'static Activities)) {
    let activities = Box::into_raw(Box::new(Activities::new(0, Arc::new(Telemetry::default()))));
    // SAFETY: it was made above, and is freed only below. `work` leaves nothing behind that uses it: it drops its runtime with all tasks,
    // and so all calls.
    work(unsafe { &*activities });
    // SAFETY: as above; nothing else frees it.
    drop(unsafe { Box::from_raw(activities) });
}

/// Makes a call in a thread that blocks, or submits it.
async fn call(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static,
) -> Result<()> {
    if world.chance(world.plan.submitted) {
        if world.chance(AWAITED) {
            return await_future(world, process, what, timeout, make).await;
        }
        return submit(world, process, what, timeout, make).await?.outcome(world, process).await;
    }
    wait_for(world, process, what, timeout, make).await
}

/// Makes a call in a thread that blocks, and checks how long it took.
async fn wait_for(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static,
) -> Result<()> {
    world.log(Lane::Client, || format!("{what} within {} ms", timeout.as_millis()));
    let (began, process) = (world.time_of_client(), process.clone());
    let call = world.blocking(move || make(&process, Deadline::within(timeout))?.wait());
    let outcome = until_it_ends(world, &what, timeout, began, call).await;
    invariants::call_ended(world, &what, timeout, world.since(began), &outcome);
    outcome
}

/// Waits for the outcome of a call, and checks in the meantime whether it hangs.
pub async fn until_it_ends<T>(
    world: &World,
    what: &str,
    timeout: Duration,
    began: Duration,
    call: impl Future<Output = T>,
) -> T {
    let mut call = pin!(call);
    loop {
        match tokio::time::timeout(timeout + HANGS, call.as_mut()).await {
            Ok(outcome) => return outcome,
            Err(_) => invariants::call_lasts(world, what, timeout, world.since(began)),
        }
    }
}

/// The numbers of an activity's records, which grow over all attempts.
#[derive(Default)]
struct Records {
    newest: u64,
    /// The newest one that the open handle took.
    of_handle: u64,
}

/// An attempt that a worker was given.
#[derive(Clone)]
struct Task {
    number: usize,
    activity: temporal::Activity,
}

/// Works on each attempt of an activity, one after the other.
pub async fn run(world: Arc<World>, process: Arc<Process>, number: usize) {
    let mut records = Records::default();
    let mut last = None;
    while !process.is_stopping() {
        let activity = lock(&world.server.temporal).activities[number].clone();
        // A reset changes the number of a running attempt, which isn't another task.
        if activity.state != State::Running || last == Some(activity.began) {
            if !matches!(activity.state, State::Running | State::Waiting) {
                return;
            }
            sleep(LOOK).await;
            continue;
        }
        last = Some(activity.began);
        let task = Task { number, activity };
        if world.chance(world.plan.one_call) {
            beat_one_by_one(&world, &process, &task, &mut records).await;
        } else {
            hold(&world, &process, &task, &mut records).await;
        }
    }
}

/// How long a holder works before its next step.
fn pause(world: &World, task: &Task) -> Duration {
    world.time_between(Duration::ZERO, time_of(world, task) * 2 / world.plan.steps_per_timeout)
}

/// The heartbeat timeout, or another time where there is none.
fn time_of(world: &World, task: &Task) -> Duration {
    let timeout = task.activity.timeout;
    if timeout.is_zero() { world.plan.usual_timeout } else { timeout }
}

fn call_timeout(world: &World) -> Duration {
    Duration::from_millis(world.pick(&[(1, 100), (2, 500), (3, 2_000), (3, 10_000), (1, 30_000)]))
}

fn open(world: &World, process: &Process, task: &Task, is_first: bool) -> Result<Held> {
    let Task { number, activity } = task;
    // Without it a server that takes longer than the usual try is given up at first.
    let is_slow = activity.timeout.mul_f64(world.plan.longest_answer) > USUAL_TRY;
    let knows_timeout = is_slow || !world.chance(world.plan.unknown);
    // The details from the hand-over are out of date when the activity is opened again.
    let knows_details = is_first && !world.chance(world.plan.unknown);
    let has_pulse = world.chance(world.plan.pulse);
    let stall_timeout = match world.chance(STALLS) {
        true => time_of(world, task).mul_f64(0.5),
        false => Duration::ZERO,
    };
    // Server 1.31 takes ids for the first attempt of a standalone activity only.
    let takes_ids = !activity.is_standalone || world.plan.version >= 32;
    let is_by_ids = world.chance(world.plan.by_ids) && takes_ids;
    let token = if is_by_ids { Bytes::new() } else { activity.token() };
    let options = OpenOptions {
        heartbeat_timeout: if knows_timeout { activity.polled_timeout() } else { Duration::ZERO },
        pulse: has_pulse,
        stall_timeout,
        initial_details: knows_details.then(|| activity.details.clone().unwrap_or_default()),
        age: Moment::now().since(activity.began),
        ids: is_by_ids.then(|| activity.ids()),
        attempt: if is_by_ids { activity.attempt } else { 0 },
        verify: world.chance(0.3),
        ..OpenOptions::new()
    };
    let opened = Activity::open(&token, options, Moment::now())?;
    let due = opened.due();
    let handle = process.activities.registry.insert(opened)?;
    process.activities.wake_at(handle, due);
    let held = Held {
        handle,
        attempt: activity.identity(),
        has_pulse: has_pulse && stall_timeout.is_zero(),
        is_by_ids,
        since: Instant::now(),
        is_from_start: is_first
            && knows_timeout
            && knows_details
            && !is_by_ids
            && Moment::now().since(activity.began) < LOOK * 2,
        record: 0,
    };
    let watch = process.watch.load(Ordering::Relaxed);
    process.activities.add_to_watch(watch, handle.number(), Signals::from_bits(u32::MAX), *number as u64)?;
    world.log(Lane::Client, || {
        format!(
            "open a{number} attempt {}{} (timeout {} ms{}, {}, {})",
            activity.attempt,
            if is_by_ids { " by ids" } else { "" },
            activity.timeout.as_millis(),
            if knows_timeout { "" } else { ", not given" },
            if knows_details { "with details" } else { "details not given" },
            if has_pulse { "pulse" } else { "no pulse" },
        )
    });
    world.forget_ending(*number);
    world.hold(*number, Some(held));
    Ok(held)
}

#[derive(Clone, Copy)]
enum Step {
    Record,
    /// Many records, one after the other.
    Burst,
    Touch,
    Flush,
    Complete,
    Fail,
    Cancel,
    Close,
    Leave,
}

/// The steps of a holder that flushes all the time.
const FLOOD: [(u32, Step); 2] = [(1, Step::Record), (9, Step::Flush)];

const STEPS: [(u32, Step); 9] = [
    (58, Step::Record),
    (2, Step::Burst),
    (20, Step::Touch),
    (10, Step::Flush),
    (1, Step::Complete),
    (2, Step::Fail),
    (1, Step::Cancel),
    (2, Step::Close),
    (1, Step::Leave),
];

/// Holds an attempt open until it is over.
async fn hold(world: &Arc<World>, process: &Arc<Process>, task: &Task, records: &mut Records) {
    let number = task.number;
    let activities = process.activities;
    let mut handle = None;
    let mut is_first = true;
    while !process.is_stopping() {
        if process.session().is_err() {
            sleep(LOOK).await;
            continue;
        }
        let open_handle = match handle {
            Some(handle) => handle,
            None => match open(world, process, task, std::mem::take(&mut is_first)) {
                Ok(held) => {
                    records.of_handle = 0;
                    *handle.insert(held.handle)
                }
                Err(error) => {
                    world.violated("no_internal_error", format!("open a{number}: {error:?}"));
                    return;
                }
            },
        };
        sleep(pause(world, task)).await;
        if process.is_stopping() {
            return;
        }
        match step(world, activities, process, task, open_handle, records).await {
            Next::GoOn => {}
            Next::Reopen => handle = None,
            Next::Over => {
                world.hold(number, None);
                let _ = activities.registry.remove(open_handle);
                return;
            }
        }
        if is_gone(world, task) && world.chance(0.3) {
            world.hold(number, None);
            drop(activities.begin_closing(open_handle));
            return;
        }
    }
}

fn is_gone(world: &World, task: &Task) -> bool {
    let activity = lock(&world.server.temporal).activities[task.number].clone();
    activity.state != State::Running || activity.identity() != task.activity.identity()
}

enum Next {
    GoOn,
    /// The handle was closed.
    Reopen,
    /// The attempt is over for its holder.
    Over,
}

async fn step(
    world: &Arc<World>,
    activities: &'static Activities,
    process: &Arc<Process>,
    task: &Task,
    handle: Handle,
    records: &mut Records,
) -> Next {
    let (number, attempt) = (task.number, task.activity.identity());
    let timeout = call_timeout(world);
    let what = |verb: &str| format!("{verb} a{number} attempt {}", attempt.number);
    let choices = if world.plan.shape == Shape::Flood { &FLOOD[..] } else { &STEPS[..] };
    let outcome = match world.pick(choices) {
        Step::Burst => {
            let count = world.between(2, LONGEST_BURST);
            let newest = records.newest;
            records.newest += count;
            let mut outcome = Ok(Signals::default());
            for record in newest + 1..=newest + count {
                outcome = record_one(world, activities, number, handle, record);
            }
            if outcome.is_ok() {
                records.of_handle = records.newest;
            }
            world.log(Lane::Client, || {
                let outcome = outcome.as_ref().map_err(Error::status);
                format!("records {} to {} for a{number}: {outcome:?}", newest + 1, newest + count)
            });
            outcome.map(drop)
        }
        Step::Record => {
            records.newest += 1;
            let record = records.newest;
            let (its_world, number) = (world.clone(), number);
            // Its thread may be preempted.
            let recorded =
                world.blocking(move || record_one(&its_world, activities, number, handle, record)).await;
            let outcome = recorded.inspect(|_| records.of_handle = record);
            world.log(Lane::Client, || {
                format!("record {record} for a{number}: {:?}", outcome.as_ref().map_err(Error::status))
            });
            outcome.map(drop)
        }
        Step::Touch => activities
            .progress(handle, |activity, _, now| activity.touch(now))
            .map(|signals| signals_seen(world, task, signals)),
        Step::Flush => {
            let newest = records.of_handle;
            // The outcome of each is checked, also of those before the last.
            let mut submitted = Vec::new();
            while world.chance(world.plan.submitted * SEVERAL) {
                submitted
                    .extend(submit(world, process, what("flush"), call_timeout(world), flush(handle)).await);
            }
            let flushed = call(world, process, what("flush"), timeout, flush(handle)).await;
            for earlier in submitted {
                if earlier.outcome(world, process).await.is_ok() {
                    invariants::has_record(world, number, attempt, newest, "flush");
                }
            }
            if flushed.is_ok() {
                invariants::has_record(world, number, attempt, newest, "flush");
            }
            flushed
        }
        Step::Close => {
            let newest = records.of_handle;
            let closed = call(world, process, what("close"), timeout, move |process, deadline| {
                let closing = activities.begin_closing(handle)?;
                let call = Call::new(process.session()?, deadline, |_, deadline| async move {
                    closing.close(Some(&deadline)).await
                });
                Ok(call.of(activities, handle).or(move |without| {
                    activities.finish_closing(handle);
                    Err(without.why)
                }))
            })
            .await;
            if closed.is_ok() {
                invariants::has_record(world, number, attempt, newest, "close");
            }
            let is_over = closed.is_err_and(|error| {
                invariants::check_gone(world, number, attempt, &error);
                error.status() == Status::NotFound
            });
            world.hold(number, None);
            return if is_over { Next::Over } else { Next::Reopen };
        }
        // The holder's thread hangs for a while.
        Step::Leave => {
            sleep(task.activity.timeout).await;
            Ok(())
        }
        Step::Complete => {
            let ending = (Before::Nothing, |_: Option<Payloads>| Ending::Complete(None));
            let ended = end(world, process, (number, what("complete")), handle, timeout, ending).await;
            invariants::ending_returned(world, number, attempt, End::Completed, &ended);
            return after_ending(ended);
        }
        Step::Fail => {
            let newest = records.of_handle;
            let ending = |unsent| {
                let report = Report::read(br#"{"message":"the work failed"}"#).unwrap();
                Ending::Fail(Report { heartbeat_details: unsent, ..report })
            };
            let ending = (Before::RecordThatFailureLoses, ending);
            let ended = end(world, process, (number, what("fail")), handle, timeout, ending).await;
            if ended.is_ok() {
                invariants::has_record(world, number, attempt, newest, "fail");
            }
            invariants::ending_returned(world, number, attempt, End::Failed, &ended);
            return after_ending(ended);
        }
        Step::Cancel => {
            let is_requested = activities.registry.with(handle, |activity| activity.signals(Moment::now()));
            if !is_requested.is_ok_and(|signals| signals.contains(Signals::CANCEL_REQUESTED)) {
                return Next::GoOn;
            }
            let ending = (Before::Record, |_: Option<Payloads>| Ending::Cancel(None));
            let ended = end(world, process, (number, what("cancel")), handle, timeout, ending).await;
            invariants::ending_returned(world, number, attempt, End::Cancelled, &ended);
            return after_ending(ended);
        }
    };
    match outcome {
        Ok(()) => Next::GoOn,
        Err(error) => {
            invariants::check_gone(world, number, attempt, &error);
            match error.status() {
                Status::NotFound | Status::Ended => Next::Over,
                Status::InvalidHandle | Status::NotConnected => Next::Reopen,
                _ => Next::GoOn,
            }
        }
    }
}

fn record_one(
    world: &World,
    activities: &Activities,
    number: usize,
    handle: Handle,
    record: u64,
) -> Result<Signals> {
    let json = record.to_string();
    let recorded = activities.progress(handle, |activity, limit, now| {
        activity.record(Encoding::Json, json.as_bytes(), limit, now)
    });
    if recorded.is_ok() {
        world.took(number, record);
    }
    recorded
}

fn signals_seen(world: &World, task: &Task, signals: Signals) {
    if signals.contains(Signals::LEASE_LOST) {
        world.log(Lane::Client, || format!("a{} sees {signals:?}", task.number));
    }
}

/// Returns what makes the call that flushes an activity.
fn flush(handle: Handle) -> impl FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static {
    move |process, deadline| {
        let activities = process.activities;
        activities.registry.with_open(handle, |activity| activity.record_touch())?;
        let call = Call::new(process.session()?, deadline, |_, deadline| async move {
            activities.flush(handle, &deadline).await
        });
        Ok(call.of(activities, handle))
    }
}

/// Restarts the lease, because an ending that failed has suspended the beats.
fn beats_were_suspended(world: &World, number: usize) {
    if let Some(held) = world.held(number) {
        world.hold(number, Some(Held { since: Instant::now(), is_from_start: false, ..held }));
    }
}

fn after_ending(ended: Result<()>) -> Next {
    match ended.map_err(|error| error.status()) {
        Ok(()) | Err(Status::InDoubt | Status::NotFound | Status::Ended) => Next::Over,
        Err(Status::InvalidHandle | Status::NotConnected) => Next::Reopen,
        Err(_) => Next::GoOn,
    }
}

/// As `api::activity::end`.
async fn end(
    world: &Arc<World>,
    process: &Arc<Process>,
    (number, what): (usize, String),
    handle: Handle,
    timeout: Duration,
    (before, ending): (Before, impl FnOnce(Option<Payloads>) -> Ending + Send + 'static),
) -> Result<()> {
    let flushed = format!("flush before {what}");
    let flushed = match world.chance(world.plan.submitted * SEVERAL) {
        true => submit(world, process, flushed, call_timeout(world), flush(handle)).await.ok(),
        false => None,
    };
    let ended = call(world, process, what, timeout, move |process, deadline| {
        let (activities, session) = (process.activities, process.session()?);
        activities.registry.with_open(handle, |activity| activity.check_may_end())??;
        let ending_call = Arc::new(EndingCall::new(activities, handle, session.client().clone()));
        let abandoned = ending_call.clone();
        let call = Call::new(session, deadline, |_, deadline| async move {
            ending_call.run(&deadline, before, ending).await
        });
        Ok(call.of(activities, handle).or(move |without| abandoned.abandon(without.why)))
    })
    .await;
    if let Some(flushed) = flushed {
        let _ = flushed.outcome(world, process).await;
    }
    beats_were_suspended(world, number);
    ended
}

/// Works on an attempt with one-call functions.
async fn beat_one_by_one(world: &Arc<World>, process: &Arc<Process>, task: &Task, records: &mut Records) {
    let (number, attempt) = (task.number, task.activity.identity());
    let token = task.activity.token();
    while !process.is_stopping() {
        sleep(pause(world, task)).await;
        if process.session().is_err() {
            continue;
        }
        let timeout = call_timeout(world);
        if world.chance(0.05) {
            let what = format!("one-call complete a{number}");
            let ended = call(world, process, what, timeout, complete(token.clone())).await;
            invariants::ending_returned(world, number, attempt, End::Completed, &ended);
            if matches!(after_ending(ended), Next::Over) {
                return;
            }
            continue;
        }
        let beat = |records: &mut Records| {
            records.newest += 1;
            let record = records.newest;
            (record, format!("one-call beat {record} for a{number}"), heartbeat(token.clone(), record))
        };
        let (mut submitted, mut outcomes) = (Vec::new(), Vec::new());
        while world.chance(world.plan.submitted * SEVERAL) {
            let (record, what, make) = beat(records);
            let call = submit(world, process, what, call_timeout(world), make).await;
            submitted.extend(call.map(|call| (record, call)));
        }
        let (record, what, make) = beat(records);
        outcomes.push((record, call(world, process, what, timeout, make).await));
        for (record, call) in submitted {
            outcomes.push((record, call.outcome(world, process).await));
        }
        for (record, outcome) in outcomes {
            match outcome {
                Ok(()) => invariants::has_record(world, number, attempt, record, "heartbeat"),
                Err(error) => {
                    invariants::check_gone(world, number, attempt, &error);
                    if error.status() == Status::NotFound {
                        return;
                    }
                }
            }
        }
    }
}

/// As `api::rpc::heartbeat`.
fn heartbeat(
    token: Bytes,
    record: u64,
) -> impl FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static {
    move |process, deadline| {
        let details = Payloads::from_json_values([record.to_string().as_str()]);
        let target = Target::Token(token);
        Ok(Call::new(process.session()?, deadline, |client, deadline| async move {
            client.heartbeat(&target, Some(details), Effort::Until(&deadline)).await?;
            Ok(())
        }))
    }
}

/// As `api::rpc::complete`.
fn complete(token: Bytes) -> impl FnOnce(&Arc<Process>, Deadline) -> Result<Call<()>> + Send + 'static {
    move |process, deadline| {
        let session = process.session()?;
        let (doubting, target) = (session.client().clone(), Target::Token(token));
        let sent = target.clone();
        let call = Call::new(session, deadline, |client, deadline| async move {
            client.end(&target, &Ending::Complete(None), false, &deadline).await
        });
        Ok(call.or(move |without| {
            if without.has_begun {
                doubting.note_doubt(&sent);
            }
            Err(without.why)
        }))
    }
}
