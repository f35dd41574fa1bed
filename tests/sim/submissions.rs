//! Submitted calls, and the thread that takes their completions.

use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::oneshot::{Receiver, Sender, channel},
    time::sleep,
};

use super::{
    calls::{Make, until_it_ends},
    invariants,
    process::Process,
    trace::{self, Lane},
    world::{World, lock},
};
use crate::{
    model::{
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        status::Status,
    },
    process::{
        call::Call,
        queue::{Completion, Queue, Queues},
    },
};

/// How often a submitted call is cancelled, and the future of another one dropped.
const CANCELLED: f64 = 0.1;
/// How long a second thread may be busy with the completions that it has taken. The first one must be woken then.
const LONGEST_HANDLING: Duration = Duration::from_secs(20);

/// When a completion was taken, and the outcome of its call.
type Completed = (Duration, Result<()>);

/// The submitted calls of a process.
pub struct Submissions {
    pub queues: Queues,
    queue: Arc<Queue>,
    submitted: AtomicU64,
    /// The calls without a completion, by their `user_data`.
    awaited: Mutex<BTreeMap<u64, Awaited>>,
    /// When the last session ended, and its number.
    ended: Mutex<(u64, Duration)>,
}

/// A call whose completion is awaited.
struct Awaited {
    what: String,
    sender: Sender<Completed>,
}

/// A call that was submitted.
pub struct Submitted {
    what: String,
    timeout: Duration,
    user_data: u64,
    /// The session that it may belong to.
    session: u64,
    began: Duration,
    completion: Receiver<Completed>,
}

impl Submissions {
    pub fn new() -> Self {
        let queues = Queues::new(0);
        let queue = queues.get(queues.open().unwrap()).unwrap();
        Submissions {
            queues,
            queue,
            submitted: AtomicU64::new(0),
            awaited: Mutex::default(),
            ended: Mutex::default(),
        }
    }

    /// Notes that the disconnect of a session has returned. Its submitted calls have completed before.
    pub fn session_has_ended(&self, world: &World, number: u64) {
        // A thread that takes a completion may be preempted now.
        *lock(&self.ended) = (number, world.time_of_client() + world.counted_ahead());
    }

    fn completed(&self, world: &World, completion: Completion) {
        let number = completion.user_data;
        let mut awaited = lock(&self.awaited);
        let Some(Awaited { what, sender }) = awaited.remove(&number) else {
            return world.violated("each_call_completes_once", format!("call {number} has completed twice"));
        };
        // Two threads may be preempted with what they have taken, and so change the order.
        let is_ordered = world.plan.takers == 1 && completion.outcome.is_ok();
        let name = trace::names(&what).next();
        let is_earlier = |call: &&Awaited| name.is_some() && trace::names(&call.what).next() == name;
        if is_ordered && let Some(earlier) = awaited.range(..number).map(|(_, call)| call).find(is_earlier) {
            let text =
                format!("{what} is OK, and {} hasn't completed, which was submitted before", earlier.what);
            world.violated("submitted_calls_run_in_order", text);
        }
        // The task that submitted the call may have ended with its work.
        let _ = sender.send((world.time_of_client(), completion.outcome.map(drop)));
    }

    /// How many calls have no completion.
    pub fn awaited(&self) -> usize {
        lock(&self.awaited).len()
    }
}

/// Submits a call. It never waits for the server.
pub async fn submit(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl Make,
) -> Result<Submitted> {
    let submissions = &process.submissions;
    let user_data = submissions.submitted.fetch_add(1, Ordering::Relaxed);
    world.log(Lane::Client, || format!("{what} within {} ms, submitted as {user_data}", timeout.as_millis()));
    let (sender, completion) = channel();
    lock(&submissions.awaited).insert(user_data, Awaited { what: what.clone(), sender });
    let (began, session) = (world.time_of_client(), process.session_number());
    let (queue, its_process) = (submissions.queue.clone(), process.clone());
    // As `api::queue::submit`.
    let submitted = world
        .blocking(move || {
            let entry = queue.reserve(user_data)?;
            make(&its_process, Deadline::within(timeout))?.submit(entry)
        })
        .await;
    invariants::call_lasts(world, &format!("submit of {what}"), Duration::ZERO, world.since(began));
    match submitted {
        Ok(()) => Ok(Submitted { what, timeout, user_data, session, began, completion }),
        Err(error) => {
            if lock(&submissions.awaited).remove(&user_data).is_none() {
                world.violated("each_call_completes_once", format!("{what} was refused and has completed"));
            }
            world.log(Lane::Client, || format!("{what}: refused, {:?}", error.status()));
            Err(error)
        }
    }
}

impl Submitted {
    /// Waits for the completion, and checks that it arrives in time. Cancels the call now and then.
    pub async fn outcome(self, world: &Arc<World>, process: &Arc<Process>) -> Result<()> {
        let Submitted { what, timeout, user_data, session, began, mut completion } = self;
        let pause = world.chance(CANCELLED).then(|| world.time_between(Duration::ZERO, timeout));
        let early = match pause {
            Some(pause) => tokio::time::timeout(pause, &mut completion).await.ok(),
            None => None,
        };
        let mut limit = timeout;
        let is_cancelled = pause.is_some() && early.is_none();
        if is_cancelled {
            // The thread that takes its completion may be preempted now.
            limit = (world.since(began) + world.counted_ahead()).min(timeout);
            world.log(Lane::Client, || format!("cancels {user_data}"));
            process.submissions.queue.cancel(user_data);
        }
        let completed = match early {
            Some(completed) => completed,
            None => until_it_ends(world, &what, limit, began, completion).await,
        };
        let (at, outcome) = completed.unwrap_or_else(|_| {
            let lost = Error::new(Status::Internal, "there is no completion");
            (world.time_of_client(), Err(lost))
        });
        let took = at.saturating_sub(began);
        if is_cancelled {
            invariants::call_lasts(world, &format!("cancelled {what}"), limit, took);
            return outcome;
        }
        invariants::call_ended(world, &what, timeout, took, &outcome);
        let (ended, ended_at) = *lock(&process.submissions.ended);
        if session == ended && ended_at >= began {
            invariants::call_lasts(world, &format!("{what}, which a disconnect ends,"), ended_at, at);
        }
        outcome
    }
}

/// Makes a call and awaits its future, as a Rust program does. Drops the future now and then, which cancels the call.
pub async fn await_future(
    world: &Arc<World>,
    process: &Arc<Process>,
    what: String,
    timeout: Duration,
    make: impl Make,
) -> Result<()> {
    world.log(Lane::Client, || format!("{what} within {} ms, awaited", timeout.as_millis()));
    let (began, its_process) = (world.time_of_client(), process.clone());
    let begin = move || make(&its_process, Deadline::within(timeout)).map(Call::into_future);
    let mut future = world.blocking(begin).await?;
    invariants::call_lasts(world, &format!("beginning of {what}"), Duration::ZERO, world.since(began));
    if world.chance(CANCELLED) {
        let pause = world.time_between(Duration::ZERO, timeout);
        if let Ok(outcome) = tokio::time::timeout(pause, &mut future).await {
            invariants::call_ended(world, &what, timeout, world.since(began), &outcome);
            return outcome;
        }
        world.log(Lane::Client, || format!("drops the future of {what}"));
        return Err(Error::new(Status::Timeout, "the future was dropped"));
    }
    let outcome = until_it_ends(world, &what, timeout, began, future).await;
    invariants::call_ended(world, &what, timeout, world.since(began), &outcome);
    outcome
}

/// Takes completions, some at a time, in a thread of its own.
pub async fn take_completions(world: Arc<World>, process: Arc<Process>, taker: usize) {
    loop {
        let (queue, max) = (process.submissions.queue.clone(), world.between(1, 20));
        let next = move || queue.next(usize::try_from(max).unwrap(), &Timeout::Forever.start_waiting());
        for completion in world.blocking(next).await.unwrap() {
            process.submissions.completed(&world, completion);
        }
        if taker > 0 {
            sleep(world.time_between(Duration::ZERO, LONGEST_HANDLING)).await;
        }
    }
}
