//! Sends the beats of all open activities: one task for all of them, and one for each request that is under way.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{
    Activities, PendingExit,
    handle::Handle,
    state::{Activity, Step},
};
use crate::{
    client::{
        Client, Effort,
        rpc_error::{Retry, RpcError},
    },
    model::{error::Error, status::Status},
    sys::clock::Moment,
};

/// How many beats may be under way at once: one more for each that was acknowledged, half as many for one that ran out of its
/// time. A server that is slow gets slower by tries that are given up and made again.
const FIRST_IN_FLIGHT: usize = 64;
const LEAST_IN_FLIGHT: usize = 8;
const MAX_IN_FLIGHT: usize = 256;
/// How many of one workflow: those wait for each other at the server.
const MAX_IN_FLIGHT_PER_WORKFLOW: u32 = 4;
/// How many of those that wait are looked at for each answer, so that a crowded workflow costs no more than that.
const MAX_EXAMINED: usize = 1024;
/// How long the scheduler sleeps when nothing is due, and so how late it may notice that the clock was set forward by a suspend.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The pause before the scheduler begins anew, should it ever fall.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Sends what is due, until it is dropped, or replaced by the scheduler of another connection.
pub async fn run(activities: &'static Activities, client: Arc<Client>, number: u32) {
    loop {
        // A panic is a mistake in the library. Without another try all activities of the process would stop beating.
        if tokio::spawn(send(activities, client.clone(), number)).await.is_ok() {
            return;
        }
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
        activities.tell_all();
    }
}

async fn send(activities: &'static Activities, client: Arc<Client>, number: u32) {
    let wake_queue = &activities.wake_queue;
    let mut scheduler = Scheduler {
        activities,
        client,
        due: BinaryHeap::new(),
        waiting: VecDeque::new(),
        in_flight: 0,
        window: FIRST_IN_FLIGHT,
        last_decrease: Moment::LONG_AGO,
        per_workflow: HashMap::new(),
        completions: Arc::default(),
    };
    let mut leaving = PendingExit::default();
    loop {
        #[cfg(test)]
        tests::fall_if_planted();
        activities.flush_at_exit(&mut leaving);
        let Some(notes) = wake_queue.take(number) else { return };
        scheduler.collect(notes);
        scheduler.send_due(Moment::now());
        let sleep = scheduler.due.peek().map_or(LONGEST_SLEEP, |Reverse((due, ..))| due.since(Moment::now()));
        // Whichever comes first; being woken too often is no harm.
        let _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), wake_queue.filled()).await;
    }
}

/// An entry of the heap: the time first, for its order.
type Due = Reverse<(Moment, u32, u32)>;

struct Scheduler {
    activities: &'static Activities,
    client: Arc<Client>,
    due: BinaryHeap<Due>,
    /// Due, but there was no room.
    waiting: VecDeque<Handle>,
    in_flight: usize,
    /// How many there may be, and when that was last_decrease last.
    window: usize,
    last_decrease: Moment,
    per_workflow: HashMap<u32, u32>,
    completions: Arc<Mutex<Vec<Completion>>>,
}

/// A request that is over.
struct Completion {
    workflow: u32,
    /// When it was sent, if it ran out of its time.
    late: Option<Moment>,
}

impl Scheduler {
    /// Takes in what others have left.
    fn collect(&mut self, notes: Vec<(Moment, Handle)>) {
        for (due, handle) in notes {
            self.due.push(Reverse((due, handle.index, handle.generation)));
        }
        for Completion { workflow, late } in
            std::mem::take(&mut *self.completions.lock().unwrap_or_else(PoisonError::into_inner))
        {
            self.in_flight -= 1;
            match late {
                None => self.window = (self.window + 1).min(MAX_IN_FLIGHT),
                // Those that were sent before the last halving have been counted by it.
                Some(sent) if sent > self.last_decrease => {
                    self.window = (self.window / 2).max(LEAST_IN_FLIGHT);
                    self.last_decrease = Moment::now();
                }
                Some(_) => {}
            }
            if let Some(count) = self.per_workflow.get_mut(&workflow) {
                *count -= 1;
                if *count == 0 {
                    self.per_workflow.remove(&workflow);
                }
            }
        }
    }

    fn send_due(&mut self, now: Moment) {
        while let Some(Reverse((due, ..))) = self.due.peek()
            && *due <= now
            && let Some(Reverse((_, index, generation))) = self.due.pop()
        {
            let handle = self.activities.registry.handle_of(index, generation);
            // Before anything waits for its turn: what the clock brings has to be told in time.
            self.activities.look(handle);
            self.waiting.push_back(handle);
        }
        // Each gets one chance; those of a crowded workflow come to the end of the line.
        for _ in 0..self.waiting.len().min(MAX_EXAMINED) {
            if self.in_flight >= self.window {
                break;
            }
            if let Some(handle) = self.waiting.pop_front() {
                self.attend(handle, now);
            }
        }
    }

    fn attend(&mut self, handle: Handle, now: Moment) {
        let step = self.activities.registry.with(handle, |activity| {
            let crowded = self.per_workflow.get(&activity.workflow) >= Some(&MAX_IN_FLIGHT_PER_WORKFLOW);
            if crowded { Err(()) } else { Ok((activity.workflow, activity.next_step(now))) }
        });
        match step {
            // Closed meanwhile.
            Err(_) => {}
            Ok(Err(())) => self.waiting.push_back(handle),
            Ok(Ok((_, Step::Nothing))) => {}
            Ok(Ok((_, Step::At(due)))) => {
                self.due.push(Reverse((due, handle.index, handle.generation)));
            }
            Ok(Ok((workflow, step @ (Step::Beat { .. } | Step::Describe { .. })))) => {
                self.in_flight += 1;
                *self.per_workflow.entry(workflow).or_default() += 1;
                let in_flight_request = InFlight {
                    activities: self.activities,
                    completions: self.completions.clone(),
                    handle,
                    workflow,
                    sent: now,
                    late: false,
                    told: false,
                };
                tokio::spawn(in_flight_request.carry_out(self.client.clone(), step));
            }
        }
    }
}

/// A request under way. However it ends, by a panic too, activity and scheduler are told.
struct InFlight {
    activities: &'static Activities,
    completions: Arc<Mutex<Vec<Completion>>>,
    handle: Handle,
    workflow: u32,
    sent: Moment,
    late: bool,
    /// The activity knows_details what came of it.
    told: bool,
}

impl InFlight {
    /// Makes the request, and tells the activity what came of it.
    async fn carry_out(mut self, client: Arc<Client>, step: Step) {
        match step {
            Step::Beat { replaced, target, details, time } => {
                let metrics = &self.activities.telemetry.metrics;
                metrics.beats_coalesced.more(replaced.into());
                let effort = Effort::Once(time.from_now());
                let answer = client.heartbeat(&target, details, effort).await;
                self.tell(answer, |activity, asked, now| {
                    if let Some(margin) = activity.acknowledge(asked, now) {
                        metrics.lease_margin.observe(margin);
                    }
                });
            }
            Step::Describe { subject, time } => {
                let effort = Effort::Once(time.from_now());
                let answer = client.look(&subject, effort).await;
                self.tell(answer, Activity::described);
            }
            Step::At(_) | Step::Nothing => {}
        }
    }

    fn tell<T>(&mut self, answer: Result<T, RpcError>, good: impl FnOnce(&mut Activity, T, Moment)) {
        self.late = answer.as_ref().is_err_and(|rpc_error| rpc_error.timed_out);
        // An activity that was closed meanwhile needs to know nothing.
        let _ = self.activities.registry.change(self.handle, |activity| {
            let now = Moment::now();
            match answer {
                Ok(answer) => good(activity, answer, now),
                Err(rpc_error) => activity.set_back(rpc_error, now),
            }
        });
        self.told = true;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.told {
            let error =
                Error::new(Status::Internal, "the request was dropped, which is a mistake in the library");
            self.tell(
                Err::<(), _>(RpcError { retry: Retry::Soon, ..RpcError::permanent(error) }),
                |_, (), _| {},
            );
        }
        let completions = Completion { workflow: self.workflow, late: self.late.then_some(self.sent) };
        self.completions.lock().unwrap_or_else(PoisonError::into_inner).push(completions);
        if let Ok(due) = self.activities.registry.with(self.handle, |activity| activity.due()) {
            self.activities.tell(self.handle, due);
        }
        self.activities.look(self.handle);
        self.activities.wake_queue.wake();
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
        activity::options::OpenOptions, config::Options, model::payload::Encoding, runtime::Runtime,
    };

    static PLANTED: AtomicBool = AtomicBool::new(false);

    /// A panic where the scheduler begins its round, once.
    pub fn fall_if_planted() {
        assert!(!PLANTED.swap(false, Ordering::SeqCst), "on purpose");
    }

    #[test]
    fn a_sender_that_panics_begins_anew_with_all_that_is_open() {
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        // Nothing listens there: a try that failed is proof that there was one.
        let options = Options::read(br#"{"address":"127.0.0.1:1","namespace":"default"}"#).unwrap();
        let runtime = Runtime::new();
        let client = Client::new(&options, Arc::default(), runtime.io_thread(), Arc::default()).unwrap();
        let client = Arc::new(client);
        let now = Moment::now();
        let options = OpenOptions::read(br#"{"pulse":false,"initial_details":""}"#).unwrap();
        let mut activity = Activity::open(b"token", options, now).unwrap();
        activity.record(Encoding::Json, b"1", 1000, now).unwrap();
        // And the note that something was recorded is lost with the one who had taken it.
        let handle = activities.registry.insert(activity).unwrap();

        PLANTED.store(true, Ordering::SeqCst);
        runtime.start().unwrap();
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
    async fn a_sender_that_was_replaced_ends_and_takes_nothing() {
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let options = Options::read(br#"{"address":"127.0.0.1:1","namespace":"default"}"#).unwrap();
        let io_thread = Runtime::new().io_thread();
        let client = Arc::new(Client::new(&options, Arc::default(), io_thread, Arc::default()).unwrap());
        let earlier = activities.connected();
        let current = activities.connected();
        activities.tell(Handle { index: 0, generation: 1, fork: 0 }, Moment::now());
        run(activities, client, earlier).await;
        assert_eq!(activities.wake_queue.take(current).unwrap().len(), 1);
        activities.wake_queue.filled().await;
    }

    #[tokio::test]
    async fn a_request_that_panics_is_tried_again() {
        let activities: &Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let now = Moment::now();
        let mut activity = Activity::open(b"token", OpenOptions::default(), now).unwrap();
        activity.record(Encoding::Json, b"41", 1 << 20, now).unwrap();
        let handle = activities.registry.insert(activity).unwrap();
        let step = activities.registry.with(handle, |activity| activity.next_step(now)).unwrap();
        assert!(matches!(step, Step::Beat { .. }));
        let in_flight_request = InFlight {
            activities,
            completions: Arc::default(),
            handle,
            workflow: 7,
            sent: now,
            late: false,
            told: false,
        };
        let completions = in_flight_request.completions.clone();

        let fallen = tokio::spawn(async move {
            let _flight = in_flight_request;
            panic!("on purpose");
        });
        assert!(fallen.await.unwrap_err().is_panic());

        assert_eq!(completions.lock().unwrap().len(), 1, "the scheduler has its room back");
        let [(due, told)] = activities.wake_queue.take(0).unwrap()[..] else {
            panic!("the scheduler wasn't told")
        };
        assert_eq!(told, handle);
        let again = activities.registry.with(handle, |activity| activity.next_step(due)).unwrap();
        assert!(matches!(again, Step::Beat { .. }));
    }
}
