//! A simulation of the client, the network and the server in one thread, with faults by seed. See README.md.
#![allow(clippy::print_stdout, reason = "a test reports")]

mod activity;
mod blocking;
mod calls;
mod codec;
mod compare;
mod description;
mod faults;
mod following;
mod holder;
mod invariants;
mod memory;
mod network;
mod one_call;
mod operator;
mod plan;
mod process;
mod request;
mod server;
mod submissions;
mod temporal;
mod timers;
mod trace;
mod workload;
mod world;

use std::{
    env,
    sync::{
        Arc, Once, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use plan::{Plan, Shape};
use process::{Process, with_activities};
use trace::{Event, Trace};
use world::{Violation, World};

use crate::{activity::Activities, sys::simulated};

/// How many events a report shows.
const SHOWN: usize = 120;
/// Of these seeds `cargo test` runs those with a dense plan, which is short: the same ones on every machine.
const FIXED_SEEDS: u64 = 150;
/// How long a plan is made simpler.
const LONGEST_SHRINKING: Duration = Duration::from_secs(20);
/// How long the disconnect at the end of a run may take.
const DISCONNECT: Duration = Duration::from_secs(20);

/// What became of a run.
struct Outcome {
    violation: Option<Violation>,
    events: Vec<Event>,
    diagram: String,
    figures: Figures,
}

/// How much was simulated.
#[derive(Clone, Copy, Default)]
struct Figures {
    runs: u64,
    simulated: Duration,
    /// For how long activities were held open.
    held: Duration,
    requests: u64,
    /// The time of the processor.
    took: Duration,
}

impl std::ops::AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.simulated += other.simulated;
        self.held += other.held;
        self.requests += other.requests;
        self.took += other.took;
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (took, hours) = (self.took.as_secs_f64(), |time: Duration| time.as_secs_f64() / 3600.0);
        let (simulated, held) = (hours(self.simulated), hours(self.held));
        write!(
            text,
            "{} runs in {took:.1} s of a processor, {simulated:.1} simulated hours ({:.2} a second), {held:.0} activity-hours ({:.1} a second), {} requests",
            self.runs,
            simulated / took,
            held / took,
            self.requests
        )
    }
}

/// Runs a plan, and keeps its events if they are wanted.
fn run(plan: &Plan, wants_events: bool) -> Outcome {
    report_panics();
    let mut outcome = None;
    with_activities(|activities| outcome = Some(run_with(activities, plan, wants_events)));
    outcome.unwrap()
}

fn run_with(activities: &'static Activities, plan: &Plan, wants_events: bool) -> Outcome {
    let began = processor_time();
    fastrand::seed(plan.seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let context = runtime.enter();
    let world = World::new(plan.clone(), Trace::new(wants_events));
    drop(context);
    let entered = simulated::enter(world.clone());
    runtime.block_on(live(world.clone(), activities));
    let simulated = runtime.block_on(async { world.elapsed() });
    drop(runtime);
    drop(entered);
    let violation = world.violation();
    let about =
        violation.as_ref().and_then(|violation| trace::names(&violation.text).next().map(str::to_owned));
    Outcome {
        events: world.trace.events(),
        diagram: world.trace.diagram(SHOWN, about.as_deref()),
        figures: Figures {
            runs: 1,
            simulated,
            held: world.activity_time(),
            requests: world.requests.load(Ordering::Relaxed),
            took: processor_time().saturating_sub(began),
        },
        violation,
    }
}

/// The time that the calling thread has had of a processor.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Has a panic in a simulation count as a broken promise.
fn report_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match simulated::world() {
            Some(world) => world.panicked(&panic.to_string()),
            None => usual(panic),
        }));
    });
}

/// Faults and work, then a good world, then the disconnect; or the first violation.
async fn live(world: Arc<World>, activities: &'static Activities) {
    let process = Process::new(activities);
    process.connect(&world);
    for number in 0..world.plan.activities {
        timers::schedule(&world, number);
        tokio::spawn(workload::run(world.clone(), process.clone(), number));
    }
    tokio::spawn(timers::run(world.clone(), process.clone()));
    for taker in 0..world.plan.takers {
        tokio::spawn(submissions::take_completions(world.clone(), process.clone(), taker));
    }
    tokio::spawn(invariants::watch(world.clone(), process.clone()));
    let story = async {
        let faults = tokio::spawn(faults::run(world.clone(), process.clone()));
        tokio::time::sleep(world.plan.length).await;
        let _ = faults.await;
        // Now the newest records must arrive, and the library must keep the leases.
        let longest = world.plan.timeouts_ms.iter().max().copied().unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(longest * 3) + Duration::from_secs(100)).await;
        process.stop();
        let held = |number| world.held(number).map(|held| (number, held));
        let held: Vec<_> = (0..world.plan.activities).filter_map(held).collect();
        process.disconnect(&world, DISCONNECT).await;
        invariants::disconnected(&world, &held, DISCONNECT);
        invariants::everything_ends(&world, &process).await;
    };
    tokio::select! {
        biased;
        () = world.ended.notified() => {}
        () = story => {}
    }
}

/// Makes the plan of a violation simpler as long as the same promise is broken.
fn shrink(plan: &Plan, invariant: &str) -> Plan {
    let mut plan = plan.clone();
    // The report on a planted mistake isn't read.
    let time = if number_in("THB_SIM_PLANTED").is_some() { Duration::ZERO } else { LONGEST_SHRINKING };
    let end = Instant::now() + time;
    'simpler: loop {
        for simpler in plan.simpler() {
            if Instant::now() > end {
                return plan;
            }
            let violation = run(&simpler, false).violation;
            if violation.is_some_and(|violation| violation.invariant == invariant) {
                plan = simpler;
                continue 'simpler;
            }
        }
        return plan;
    }
}

/// Runs a seed. Fails with all that there is to know if a promise is broken.
fn check(seed: u64) -> (Figures, Result<(), String>) {
    let plan = Plan::of(seed);
    let outcome = run(&plan, false);
    let Some(violation) = outcome.violation else { return (outcome.figures, Ok(())) };
    let Violation { invariant, text } = violation;
    let goes_on = env::var("THB_SIM_ONLY").is_ok_and(|only| !only.split(' ').any(|name| name == invariant));
    if goes_on || number_in("THB_SIM_GO_ON").is_some() {
        println!("seed {seed} breaks {invariant}: {text}");
        return (outcome.figures, Ok(()));
    }
    let plan = shrink(&plan, invariant);
    let smallest = run(&plan, true);
    let text = smallest.violation.map_or(text, |violation| violation.text);
    let report = format!(
        "the simplest plan that breaks {invariant}: {plan:#?}\n\n{}\n{invariant}: {text}\nrepeat it: make sim SEED={seed}\n",
        smallest.diagram
    );
    (outcome.figures, Err(report))
}

/// Runs seeds in some threads until each has had so much time of a processor, which is the same on a busy machine.
fn check_for(time: Duration, jobs: u64, seed: impl Fn() -> u64 + Sync) {
    let is_over = AtomicBool::new(false);
    let job = || {
        let (began, mut figures) = (processor_time(), Figures::default());
        while processor_time().saturating_sub(began) < time && !is_over.load(Ordering::Relaxed) {
            let ended = EndsOthers(&is_over);
            let seed = seed();
            let (of_seed, outcome) = check(seed);
            figures += of_seed;
            if let Err(report) = outcome {
                panic!("seed {seed} breaks a promise, found after {figures}\n{report}");
            }
            std::mem::forget(ended);
        }
        figures
    };
    let figures = std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs).map(|_| scope.spawn(job)).collect();
        let mut total = Figures::default();
        for job in jobs {
            total += job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        total
    });
    println!("{figures}");
}

/// Ends the other jobs when one has found something.
struct EndsOthers<'a>(&'a AtomicBool);

impl Drop for EndsOthers<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether this mistake is planted (planted.py).
#[allow(dead_code, reason = "called in a copy of the library that has mistakes")]
pub fn is_planted(number: u64) -> bool {
    static PLANTED: OnceLock<Option<u64>> = OnceLock::new();
    simulated::world().is_some() && *PLANTED.get_or_init(|| number_in("THB_SIM_PLANTED")) == Some(number)
}

/// A number in an environment variable.
fn number_in(name: &str) -> Option<u64> {
    env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().unwrap())
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        let (first, second) = (run(&Plan::of(seed), true), run(&Plan::of(seed), true));
        let differs = first.events.iter().zip(&second.events).position(|(one, other)| one != other);
        assert_eq!(differs.map(|at| (&first.events[at], &second.events[at])), None, "seed {seed}");
        assert_eq!(first.events.len(), second.events.len(), "seed {seed}");
    }
}

#[test]
fn no_promise_is_broken_in_a_simulated_world() {
    if let Some(seed) = number_in("THB_SIM_SEED") {
        if let (_, Err(report)) = check(seed) {
            panic!("{report}");
        }
        println!("{}", run(&Plan::of(seed), true).diagram);
    } else if let Some(seconds) = number_in("THB_SIM_SECONDS") {
        let jobs = number_in("THB_SIM_JOBS").unwrap_or(1);
        check_for(Duration::from_secs(seconds), jobs, || fastrand::u64(..1 << 40));
    } else {
        for seed in (0..FIXED_SEEDS).filter(|seed| Plan::of(*seed).shape == Shape::Dense) {
            let (_, outcome) = check(seed);
            outcome.unwrap_or_else(|report| panic!("seed {seed} breaks a promise\n{report}"));
        }
    }
}
