//! The simulated world: its clock, its randomness, its trace, its weather, and what blocking calls wait for.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::Notify, time::Instant};

use super::{
    blocking::{self, Blocking, Wait},
    codec,
    faults::Fault,
    following,
    invariants::{End, Held},
    memory,
    network::Network,
    plan::{Plan, Shape},
    server::Server,
    trace::{Lane, Trace},
};
use crate::{
    model::attempt::Attempt,
    sys::{
        clock::Moment,
        network::Connection,
        simulated::{self, Answer},
    },
};

/// What the boot clock shows at the start of a simulation.
const BOOT: Duration = Duration::from_secs(1_000_000);

/// The most requests in a second for each activity. A holder of the workload that flushes all the time makes fewer.
const REQUESTS_PER_SECOND: usize = 40;

/// For how long the thread of a call may be preempted: usually, and now and then, as on a busy machine.
const LONGEST_PREEMPTION: Duration = Duration::from_millis(2);
const LONGEST_RARE_PREEMPTION: Duration = Duration::from_millis(200);
const RARE: f64 = 0.1;
/// How many locks of the library may be released while the simulated time doesn't advance. With 1000 activities it is some thousand.
const MOST_STEPS: u64 = 500_000;
/// The server's clock at the start of a simulation, in Unix time.
const UNIX: Duration = Duration::from_secs(1_700_000_000);

/// Everything outside of the library.
pub struct World {
    /// What this run does.
    pub plan: Plan,
    pub network: Network,
    pub server: Server,
    pub codec: codec::State,
    pub following: following::State,
    pub trace: Trace,
    started: Instant,
    random: Mutex<Rng>,
    /// For how long the client's machine was suspended so far.
    suspended: Mutex<Duration>,
    weather: Mutex<Weather>,
    /// Whether there are faults that delay news of long polls.
    news_weather: Mutex<Weather>,
    violation: Mutex<Option<Violation>>,
    /// The activities that the client holds open.
    held: Mutex<HashMap<usize, Held>>,
    /// For how long they were held open, in total.
    activity_time: Mutex<Duration>,
    /// The last attempt of each activity that a request has ended, and how.
    endings: Mutex<HashMap<usize, (Attempt, End)>>,
    /// How many requests have arrived that were to end attempts of each activity.
    endings_arrived: Mutex<HashMap<usize, usize>>,
    /// By how much the server's clock was set.
    clock_step: Mutex<Duration>,
    pub memory: memory::Memory,
    /// For how long the client's process, or a thread of it, stood still so far.
    stood_still: Mutex<Duration>,
    /// When the threads that are preempted now continue. `stood_still` counts all of their time.
    preempted: Mutex<Vec<Instant>>,
    /// How often locks of the library were released since the last check whether time advances, and the time of that check.
    steps: Mutex<(u64, Duration)>,
    /// Ends the simulation.
    pub ended: Notify,
    /// Blocked calls, by the condition variable that they wait for.
    waiters: Mutex<HashMap<usize, Vec<Arc<Notify>>>>,
    /// The newest second with a request, and how many requests it has.
    second: Mutex<(u64, usize)>,
    /// Requests that reached the server.
    pub requests: AtomicU64,
    this: Weak<World>,
}

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The invariant, in snake case.
    pub invariant: &'static str,
    pub text: String,
}

/// Whether faults are active.
#[derive(Default)]
struct Weather {
    active: usize,
    /// When the last fault was over; `None`: there was none.
    good_since: Option<Instant>,
}

impl Weather {
    fn clear(&mut self) {
        self.active -= 1;
        self.good_since = Some(Instant::now());
    }

    fn good_for(&self) -> Duration {
        match self.good_since {
            _ if self.active > 0 => Duration::ZERO,
            Some(since) => since.elapsed(),
            None => Duration::MAX,
        }
    }
}

impl World {
    /// Made in the context of the simulation's runtime.
    pub fn new(plan: Plan, trace: Trace) -> Arc<Self> {
        Arc::new_cyclic(|this| World {
            network: Network::new(&plan),
            server: Server::default(),
            codec: codec::State::default(),
            following: following::State::default(),
            trace,
            started: Instant::now(),
            random: Mutex::new(Rng::with_seed(plan.seed)),
            suspended: Mutex::default(),
            weather: Mutex::default(),
            news_weather: Mutex::default(),
            clock_step: Mutex::default(),
            endings: Mutex::default(),
            endings_arrived: Mutex::default(),
            memory: memory::Memory::start(),
            activity_time: Mutex::default(),
            violation: Mutex::default(),
            held: Mutex::default(),
            stood_still: Mutex::default(),
            preempted: Mutex::default(),
            steps: Mutex::default(),
            ended: Notify::new(),
            waiters: Mutex::default(),
            second: Mutex::default(),
            requests: AtomicU64::new(0),
            this: this.clone(),
            plan,
        })
    }

    pub fn this(&self) -> Arc<World> {
        self.this.upgrade().unwrap()
    }

    /// The time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes an event.
    pub fn log(&self, lane: Lane, text: impl FnOnce() -> String) {
        if self.trace.is_on() {
            memory::uncounted(|| self.trace.add(self.elapsed(), lane, text()));
        }
    }

    /// Notes a broken promise. The first one ends the simulation.
    pub fn violated(&self, invariant: &'static str, text: String) {
        self.log(Lane::World, || format!("VIOLATED {invariant}: {text}"));
        lock(&self.violation).get_or_insert(Violation { invariant, text });
        self.ended.notify_one();
    }

    pub fn violation(&self) -> Option<Violation> {
        lock(&self.violation).clone()
    }

    /// A number in the range.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        lock(&self.random).u64(low..=high.max(low))
    }

    /// A time in the range.
    pub fn time_between(&self, low: Duration, high: Duration) -> Duration {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
        Duration::from_micros(self.between(micros(low), micros(high)))
    }

    /// True this often.
    pub fn chance(&self, probability: f64) -> bool {
        lock(&self.random).f64() < probability
    }

    /// One of these, by weight.
    pub fn pick<T: Copy>(&self, choices: &[(u32, T)]) -> T {
        let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
        let mut at = lock(&self.random).u32(0..total);
        for (weight, choice) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        unreachable!("the weights add up to the total");
    }

    /// A fault begins.
    pub fn fault_begins(&self, fault: Fault) {
        self.weathers_of(fault).for_each(|weather| lock(weather).active += 1);
    }

    /// A fault is over.
    pub fn fault_ends(&self, fault: Fault) {
        self.weathers_of(fault).for_each(|weather| lock(weather).clear());
    }

    fn weathers_of(&self, fault: Fault) -> impl Iterator<Item = &Mutex<Weather>> {
        let weathers = [(!fault.is_harmless(), &self.weather), (fault.delays_news(), &self.news_weather)];
        weathers.into_iter().filter_map(|(counts, weather)| counts.then_some(weather))
    }

    /// For how long no fault has been active.
    pub fn good_for(&self) -> Duration {
        lock(&self.weather).good_for()
    }

    /// For how long no fault has been active that delays news of long polls.
    pub fn news_good_for(&self) -> Duration {
        lock(&self.news_weather).good_for()
    }

    /// Whether there was no fault at all so far.
    pub fn is_untroubled(&self) -> bool {
        self.good_for() == Duration::MAX
    }

    /// The server's clock, in Unix time.
    pub fn unix(&self) -> Duration {
        UNIX + self.elapsed() + *lock(&self.clock_step)
    }

    /// Sets the server's clock to so much later than it was at the start.
    pub fn set_clock(&self, step: Duration) {
        *lock(&self.clock_step) = step;
    }

    /// Notes that activities were held open for so long.
    pub fn held_for(&self, time: Duration) {
        let held = u32::try_from(lock(&self.held).len()).unwrap();
        *lock(&self.activity_time) += time * held;
    }

    /// For how long activities were held open, in total.
    pub fn activity_time(&self) -> Duration {
        *lock(&self.activity_time)
    }

    /// Notes that a request has ended an attempt.
    pub fn note_ending(&self, number: usize, ending: (Attempt, End)) {
        lock(&self.endings).insert(number, ending);
    }

    /// Notes that another handle was opened. It doesn't know what became of the endings of the one before.
    pub fn forget_ending(&self, number: usize) {
        lock(&self.endings).remove(&number);
    }

    /// Notes that a request has arrived that is to end an attempt.
    pub fn count_ending(&self, number: usize) {
        *lock(&self.endings_arrived).entry(number).or_default() += 1;
    }

    /// How many requests have arrived that were to end attempts of the activity.
    pub fn endings_arrived(&self, number: usize) -> usize {
        lock(&self.endings_arrived).get(&number).copied().unwrap_or(0)
    }

    /// Whether a request has ended the attempt in this way.
    pub fn has_ended(&self, number: usize, ending: (Attempt, End)) -> bool {
        lock(&self.endings).get(&number) == Some(&ending)
    }

    /// The client's machine is suspended: its boot clock advances, and its timers don't.
    pub fn suspend(&self, time: Duration) {
        *lock(&self.suspended) += time;
        self.server.changed.notify_one();
    }

    /// Notes that the client's process is stopped.
    pub fn stood_still(&self, time: Duration) {
        *lock(&self.stood_still) += time;
    }

    /// For how long the client's process has run. A frozen process or a preempted thread can't keep its promises.
    pub fn time_of_client(&self) -> Duration {
        self.elapsed().saturating_sub(*lock(&self.stood_still))
    }

    /// For how long the client's process has run since this time of it.
    pub fn since(&self, began: Duration) -> Duration {
        self.time_of_client().saturating_sub(began)
    }

    /// How much of the time in which threads are preempted is counted, and hasn't passed yet.
    pub fn counted_ahead(&self) -> Duration {
        let now = Instant::now();
        lock(&self.preempted).iter().map(|end| end.saturating_duration_since(now)).sum()
    }

    /// Notes that the client holds an activity open, or that it doesn't any more.
    pub fn hold(&self, number: usize, held: Option<Held>) {
        match held {
            Some(held) => lock(&self.held).insert(number, held),
            None => lock(&self.held).remove(&number),
        };
    }

    /// Notes that the client holds nothing any more.
    pub fn release_all(&self) {
        lock(&self.held).clear();
    }

    /// Notes that the open handle of an activity took a record.
    pub fn took(&self, number: usize, record: u64) {
        if let Some(held) = lock(&self.held).get_mut(&number) {
            held.record = record;
        }
    }

    pub fn held(&self, number: usize) -> Option<Held> {
        lock(&self.held).get(&number).copied()
    }

    /// Runs a call that blocks.
    pub async fn blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let filled = result.clone();
        let mut call = Blocking::new(move || *lock(&filled) = Some(call()));
        while let Some(wait) = call.resume() {
            match wait.condvar {
                Some(condvar) => self.until_notified(condvar, wait.time).await,
                None => tokio::time::sleep(wait.time).await,
            }
        }
        lock(&result).take().expect("a call of the library panicked")
    }

    async fn until_notified(&self, condvar: usize, time: Duration) {
        let notify = Arc::new(Notify::new());
        lock(&self.waiters).entry(condvar).or_default().push(notify.clone());
        let _ = tokio::time::timeout(time, notify.notified()).await;
        let mut waiters = lock(&self.waiters);
        // A waiter that was woken isn't in the list.
        let Some(left) = waiters.get_mut(&condvar) else { return };
        left.retain(|other| !Arc::ptr_eq(other, &notify));
        if left.is_empty() {
            waiters.remove(&condvar);
        }
    }

    /// The library has released its last lock. If it does so again and again and time doesn't advance, one of its tasks never waits. Then the
    /// simulation can continue only if that task ends.
    fn count_step(&self) {
        let mut steps = lock(&self.steps);
        steps.0 += 1;
        if steps.0 < MOST_STEPS {
            return;
        }
        let (before, now) = (steps.1, self.elapsed());
        *steps = (0, now);
        drop(steps);
        if now == before {
            self.violated("no_task_spins", format!("{MOST_STEPS} locks were released in no time"));
            panic!("this task spins");
        }
    }

    /// A request has reached the server.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.count_try();
    }

    /// The client has sent a request, or tries to connect.
    pub fn count_try(&self) {
        let mut second = lock(&self.second);
        if second.0 != self.elapsed().as_secs() {
            *second = (self.elapsed().as_secs(), 0);
        }
        second.1 += 1;
        let bound = REQUESTS_PER_SECOND * (1 + self.plan.activities);
        if second.1 > bound && self.plan.shape != Shape::Flood {
            self.violated("requests_are_bounded", format!("{bound} requests or connects in a second"));
        }
    }
}

impl simulated::World for World {
    fn now(&self) -> Moment {
        Moment::default().later(BOOT + self.elapsed() + *lock(&self.suspended))
    }

    fn resolve(&self, _: &str, port: u16) -> Answer<Vec<SocketAddr>> {
        let addresses = self.network.addresses(port);
        Box::pin(async move { Ok(addresses) })
    }

    fn work(&self) -> Answer<()> {
        let world = self.this();
        Box::pin(async move {
            codec::State::work(world).await;
            Ok(())
        })
    }

    fn connect(&self, address: SocketAddr) -> Answer<Box<dyn Connection>> {
        Box::pin(super::network::connect(self.this(), address))
    }

    fn wait(&self, condvar: usize, time: Duration) {
        blocking::wait(Wait { condvar: Some(condvar), time });
    }

    fn panicked(&self, why: &str) {
        self.violated("nothing_panics", why.to_owned());
    }

    fn preempt(&self) {
        self.count_step();
        let probability = self.plan.preemption;
        if probability > 0.0 && blocking::is_running() && self.chance(probability) {
            let longest = if self.chance(RARE) { LONGEST_RARE_PREEMPTION } else { LONGEST_PREEMPTION };
            let time = self.time_between(Duration::ZERO, longest);
            let (began, now) = (self.elapsed(), Instant::now());
            self.stood_still(time);
            {
                let mut preempted = lock(&self.preempted);
                preempted.retain(|end| *end > now);
                preempted.push(now + time);
            }
            blocking::wait(Wait { condvar: None, time });
            // The simulation's timers have a resolution of a millisecond.
            self.stood_still((self.elapsed() - began).saturating_sub(time));
        }
    }

    fn notify_one(&self, condvar: usize) {
        let mut waiters = lock(&self.waiters);
        let Some(waiting) = waiters.get_mut(&condvar) else { return };
        waiting.remove(0).notify_one();
        if waiting.is_empty() {
            waiters.remove(&condvar);
        }
    }

    fn notify_all(&self, condvar: usize) {
        let waiting = lock(&self.waiters).remove(&condvar).unwrap_or_default();
        waiting.iter().for_each(|waiter| waiter.notify_one());
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
