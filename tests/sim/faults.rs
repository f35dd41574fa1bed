//! The faults: each begins, lasts for a while, and ends. To add one, add a kind, and what it does in [`Fault::happen`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    network::Way,
    operator::Operation,
    process::Process,
    server::Misbehaviour,
    trace::Lane,
    world::{World, lock},
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing gets through.
    Partition,
    /// Nothing gets through to one side.
    OneWay(Way),
    /// Packets are lost, and sent again later.
    Loss,
    /// The bytes of one connection are held back on one way, and delivered later.
    Hold(Way),
    /// One side reads one connection slowly, so that the buffers of the other fill.
    SlowReader(Way),
    /// A device on the way resets a connection.
    Reset,
    /// A device on the way forgets a connection: what is sent over it vanishes, and neither side learns of it.
    HalfOpen,
    /// An address accepts no connections.
    SilentAddress,
    /// The server wants a connection to end.
    GoAway,
    /// The server's process is stopped; its kernel still runs.
    FreezeServer,
    /// The server's process ends and is started again.
    Crash,
    /// The server's clock is set.
    ClockStep,
    /// The server answers in a wrong way, or not at all.
    Server(Misbehaviour),
    /// The client's machine is suspended.
    Suspend,
    /// The client's process is stopped.
    FreezeClient,
    /// The client disconnects and connects again.
    Reconnect,
    /// The client gets another API key, and perhaps another certificate. The server accepts the old key for a while.
    Renewal,
    /// A user requests the cancellation of an activity.
    Cancel,
    /// A user pauses an activity, and unpauses it.
    Pause,
    /// A user resets an activity.
    ResetActivity,
    /// A user changes the heartbeat timeout of an activity.
    ChangeTimeout,
    /// A user terminates a standalone activity, or a workflow.
    Terminate,
    /// The codec fails.
    CodecAway,
    /// The codec hangs.
    CodecHangs,
}

/// How long a server takes to start again.
const RESTART: Duration = Duration::from_millis(1300);
/// How long the disconnect of a reconnect may take.
const DISCONNECT: Duration = Duration::from_secs(5);
/// The most that the server's clock is set back or forth.
const CLOCK_STEP: Duration = Duration::from_secs(5);
/// How long after a renewal an old key may be on its way.
const OLD_KEY: Duration = Duration::from_secs(2);

impl Fault {
    pub fn all() -> Vec<Fault> {
        use Misbehaviour::*;
        vec![
            Fault::Partition,
            Fault::OneWay(Way::ToServer),
            Fault::OneWay(Way::ToClient),
            Fault::Loss,
            Fault::Hold(Way::ToServer),
            Fault::Hold(Way::ToClient),
            Fault::SlowReader(Way::ToServer),
            Fault::SlowReader(Way::ToClient),
            Fault::Reset,
            Fault::HalfOpen,
            Fault::SilentAddress,
            Fault::GoAway,
            Fault::FreezeServer,
            Fault::Crash,
            Fault::ClockStep,
            Fault::Server(Slow(0.8)),
            Fault::Server(Slow(4.0)),
            Fault::Server(Loses),
            Fault::Server(LosesAnswers),
            Fault::Server(RateLimited),
            Fault::Server(Unavailable),
            Fault::Server(UnavailableThoughApplied),
            Fault::Server(Garbles),
            Fault::Server(NotFoundOfAGateway),
            Fault::Server(LaggingReplica),
            Fault::Suspend,
            Fault::FreezeClient,
            Fault::Reconnect,
            Fault::Renewal,
            Fault::Cancel,
            Fault::Pause,
            Fault::ResetActivity,
            Fault::ChangeTimeout,
        ]
    }

    /// Whether the library must keep its promises on time in spite of it. Without the codec it keeps the leases. By ids, nothing may be sent while a replica shows an earlier
    /// attempt.
    pub fn is_harmless(self) -> bool {
        matches!(
            self,
            Fault::GoAway
                | Fault::ClockStep
                | Fault::Cancel
                | Fault::Pause
                | Fault::ResetActivity
                | Fault::Terminate
                | Fault::CodecAway
                | Fault::CodecHangs
                | Fault::Server(
                    Misbehaviour::DeniesPolls | Misbehaviour::LimitsPolls | Misbehaviour::HastyPolls
                )
        )
    }

    /// Whether long polls may show news late, or never.
    pub fn delays_news(self) -> bool {
        use Misbehaviour::{DeniesPolls, HastyPolls, LimitsPolls};
        match self {
            Fault::Server(DeniesPolls | LimitsPolls | HastyPolls) => true,
            Fault::ChangeTimeout => false,
            other => !other.is_harmless(),
        }
    }

    /// Whether it leaves connections alone.
    pub fn keeps_connections(self) -> bool {
        use Misbehaviour::{DeniesPolls, HastyPolls, LaggingReplica, LimitsPolls, Slow};
        matches!(
            self,
            Fault::Server(Slow(_) | LaggingReplica | DeniesPolls | LimitsPolls | HastyPolls)
                | Fault::Terminate
                | Fault::ClockStep
                | Fault::Cancel
                | Fault::Pause
                | Fault::ResetActivity
                | Fault::ChangeTimeout
                | Fault::CodecAway
                | Fault::CodecHangs
        )
    }

    /// The faults that concern activities that are followed.
    pub fn of_following() -> [(u32, Fault); 8] {
        use Misbehaviour::{DeniesPolls, HastyPolls, LimitsPolls};
        [
            // After a cancellation and a reset most other changes are refused.
            (1, Fault::Cancel),
            (8, Fault::Pause),
            (1, Fault::ResetActivity),
            (3, Fault::ChangeTimeout),
            (1, Fault::Terminate),
            (1, Fault::Server(DeniesPolls)),
            (1, Fault::Server(LimitsPolls)),
            (1, Fault::Server(HastyPolls)),
        ]
    }

    async fn happen(self, world: &Arc<World>, process: &Arc<Process>, time: Duration) {
        let network = &world.network;
        match self {
            Fault::Partition => {
                let _down = (network.take_down(Way::ToServer), network.take_down(Way::ToClient));
                sleep(time).await;
            }
            Fault::OneWay(way) => {
                let _down = network.take_down(way);
                sleep(time).await;
            }
            Fault::Loss => {
                let _lossy = network.lose_packets();
                sleep(time).await;
            }
            Fault::Hold(way) => {
                if let Some(pipes) = one_of(world, network.open()) {
                    world.log(Lane::Connection, || format!("#{} holds bytes {way:?}", pipes.number));
                    pipes.hold(way, Instant::now() + time);
                    sleep(time).await;
                }
            }
            Fault::SlowReader(way) => {
                if let Some(pipes) = one_of(world, network.open()) {
                    world.log(Lane::Connection, || format!("#{} is read slowly {way:?}", pipes.number));
                    pipes.slow_down(way, Instant::now() + time);
                    sleep(time).await;
                }
            }
            Fault::Reset => {
                if let Some(pipes) = one_of(world, network.open()) {
                    world.log(Lane::Connection, || format!("#{} reset by the network", pipes.number));
                    pipes.reset();
                }
            }
            Fault::HalfOpen => {
                if let Some(pipes) = one_of(world, network.open()) {
                    world.log(Lane::Connection, || format!("#{} is forgotten by the network", pipes.number));
                    pipes.forget();
                    // The client has to find that out.
                    sleep(time).await;
                }
            }
            Fault::SilentAddress => {
                let _silent = network.silence(usize::try_from(world.between(0, 100)).unwrap());
                sleep(time).await;
            }
            Fault::GoAway => {
                if let Some(pipes) = one_of(world, network.open()) {
                    pipes.go_away.notify_one();
                }
            }
            Fault::FreezeServer => {
                world.server.freeze();
                sleep(time).await;
                world.thaw();
            }
            Fault::Crash => {
                world.server.crash();
                sleep(RESTART).await;
                world.server.restart();
                world.server.changed.notify_one();
            }
            Fault::ClockStep => {
                let step = world.time_between(Duration::ZERO, CLOCK_STEP * 2);
                world.set_clock(step);
            }
            Fault::Server(misbehaviour) => {
                let begun = world.server.misbehave(misbehaviour);
                sleep(time).await;
                world.server.behave(begun);
            }
            Fault::CodecAway => stop(world, &world.codec.away, time).await,
            Fault::CodecHangs => stop(world, &world.codec.hanging, time).await,
            Fault::Suspend => world.suspend(time),
            Fault::FreezeClient => {
                world.stood_still(time);
                tokio::time::advance(time).await;
            }
            Fault::Reconnect => process.reconnect(world, DISCONNECT).await,
            Fault::Renewal => {
                let key = world.server.add_key();
                let half = time.min(OLD_KEY) / 2;
                sleep(half).await;
                process.renew(world, key);
                sleep(half + OLD_KEY).await;
                world.server.forget_keys_before(key);
            }
            Fault::Cancel => {
                let _ = operate_on_one(world, Operation::Cancel);
            }
            Fault::Terminate => {
                let _ = operate_on_one(world, Operation::Terminate);
            }
            Fault::Pause => {
                let Some(number) = operate_on_one(world, Operation::Pause) else { return };
                sleep(time).await;
                let (erases_details, restarts_count) = (world.chance(0.2), world.chance(0.2));
                operate(world, number, Operation::Unpause { erases_details, restarts_count });
            }
            Fault::ResetActivity => {
                let (erases_details, keeps_paused) = (world.chance(0.3), world.chance(0.3));
                let _ = operate_on_one(world, Operation::Reset { erases_details, keeps_paused });
            }
            Fault::ChangeTimeout => {
                let timeouts = world.plan.timeouts_ms.iter().filter(|timeout| **timeout > 0);
                let choices: Vec<_> = timeouts.flat_map(|ms| [(1, *ms), (1, (*ms / 2).max(1000))]).collect();
                if !choices.is_empty() {
                    let timeout = Duration::from_millis(world.pick(&choices));
                    let _ = operate_on_one(world, Operation::SetTimeout(timeout));
                }
            }
        }
    }
}

fn one_of<T>(world: &World, mut choices: Vec<T>) -> Option<T> {
    if choices.is_empty() {
        return None;
    }
    let at = world.between(0, choices.len() as u64 - 1);
    Some(choices.swap_remove(usize::try_from(at).unwrap()))
}

/// Does something to an activity that runs or waits for its next attempt, if there is one. Returns its number.
fn operate_on_one(world: &World, operation: Operation) -> Option<usize> {
    let pending: Vec<_> = {
        let temporal = lock(&world.server.temporal);
        let pending = temporal.activities.iter().filter(|activity| activity.state.is_pending());
        pending.map(|activity| activity.number).collect()
    };
    let number = one_of(world, pending)?;
    operate(world, number, operation);
    Some(number)
}

fn operate(world: &World, number: usize, operation: Operation) {
    let done = lock(&world.server.temporal).operate(number, operation);
    world.log(Lane::Server, || {
        let outcome = done.map_or_else(|refusal| refusal.message, |_| "ok");
        format!("an operator: {operation:?} of a{number}: {outcome}")
    });
    world.server.has_changed(number);
    world.following.gives_reason(number);
    world.server.changed.notify_one();
}

/// Lets faults happen, some of them at once, until the run's time is over.
pub async fn run(world: Arc<World>, process: Arc<Process>) {
    if world.plan.faults.is_empty() {
        return;
    }
    let sources: Vec<_> = (0..world.plan.faults_at_once)
        .map(|_| tokio::spawn(source(world.clone(), process.clone())))
        .collect();
    for source in sources {
        let _ = source.await;
    }
}

/// Lets one fault happen after the other.
async fn source(world: Arc<World>, process: Arc<Process>) {
    let plan = &world.plan;
    loop {
        sleep(world.time_between(plan.fault_pause.0, plan.fault_pause.1)).await;
        if world.elapsed() >= plan.length {
            return;
        }
        let fault = world.pick(&plan.faults);
        let time = world.time_between(Duration::from_millis(20), plan.longest_fault);
        world.log(Lane::World, || format!("{fault:?} for up to {:.3} s", time.as_secs_f64()));
        world.fault_begins(fault);
        fault.happen(&world, &process, time).await;
        world.fault_ends(fault);
        world.log(Lane::World, || format!("{fault:?} is over"));
    }
}

/// Stops the codec in one way.
async fn stop(world: &World, count: &AtomicUsize, time: Duration) {
    count.fetch_add(1, Ordering::Relaxed);
    sleep(time).await;
    count.fetch_sub(1, Ordering::Relaxed);
    world.codec.mended();
}
