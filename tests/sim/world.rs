//! The simulated world: its clock, its randomness, its trace, and the threads of blocking calls.

use std::{
    cell::RefCell,
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

use fastrand::Rng;
use tokio::{sync::Notify, time::Instant};

use super::{
    invariants::Held,
    network::Network,
    plan::Plan,
    server::Server,
    trace::{Lane, Trace},
};
use crate::sys::{
    clock::Moment,
    network::Connection,
    simulated::{self, Answer},
};

/// What the boot clock shows at the start of a simulation.
const BOOT: Duration = Duration::from_secs(1_000_000);

/// The most requests in a second for each activity. A holder of the workload that flushes all the time makes fewer.
const REQUESTS_PER_SECOND: usize = 40;

/// Everything outside of the library.
pub struct World {
    /// What this run does.
    pub plan: Plan,
    pub network: Network,
    pub server: Server,
    pub trace: Trace,
    started: Instant,
    random: Mutex<Rng>,
    /// For how long the client's machine was suspended so far.
    suspended: Mutex<Duration>,
    weather: Mutex<Weather>,
    violation: Mutex<Option<Violation>>,
    /// The activities that the client holds open.
    held: Mutex<HashMap<usize, Held>>,
    /// For how long the client's process stood still so far.
    stood_still: Mutex<Duration>,
    /// Ends the simulation.
    pub ended: Notify,
    /// Blocked calls, by the condition variable that they wait for.
    waiters: Mutex<HashMap<usize, Vec<Arc<Notify>>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
struct Weather {
    active: usize,
    good_since: Instant,
}

impl World {
    /// Made in the context of the simulation's runtime.
    pub fn new(plan: Plan, seed: u64) -> Arc<Self> {
        Arc::new_cyclic(|this| World {
            network: Network::new(&plan),
            server: Server::default(),
            trace: Trace::default(),
            started: Instant::now(),
            random: Mutex::new(Rng::with_seed(seed)),
            suspended: Mutex::default(),
            weather: Mutex::new(Weather { active: 0, good_since: Instant::now() }),
            violation: Mutex::default(),
            held: Mutex::default(),
            stood_still: Mutex::default(),
            ended: Notify::new(),
            waiters: Mutex::default(),
            threads: Mutex::default(),
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
        self.trace.add(self.elapsed(), lane, text());
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
    pub fn fault_begins(&self) {
        lock(&self.weather).active += 1;
    }

    /// A fault is over.
    pub fn fault_ends(&self) {
        let mut weather = lock(&self.weather);
        weather.active -= 1;
        weather.good_since = Instant::now();
    }

    /// For how long no fault has been active.
    pub fn good_for(&self) -> Duration {
        let weather = lock(&self.weather);
        if weather.active > 0 { Duration::ZERO } else { weather.good_since.elapsed() }
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

    pub fn time_stood_still(&self) -> Duration {
        *lock(&self.stood_still)
    }

    /// Notes that the client holds an activity open, or that it doesn't any more.
    pub fn hold(&self, number: usize, held: Option<Held>) {
        match held {
            Some(held) => lock(&self.held).insert(number, held),
            None => lock(&self.held).remove(&number),
        };
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

    /// Runs a call that blocks, in a thread of its own. That thread and this one never run at the same time.
    pub async fn blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> T {
        let (resume, resumed) = mpsc::channel();
        let (give_back, given_back) = mpsc::channel();
        let result = Arc::new(Mutex::new(None));
        let (world, runtime, filled) = (self.this(), tokio::runtime::Handle::current(), result.clone());
        let seed = self.between(0, u64::MAX - 1);
        lock(&self.threads).push(std::thread::spawn(move || {
            let _entered = simulated::enter(world);
            let _context = runtime.enter();
            fastrand::seed(seed);
            let turns = Turns { resumed, give_back };
            if turns.resumed.recv().is_err() {
                return;
            }
            TURNS.set(Some(turns));
            let value = call();
            *lock(&filled) = Some(value);
            TURNS.with_borrow(|turns| turns.as_ref().map(|turns| turns.give_back.send(None)));
        }));
        loop {
            resume.send(()).unwrap();
            match given_back.recv() {
                Ok(Some(Wait { condvar, time })) => self.until_notified(condvar, time).await,
                Ok(None) => return lock(&result).take().unwrap(),
                Err(_) => panic!("a call of the library panicked"),
            }
        }
    }

    async fn until_notified(&self, condvar: usize, time: Duration) {
        let notify = Arc::new(Notify::new());
        lock(&self.waiters).entry(condvar).or_default().push(notify.clone());
        let _ = tokio::time::timeout(time, notify.notified()).await;
        let mut waiters = lock(&self.waiters);
        let left = waiters.get_mut(&condvar).unwrap();
        left.retain(|other| !Arc::ptr_eq(other, &notify));
        if left.is_empty() {
            waiters.remove(&condvar);
        }
    }

    /// Waits for the threads of all calls. Called when the simulation's runtime is dropped, which ends blocked calls.
    pub fn join_calls(&self) {
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            let _ = thread.join();
        }
    }

    /// A request has reached the server.
    pub fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut second = lock(&self.second);
        if second.0 != self.elapsed().as_secs() {
            *second = (self.elapsed().as_secs(), 0);
        }
        second.1 += 1;
        let bound = REQUESTS_PER_SECOND * (1 + self.plan.activities);
        if second.1 > bound {
            self.violated("requests_are_bounded", format!("{bound} requests in a second"));
        }
    }
}

/// How the thread of a call and that of the simulation take turns.
struct Turns {
    resumed: mpsc::Receiver<()>,
    give_back: mpsc::Sender<Option<Wait>>,
}

/// What a blocked call waits for.
struct Wait {
    condvar: usize,
    time: Duration,
}

thread_local! {
    static TURNS: RefCell<Option<Turns>> = const { RefCell::new(None) };
}

impl simulated::World for World {
    fn now(&self) -> Moment {
        Moment::default().later(BOOT + self.elapsed() + *lock(&self.suspended))
    }

    fn resolve(&self, _: &str, port: u16) -> Answer<Vec<SocketAddr>> {
        let addresses = self.network.addresses(port);
        Box::pin(async move { Ok(addresses) })
    }

    fn connect(&self, address: SocketAddr) -> Answer<Box<dyn Connection>> {
        Box::pin(super::network::connect(self.this(), address))
    }

    fn wait(&self, condvar: usize, time: Duration) {
        let resumed = TURNS.with_borrow(|turns| {
            let turns = turns.as_ref().expect("a blocking call of the library outside of World::blocking");
            turns.give_back.send(Some(Wait { condvar, time })).is_ok() && turns.resumed.recv().is_ok()
        });
        if !resumed {
            // The simulation is over: this thread ends, without the message of a panic.
            std::panic::resume_unwind(Box::new("the simulation is over"));
        }
    }

    fn notify(&self, condvar: usize) {
        if let Some(waiters) = lock(&self.waiters).get(&condvar) {
            waiters.iter().for_each(|waiter| waiter.notify_one());
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
