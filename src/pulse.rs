//! Sends the beats of all open activities: one task for all of them, and one for each request that is under way.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    activity::{Activities, Leaving, handle::Handle, inbox::Inbox, state::Step},
    client::{Client, Effort},
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
const LONGEST_LOOK: usize = 1024;
/// How long the sender sleeps when nothing is due, and so how late it may notice that the clock was set forward by a suspend.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The pause before the sender begins anew, should it ever fall.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Sends what is due, until it is dropped.
pub async fn run(activities: &'static Activities, client: Arc<Client>) {
    loop {
        // It ends by a panic only, which is a mistake in the library. All activities of the process would stop beating.
        let _ = tokio::spawn(send(activities, client.clone())).await;
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
        activities.tell_all();
    }
}

async fn send(activities: &'static Activities, client: Arc<Client>) {
    let inbox = &activities.inbox;
    let mut sender = Sender {
        activities,
        client,
        due: BinaryHeap::new(),
        waiting: VecDeque::new(),
        in_flight: 0,
        room: FIRST_IN_FLIGHT,
        halved: Moment::LONG_AGO,
        per_workflow: HashMap::new(),
        landed: Arc::default(),
    };
    let mut leaving = Leaving::default();
    loop {
        #[cfg(test)]
        tests::fall_if_planted();
        activities.see_off(&mut leaving);
        sender.collect();
        sender.send_due(Moment::now());
        let sleep = sender.due.peek().map_or(LONGEST_SLEEP, |Reverse((due, ..))| due.since(Moment::now()));
        // Whichever comes first; being woken too often is no harm.
        let _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), inbox.filled()).await;
    }
}

/// An entry of the heap: the time first, for its order.
type Due = Reverse<(Moment, u32, u32)>;

struct Sender {
    activities: &'static Activities,
    client: Arc<Client>,
    due: BinaryHeap<Due>,
    /// Due, but there was no room.
    waiting: VecDeque<Handle>,
    in_flight: usize,
    /// How many there may be, and when that was halved last.
    room: usize,
    halved: Moment,
    per_workflow: HashMap<u32, u32>,
    landed: Arc<Mutex<Vec<Landed>>>,
}

/// A request that is over.
struct Landed {
    workflow: u32,
    /// When it was sent, if it ran out of its time.
    late: Option<Moment>,
}

impl Sender {
    /// Takes in what others have left.
    fn collect(&mut self) {
        for (due, handle) in self.activities.inbox.take() {
            self.due.push(Reverse((due, handle.index, handle.generation)));
        }
        for Landed { workflow, late } in
            std::mem::take(&mut *self.landed.lock().unwrap_or_else(PoisonError::into_inner))
        {
            self.in_flight -= 1;
            match late {
                None => self.room = (self.room + 1).min(MAX_IN_FLIGHT),
                // Those that were sent before the last halving have been counted by it.
                Some(sent) if sent > self.halved => {
                    self.room = (self.room / 2).max(LEAST_IN_FLIGHT);
                    self.halved = Moment::now();
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
        for _ in 0..self.waiting.len().min(LONGEST_LOOK) {
            if self.in_flight >= self.room {
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
                let landing = Landing {
                    inbox: &self.activities.inbox,
                    landed: self.landed.clone(),
                    workflow,
                    sent: now,
                    late: false,
                };
                let (activities, client) = (self.activities, self.client.clone());
                tokio::spawn(async move {
                    let mut landing = landing;
                    let due = carry_out(activities, &client, handle, step, &mut landing.late).await;
                    landing.inbox.put(due, handle);
                    activities.look(handle);
                });
            }
        }
    }
}

/// Tells the sender that a request is over, however it ended.
struct Landing {
    inbox: &'static Inbox,
    landed: Arc<Mutex<Vec<Landed>>>,
    workflow: u32,
    sent: Moment,
    late: bool,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.landed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Landed { workflow: self.workflow, late: self.late.then_some(self.sent) });
        self.inbox.wake();
    }
}

/// Makes one request, and tells the activity what came of it. When it is due next.
async fn carry_out(
    activities: &Activities,
    client: &Client,
    handle: Handle,
    step: Step,
    late: &mut bool,
) -> Moment {
    let due = match step {
        Step::Beat { replaced, token, details, patience } => {
            let metrics = &activities.telemetry.metrics;
            metrics.beats_coalesced.more(replaced.into());
            let answer = client.heartbeat(token, details, Effort::Once(Instant::now() + patience)).await;
            *late = answer.as_ref().is_err_and(|setback| setback.late);
            activities.registry.change(handle, |activity| {
                let now = Moment::now();
                match answer {
                    Ok(asked) => {
                        if let Some(margin) = activity.acknowledge(asked, now) {
                            metrics.lease_margin.observe(margin);
                        }
                    }
                    Err(setback) => activity.set_back(setback, now),
                }
                activity.due()
            })
        }
        Step::Describe { token, patience } => {
            let answer = client.details(&token, Effort::Once(Instant::now() + patience)).await;
            *late = answer.as_ref().is_err_and(|setback| setback.late);
            activities.registry.change(handle, |activity| {
                let now = Moment::now();
                match answer {
                    Ok(details) => activity.described(details, now),
                    Err(setback) => activity.set_back(setback, now),
                }
                activity.due()
            })
        }
        Step::At(due) => Ok(due),
        Step::Nothing => Ok(Moment::NEVER),
    };
    // Closed meanwhile: there is nothing more to do for it.
    due.unwrap_or(Moment::NEVER)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::{
        activity::{options::OpenOptions, state::Activity},
        options::Options,
        payload::Encoding,
        runtime::Runtime,
    };

    static PLANTED: AtomicBool = AtomicBool::new(false);

    /// A panic where the sender begins its round, once.
    pub fn fall_if_planted() {
        assert!(!PLANTED.swap(false, Ordering::SeqCst), "on purpose");
    }

    #[test]
    fn a_sender_that_panics_begins_anew_with_all_that_is_open() {
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        // Nothing listens there: a try that failed is proof that there was one.
        let options = Options::read(br#"{"address":"127.0.0.1:1","namespace":"default"}"#).unwrap();
        let client = Arc::new(Client::new(&options, Arc::default(), Arc::default()).unwrap());
        let now = Moment::now();
        let options = OpenOptions::read(br#"{"pulse":false,"initial_details":""}"#).unwrap();
        let mut activity = Activity::open(b"token", None, options, now).unwrap();
        activity.record(Encoding::Json, b"1", 1000, now).unwrap();
        // And the note that something was recorded is lost with the one who had taken it.
        let handle = activities.registry.insert(activity).unwrap();

        PLANTED.store(true, Ordering::SeqCst);
        let runtime = Runtime::start().unwrap();
        runtime.spawn(run(activities, client));
        let end = Instant::now() + Duration::from_secs(30);
        let tries = || activities.registry.with(handle, |activity| activity.info(now).counts.failed_tries);
        while tries().unwrap() == 0 {
            assert!(Instant::now() < end, "nobody sends");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!PLANTED.load(Ordering::SeqCst));
        runtime.stop();
    }
}
