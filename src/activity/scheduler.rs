//! Decides when to send the beats of all open activities: one task for all of them, and one task per request.

use std::{
    collections::{HashMap, VecDeque},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use super::{
    Activities, PendingExit,
    due_queue::DueQueue,
    handle::Handle,
    state::{Outcome, Step},
};
use crate::{
    client::{Client, Effort, rpc_error::RpcError},
    model::{deadline::unless_stopped, encoded::Encoded, error::Error, payload::Payloads, status::Status},
    runtime,
    sys::{clock::Moment, sync::Mutex},
    transport::TryTime,
};

/// The most requests in flight, not counting slow ones.
const MAX_IN_FLIGHT: usize = 256;
/// A request that takes longer is slow or lost. It no longer counts, so that it can't block those of other
/// activities.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// The most slow requests, which are also limited to a part of the server's streams. Further ones are given up and
/// retried.
const MAX_SLOW: usize = 4096;
const SLOW_STREAMS_PART: usize = 2;
/// The most requests in flight for one workflow: the server handles them one at a time.
const MAX_IN_FLIGHT_PER_WORKFLOW: u32 = 4;
/// The most waiting activities that one round examines. It bounds the cost of a workflow with too many requests.
const MAX_EXAMINED: usize = 1024;
/// The time of one try to encode details. The codec limits it further.
const ENCODING: TryTime = TryTime { answer: Duration::from_secs(60), silence: Duration::from_secs(60) };
/// The longest sleep of the scheduler. After it, the scheduler notices that the clock jumped ahead during a suspend.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// A wake-up that is this late shows that the process was frozen, or that the machine was suspended.
const FROZEN_AFTER: Duration = Duration::from_millis(250);

/// Sends what is due, until it is dropped or replaced by the scheduler of another connection.
pub async fn run(activities: &'static Activities, client: Arc<Client>, number: u32) {
    runtime::restarted_after_panics(|| send(activities, client.clone(), number)).await;
}

async fn send(activities: &'static Activities, client: Arc<Client>, number: u32) {
    // After a panic, all activities must be examined.
    activities.wake_all();
    let wake_queue = &activities.wake_queue;
    let mut scheduler = Scheduler {
        activities,
        client,
        due: DueQueue::default(),
        waiting: VecDeque::new(),
        in_flight: 0,
        per_workflow: HashMap::new(),
        shared: Arc::default(),
    };
    let mut pending_exit = PendingExit::default();
    let mut rounds = Rounds::begin(Moment::now());
    loop {
        #[cfg(test)]
        tests::fall_if_planted();
        activities.flush_at_exit(&mut pending_exit);
        let Some(wake_ups) = wake_queue.take(number) else { return };
        for (due, handle) in wake_ups {
            scheduler.due.advance(handle, due);
        }
        scheduler.count_released();
        let now = Moment::now();
        if let Some(time) = rounds.next(now) {
            activities.exclude_from_stalls(time, now);
        }
        scheduler.send_due(now);
        let sleep = scheduler.due.next().map_or(LONGEST_SLEEP, |due| due.since(Moment::now()));
        let sleep = rounds.sleep(sleep.min(LONGEST_SLEEP));
        // An early wake-up is harmless.
        let _ = timeout(sleep, wake_queue.filled()).await;
    }
}

/// Detects that the process didn't run: the scheduler is woken much later than it asked for.
struct Rounds {
    last: Moment,
    sleep: Duration,
}

impl Rounds {
    fn begin(now: Moment) -> Self {
        Rounds { last: now, sleep: Duration::ZERO }
    }

    /// Notes how long the scheduler sleeps.
    fn sleep(&mut self, time: Duration) -> Duration {
        self.sleep = time;
        time
    }

    /// Begins a round. Returns for how long the process didn't run since the last one, if it didn't.
    fn next(&mut self, now: Moment) -> Option<Duration> {
        let passed = now.since(std::mem::replace(&mut self.last, now));
        match passed.saturating_sub(self.sleep) {
            late if late < FROZEN_AFTER => None,
            // Within the sleep, too: the process may have been frozen at its beginning.
            late if late >= LONGEST_SLEEP => Some(passed),
            late => Some(late),
        }
    }
}

struct Scheduler {
    activities: &'static Activities,
    client: Arc<Client>,
    due: DueQueue,
    /// Activities that are due while too many requests are in flight.
    waiting: VecDeque<Handle>,
    /// The number of requests in flight that aren't slow.
    in_flight: usize,
    /// The number of requests in flight per workflow.
    per_workflow: HashMap<u32, u32>,
    shared: Arc<Shared>,
}

/// What the requests report to the scheduler.
#[derive(Default)]
struct Shared {
    slow: AtomicUsize,
    released: Mutex<Released>,
}

/// Requests that have ended or become slow, and that the scheduler hasn't subtracted yet.
#[derive(Default)]
struct Released {
    in_flight: usize,
    workflows: Vec<u32>,
}

impl Scheduler {
    fn count_released(&mut self) {
        let released = std::mem::take(&mut *self.shared.released.lock());
        self.in_flight -= released.in_flight;
        for workflow in released.workflows {
            if let Some(count) = self.per_workflow.get_mut(&workflow) {
                *count -= 1;
                if *count == 0 {
                    self.per_workflow.remove(&workflow);
                }
            }
        }
    }

    fn send_due(&mut self, now: Moment) {
        while let Some(handle) = self.due.pop(now) {
            let is_stalled = self.activities.check_stall(handle, now);
            // Publish signals that the clock sets at once: they must not wait for requests of other activities.
            self.activities.publish_signals(handle);
            if is_stalled {
                runtime::spawn(self.activities.report_stall(handle, self.client.clone()));
            }
            self.waiting.push_back(handle);
        }
        // Each activity is examined once per round; those of a crowded workflow return to the end of the queue.
        for _ in 0..self.waiting.len().min(MAX_EXAMINED) {
            if self.in_flight >= MAX_IN_FLIGHT {
                break;
            }
            if let Some(handle) = self.waiting.pop_front() {
                self.send(handle, now);
            }
        }
    }

    fn send(&mut self, handle: Handle, now: Moment) {
        let next = self.activities.registry.with(handle, |activity| {
            let details = activity.next_encoding(now);
            let is_crowded = self.per_workflow.get(&activity.workflow) >= Some(&MAX_IN_FLIGHT_PER_WORKFLOW);
            let step = (!is_crowded).then(|| (activity.workflow, activity.next_step(now)));
            let examined_at = activity.encoding_due().min(activity.stall_due());
            (activity.begin_following(), details, examined_at, step)
        });
        // Otherwise the handle was closed.
        let Ok((followed, details, examined_at, step)) = next else { return };
        if let Some(followed) = followed {
            self.activities.follow(&self.client, handle, followed);
        }
        self.due.advance(handle, examined_at);
        if let Some(details) = details {
            let encoding = Encoding { activities: self.activities, handle, is_reported: false };
            runtime::spawn(encoding.run(self.client.clone(), details));
        }
        match step {
            None => self.waiting.push_back(handle),
            Some((_, Step::Nothing)) => {}
            Some((_, Step::At(due))) => self.due.advance(handle, due),
            Some((workflow, step @ (Step::Beat { .. } | Step::Describe { .. }))) => {
                self.in_flight += 1;
                *self.per_workflow.entry(workflow).or_default() += 1;
                let request = InFlight {
                    activities: self.activities,
                    shared: self.shared.clone(),
                    handle,
                    workflow,
                    is_slow: false,
                    is_reported: false,
                };
                runtime::spawn(request.run(self.client.clone(), step));
            }
        }
    }
}

/// An encoding in flight, aside from the beats. However it ends, the activity gets its outcome.
struct Encoding {
    activities: &'static Activities,
    handle: Handle,
    is_reported: bool,
}

impl Encoding {
    async fn run(mut self, client: Arc<Client>, details: Payloads) {
        let encoded = client.encode("details", Some(details), Effort::Once(ENCODING.start())).await;
        self.report(encoded.map(Option::unwrap_or_default));
    }

    fn report(&mut self, outcome: Result<Encoded, RpcError>) {
        self.is_reported = true;
        let registry = &self.activities.registry;
        // A closed activity needs no outcome.
        let Ok(due) = registry.change(self.handle, |activity| activity.encoded(outcome, Moment::now()))
        else {
            return;
        };
        self.activities.wake_at(self.handle, due);
        self.activities.publish_signals(self.handle);
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        if !self.is_reported {
            let why = "the encoding was dropped, which is a bug in the library";
            self.report(Err(RpcError::temporary(Error::new(Status::Internal, why))));
        }
    }
}

/// A request in flight. However it ends, even by a panic, the activity and the scheduler get its outcome.
struct InFlight {
    activities: &'static Activities,
    shared: Arc<Shared>,
    handle: Handle,
    workflow: u32,
    is_slow: bool,
    /// Whether the activity has got the outcome.
    is_reported: bool,
}

impl InFlight {
    async fn run(mut self, client: Arc<Client>, step: Step) {
        let outcome = {
            let mut request = pin!(self.activities.request(&client, self.handle, step));
            match timeout(SLOW_AFTER, request.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => match self.become_slow(&client) {
                    true => request.await,
                    false => Outcome::Failed(too_many_slow()),
                },
            }
        };
        self.report(outcome);
    }

    /// Marks the request as slow, so that another one can begin. Returns whether this one may continue.
    fn become_slow(&mut self, client: &Client) -> bool {
        let limit = MAX_SLOW.min(client.transport().max_streams() / SLOW_STREAMS_PART);
        self.is_slow = true;
        self.shared.released.lock().in_flight += 1;
        self.activities.wake_queue.wake();
        self.shared.slow.fetch_add(1, Ordering::Relaxed) < limit
    }

    fn report(&mut self, outcome: Outcome) {
        self.is_reported = true;
        if let Outcome::Described(found) = &outcome
            && found.description.details.about().heartbeat_timeout == Some(Duration::ZERO)
        {
            self.activities.log_no_heartbeat_timeout(self.handle, &found.description.ids);
        }
        let completed = self.activities.registry.change(self.handle, |activity| {
            let effects = activity.complete(outcome, Moment::now());
            (effects, activity.is_over() || activity.lacks_description())
        });
        // A closed activity needs no outcome.
        let Ok((effects, concerns_followers)) = completed else { return };
        if concerns_followers {
            self.activities.followers.wake();
        }
        if let Some(margin) = effects.lease_margin {
            self.activities.telemetry.metrics.lease_margin.observe(margin);
        }
        self.activities.wake_at(self.handle, effects.due);
        self.activities.publish_signals(self.handle);
    }
}

fn too_many_slow() -> RpcError {
    let why = "too many requests are waiting for the server; this one was given up and is retried";
    RpcError { timed_out: true, ..RpcError::temporary(Error::new(Status::Timeout, why)) }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_reported {
            let why = "the request was dropped, which is a bug in the library";
            self.report(Outcome::Failed(RpcError::temporary(Error::new(Status::Internal, why))));
        }
        {
            let mut released = self.shared.released.lock();
            released.workflows.push(self.workflow);
            if self.is_slow {
                self.shared.slow.fetch_sub(1, Ordering::Relaxed);
            } else {
                released.in_flight += 1;
            }
        }
        self.activities.wake_queue.wake();
    }
}

impl Activities {
    async fn request(&self, client: &Client, handle: Handle, step: Step) -> Outcome {
        let outcome = match step {
            Step::Beat { replaced, target, details, time } => {
                self.telemetry.metrics.beats_coalesced.more(replaced);
                let effort = Effort::Once(time.start());
                let request = pin!(client.beat(&target, details, effort));
                // Dropping a request cancels it.
                let answer = unless_stopped(request, self.until_given_up(handle)).await;
                answer.map(|answer| answer.map_or_else(Outcome::Failed, Outcome::Acknowledged))
            }
            Step::Describe { subject, time } => {
                let effort = Effort::Once(time.start());
                let request = pin!(client.look(&subject, effort));
                let answer = unless_stopped(request, self.until_given_up(handle)).await;
                let described = |found| Outcome::Described(Box::new(found));
                answer.map(|answer| answer.map_or_else(Outcome::Failed, described))
            }
            Step::At(_) | Step::Nothing => None,
        };
        outcome.unwrap_or(Outcome::GivenUp)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Instant,
    };

    use super::*;
    use crate::{
        activity::{options::OpenOptions, state::Activity},
        config::Options,
        model::payload::Encoding,
        runtime::Runtime,
    };

    #[test]
    fn late_wake_up_shows_a_frozen_process() {
        let (mut now, ms) = (Moment::now(), Duration::from_millis);
        let mut rounds = Rounds::begin(now);
        // The sleep, the time that passes, and the time that doesn't count.
        for (sleep, passes, excluded) in [
            (1000, 1000, None),
            (1000, 1200, None),
            (1000, 10, None),
            (1000, 1300, Some(300)),
            (0, 60_000, Some(60_000)),
            (1000, 60_000, Some(60_000)),
        ] {
            rounds.sleep(ms(sleep));
            now = now.later(ms(passes));
            assert_eq!(rounds.next(now), excluded.map(ms), "{sleep} {passes}");
        }
    }

    static PLANTED: AtomicBool = AtomicBool::new(false);

    /// Panics once at the beginning of a scheduler round, if the test requested it.
    pub fn fall_if_planted() {
        // A simulation that runs at the same time has requested none.
        assert!(
            crate::sys::simulated::world().is_some() || !PLANTED.swap(false, Ordering::SeqCst),
            "on purpose"
        );
    }

    #[test]
    fn sender_examines_all_activities_after_a_panic() {
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        // No server listens there, so a failed try proves that the sender ran.
        let options = Options::read(br#"{"address":"127.0.0.1:1","namespace":"default"}"#).unwrap();
        let runtime = Runtime::new();
        let client =
            Client::new(&options, Arc::default(), Arc::default(), runtime.io_thread(), Arc::default())
                .unwrap();
        let client = Arc::new(client);
        let now = Moment::now();
        let options = OpenOptions::read(br#"{"pulse":false,"initial_details":""}"#).unwrap();
        let mut activity = Activity::open(b"token", options, now).unwrap();
        activity.record(Encoding::Json, b"1", 1000, now).unwrap();
        // Not through `Activities::open`: then no wake-up follows the record, as after a panic of the sender that
        // received the wake-up.
        let handle = activities.registry.insert(activity).unwrap();

        PLANTED.store(true, Ordering::SeqCst);
        runtime.start(|| ()).unwrap();
        runtime.spawn(run(activities, client, activities.wake_queue.begin()));
        let end = Instant::now() + Duration::from_secs(30);
        let tries = || activities.registry.with(handle, |activity| activity.info(now).counts.failed_tries);
        while tries().unwrap() == 0 {
            assert!(Instant::now() < end, "nobody sends");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!PLANTED.load(Ordering::SeqCst));
        runtime.stop();
    }

    #[tokio::test]
    async fn replaced_sender_ends_and_takes_no_wake_ups() {
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let options = Options::read(br#"{"address":"127.0.0.1:1","namespace":"default"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client = Arc::new(
            Client::new(&options, Arc::default(), Arc::default(), io_thread, Arc::default()).unwrap(),
        );
        let earlier = activities.connected();
        let current = activities.connected();
        activities.wake_at(Handle::new(0, 1, 0), Moment::now());
        run(activities, client, earlier).await;
        assert_eq!(activities.wake_queue.take(current).unwrap().len(), 1);
        activities.wake_queue.filled().await;
    }

    #[tokio::test]
    async fn request_is_retried_after_a_panic() {
        let activities: &Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let now = Moment::now();
        let mut activity = Activity::open(b"token", OpenOptions::default(), now).unwrap();
        activity.record(Encoding::Json, b"41", 1 << 20, now).unwrap();
        let handle = activities.registry.insert(activity).unwrap();
        let step = activities.registry.with(handle, |activity| activity.next_step(now)).unwrap();
        assert!(matches!(step, Step::Beat { .. }));
        let in_flight_request = InFlight {
            activities,
            shared: Arc::default(),
            handle,
            workflow: 7,
            is_slow: false,
            is_reported: false,
        };
        let shared = in_flight_request.shared.clone();

        let fallen = tokio::spawn(async move {
            let _flight = in_flight_request;
            panic!("on purpose");
        });
        assert!(fallen.await.unwrap_err().is_panic());

        let released = shared.released.lock();
        assert_eq!((released.in_flight, &released.workflows[..]), (1, &[7][..]));
        let [(due, told)] = activities.wake_queue.take(0).unwrap()[..] else {
            panic!("the scheduler wasn't woken")
        };
        assert_eq!(told, handle);
        let again = activities.registry.with(handle, |activity| activity.next_step(due)).unwrap();
        assert!(matches!(again, Step::Beat { .. }));
    }
}
