//! A simulation of the client, the network and the server in one thread, with faults by seed. See README.md.
#![allow(clippy::print_stdout, reason = "a test reports")]

mod activity;
mod compare;
mod description;
mod faults;
mod invariants;
mod network;
mod operator;
mod plan;
mod request;
mod server;
mod temporal;
mod timers;
mod trace;
mod workload;
mod world;

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use plan::Plan;
use trace::Event;
use workload::Process;
use world::{Violation, World};

use crate::{activity::Activities, sys::simulated};

/// How many events a report shows.
const SHOWN: usize = 120;
/// How long the disconnect at the end of a run may take.
const DISCONNECT: Duration = Duration::from_secs(20);

/// What became of a run.
struct Outcome {
    violation: Option<Violation>,
    events: Vec<Event>,
    diagram: String,
    simulated: Duration,
    activities: usize,
    requests: u64,
}

/// Runs a plan.
fn run(plan: &Plan) -> Outcome {
    let mut outcome = None;
    workload::with_activities(|activities| outcome = Some(run_with(activities, plan)));
    outcome.unwrap()
}

fn run_with(activities: &'static Activities, plan: &Plan) -> Outcome {
    fastrand::seed(plan.seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let context = runtime.enter();
    let world = World::new(plan.clone(), plan.seed);
    drop(context);
    let entered = simulated::enter(world.clone());
    runtime.block_on(live(world.clone(), activities));
    let simulated = runtime.block_on(async { world.elapsed() });
    drop(runtime);
    world.join_calls();
    drop(entered);
    let violation = world.violation();
    let about =
        violation.as_ref().and_then(|violation| trace::names(&violation.text).next().map(str::to_owned));
    Outcome {
        events: world.trace.events(),
        diagram: world.trace.diagram(SHOWN, about.as_deref()),
        simulated,
        activities: plan.activities,
        requests: world.requests.load(std::sync::atomic::Ordering::Relaxed),
        violation,
    }
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
        invariants::everything_ends(&world).await;
    };
    tokio::select! {
        biased;
        () = world.ended.notified() => {}
        () = story => {}
    }
}

/// Makes the plan of a violation simpler as long as the same promise is broken.
fn shrink(plan: &Plan, invariant: &str) -> (Plan, Outcome) {
    let mut plan = plan.clone();
    let mut smallest = run(&plan);
    let end = Instant::now() + Duration::from_secs(20);
    'simpler: loop {
        for simpler in plan.simpler() {
            let outcome = run(&simpler);
            if outcome.violation.as_ref().is_some_and(|violation| violation.invariant == invariant) {
                (plan, smallest) = (simpler, outcome);
                if Instant::now() < end {
                    continue 'simpler;
                }
            }
        }
        return (plan, smallest);
    }
}

/// Panics with all that there is to know if a promise is broken.
fn check(seed: u64) -> Outcome {
    let plan = Plan::of(seed);
    let outcome = run(&plan);
    let Some(violation) = &outcome.violation else { return outcome };
    let (plan, smallest) = shrink(&plan, violation.invariant);
    let violation = smallest.violation.as_ref().unwrap_or(violation);
    panic!(
        "seed {seed} breaks {}\n{}\n\nwith the plan {plan:#?}\n\n{}\n{}: {}\nrepeat it: make sim SEED={seed}\n",
        violation.invariant, violation.text, smallest.diagram, violation.invariant, violation.text
    );
}

/// Runs seeds until the time is over.
fn check_for(time: Duration, seeds: impl IntoIterator<Item = u64>) {
    let began = Instant::now();
    let (mut runs, mut requests, mut simulated, mut activity_time) = (0, 0, Duration::ZERO, Duration::ZERO);
    for seed in seeds {
        let outcome = check(seed);
        runs += 1;
        requests += outcome.requests;
        simulated += outcome.simulated;
        activity_time += outcome.simulated * u32::try_from(outcome.activities).unwrap();
        if began.elapsed() >= time {
            break;
        }
    }
    let (took, hours) = (began.elapsed().as_secs_f64(), |time: Duration| time.as_secs_f64() / 3600.0);
    println!(
        "{runs} runs ({:.1} a second), {:.1} simulated hours ({:.2} a second), {:.0} activity-hours, {requests} requests",
        f64::from(runs) / took,
        hours(simulated),
        hours(simulated) / took,
        hours(activity_time)
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..10 {
        let (first, second) = (run(&Plan::of(seed)), run(&Plan::of(seed)));
        let differs = first.events.iter().zip(&second.events).position(|(one, other)| one != other);
        assert_eq!(differs.map(|at| (&first.events[at], &second.events[at])), None, "seed {seed}");
        assert_eq!(first.events.len(), second.events.len(), "seed {seed}");
    }
}

#[test]
fn no_promise_is_broken_in_a_simulated_world() {
    let number =
        |name| env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse::<u64>().unwrap());
    match (number("THB_SIM_SEED"), number("THB_SIM_SECONDS")) {
        (Some(seed), _) => {
            let outcome = check(seed);
            println!("{}", outcome.diagram);
        }
        (None, Some(seconds)) => check_for(Duration::from_secs(seconds), fastrand::u64(..1 << 40)..),
        (None, None) => check_for(Duration::from_secs(8), 0..1_000_000),
    }
}
