//! Runs the named models, or all models if no name is passed.
#![allow(dead_code, reason = "not all of each file is modelled")]

use std::time::Duration;

use loom::thread;

use crate::{
    activity::{
        handle::Handle,
        registry::{Checked, Registry},
        state::Activity,
        wake_queue::WakeQueue,
    },
    model::{
        deadline::{Deadline, Timeout},
        error::Result,
        status::Status,
    },
    process::queue::{Answer, Queue, Queues, RunningCall},
    runtime::oneshot::{self, Nothing},
    sys::{
        clock::Moment,
        sync::{Arc, wait_for},
    },
};

mod activity;
mod model;
mod process;
mod runtime;
mod sys;

const MODELS: [(&str, fn()); 11] = [
    ("slot_filled", slot_filled),
    ("slot_given_up", slot_given_up),
    ("registry_change_wakes", registry_change_wakes),
    ("registry_wakes_tasks", registry_wakes_tasks),
    ("registry_close_wakes", registry_close_wakes),
    ("registry_one_holder", registry_one_holder),
    ("hand_over", hand_over),
    ("queue_takes_once", queue_takes_once),
    ("queue_ends_once", queue_ends_once),
    ("queue_completes_before_disconnect", queue_completes_before_disconnect),
    ("queue_close_wakes", queue_close_wakes),
];

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).collect();
    for (name, model) in MODELS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            let mut runs = loom::model::Builder::new();
            runs.max_branches = 100_000;
            // Few bugs need more preemptions, and the number of orders grows exponentially.
            runs.preemption_bound = Some(3);
            let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counted = count.clone();
            runs.check(move || {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                model();
            });
            println!("{name}: {} orders of events", count.load(std::sync::atomic::Ordering::Relaxed));
        }
    }
}

fn for_ever() -> Deadline {
    Timeout::Forever.start().unwrap()
}

/// A value that another thread puts into the slot reaches the waiting thread.
fn slot_filled() {
    let (promise, ticket) = oneshot::slot();
    let filler = thread::spawn(move || promise.fill(7));
    assert_eq!(ticket.wait(&for_ever()), Ok(7));
    filler.join().unwrap();
}

/// A waiting thread returns when the promise is dropped. A waiter without time left takes the value if there is one.
fn slot_given_up() {
    let (promise, ticket) = oneshot::slot::<u8>();
    let dropper = thread::spawn(move || drop(promise));
    assert_eq!(ticket.wait(&for_ever()), Err(Nothing::Stopped));
    dropper.join().unwrap();

    let (promise, ticket) = oneshot::slot();
    let filler = thread::spawn(move || promise.fill(7));
    let hurried = ticket.wait(&Deadline::within(Duration::ZERO));
    assert!(matches!(hurried, Ok(7) | Err(Nothing::Late)));
    filler.join().unwrap();
}

fn with_one() -> (Arc<Registry>, Handle) {
    let registry = Registry::new(0);
    let handle = registry.insert(Activity(0)).unwrap();
    (Arc::new(registry), handle)
}

/// A thread that waits for a change of an activity sees the change.
fn registry_change_wakes() {
    let (registry, handle) = with_one();
    let changer = {
        let registry = registry.clone();
        thread::spawn(move || registry.change(handle, |activity| activity.0 = 7).unwrap())
    };
    let found = registry.block_until(handle, &for_ever(), |activity| {
        Ok(if activity.0 == 7 { Checked::Found(7) } else { Checked::Again(Duration::MAX) })
    });
    assert_eq!(found.unwrap(), Some(7));
    changer.join().unwrap();
}

/// A task that waits for a change of an activity sees the change, and one that waits on a handle returns when it is removed.
fn registry_wakes_tasks() {
    let (registry, handle) = with_one();
    let changer = {
        let registry = registry.clone();
        thread::spawn(move || {
            let change = |activity: &mut Activity| activity.0 = 7;
            if cfg!(feature = "planted") {
                return registry.with(handle, change).unwrap();
            }
            registry.change(handle, change).unwrap();
            registry.remove(handle).map(drop).unwrap();
        })
    };
    let found = wait_for(registry.wait(handle, &for_ever(), |activity| {
        Ok(if activity.0 == 7 { Checked::Found(7) } else { Checked::Again(Duration::MAX) })
    }));
    assert!(
        matches!(found, Ok(Some(7))) || found.is_err_and(|error| error.status() == Status::InvalidHandle)
    );
    changer.join().unwrap();
}

/// A thread that waits on a handle returns when the handle is closed.
fn registry_close_wakes() {
    let (registry, handle) = with_one();
    let closer = {
        let registry = registry.clone();
        thread::spawn(move || drop(registry.remove(handle).unwrap()))
    };
    let found = registry.block_until(handle, &for_ever(), |_| Ok(Checked::<()>::Again(Duration::MAX)));
    assert_eq!(found.unwrap_err().status(), Status::InvalidHandle);
    closer.join().unwrap();
}

/// When two threads insert the same token, one succeeds. When two threads remove the handle, one succeeds.
fn registry_one_holder() {
    let registry = Arc::new(Registry::new(0));
    let open = |registry: &Registry| registry.insert(Activity(0));
    let other = {
        let registry = registry.clone();
        thread::spawn(move || open(&registry).ok())
    };
    let mine = open(&registry).ok();
    let others = other.join().unwrap();
    let handle = mine.or(others).unwrap();
    assert!(mine.is_none() || others.is_none());
    let other = {
        let registry = registry.clone();
        thread::spawn(move || registry.remove(handle).is_ok())
    };
    let mine = registry.remove(handle).is_ok();
    assert!(mine != other.join().unwrap());
    assert!(!registry.holds(b"token") && registry.with(handle, |_| ()).is_err());
    #[cfg(feature = "planted")]
    assert!(mine, "planted");
}

fn with_queue() -> (std::sync::Arc<Queues>, u64, std::sync::Arc<Queue>) {
    let queues = std::sync::Arc::new(Queues::new(0));
    let number = queues.open().unwrap();
    let queue = queues.get(number).unwrap();
    (queues, number, queue)
}

fn submit(queue: &std::sync::Arc<Queue>, user_data: u64) -> RunningCall {
    let resolve = |outcome: Result<Result<Answer>>| outcome?;
    queue.reserve(user_data).unwrap().begin(1, std::sync::Arc::default(), Box::new(resolve))
}

/// Each of two completions goes to one of two threads, and no thread misses its wake-up.
fn queue_takes_once() {
    let (_queues, _, queue) = with_queue();
    let takers: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || queue.next(1, &for_ever()).unwrap()[0].user_data)
        })
        .collect();
    for user_data in [1, 2] {
        submit(&queue, user_data).end(Ok(Answer::Done));
    }
    let mut taken: Vec<_> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
}

/// A call ends once, when its task and a disconnect end it at the same time.
fn queue_ends_once() {
    let (queues, _, queue) = with_queue();
    let running = submit(&queue, 1);
    let ender = thread::spawn(move || running.end(Ok(Answer::Done)));
    queues.end_calls_of(1);
    ender.join().unwrap();
    let left = queue.next(2, &Deadline::within(Duration::ZERO)).unwrap();
    assert_eq!(left.len(), if cfg!(feature = "planted") { 2 } else { 1 });
    assert!(!queues.has_running_calls());
}

/// When a disconnect has ended the calls, their completions are ready, also that of a call that its task was ending.
fn queue_completes_before_disconnect() {
    let (queues, _, queue) = with_queue();
    let running = submit(&queue, 1);
    let ender = thread::spawn(move || running.end(Ok(Answer::Done)));
    queues.end_calls_of(1);
    let ready = queue.next(2, &Deadline::within(Duration::ZERO)).unwrap();
    assert_eq!(ready.len(), if cfg!(feature = "planted") { 2 } else { 1 });
    ender.join().unwrap();
}

/// A thread that waits for a completion returns when the queue is closed.
fn queue_close_wakes() {
    let (queues, number, queue) = with_queue();
    let closer = thread::spawn(move || queues.close(number).unwrap());
    assert_eq!(queue.next(1, &for_ever()).err().unwrap().status(), Status::InvalidHandle);
    closer.join().unwrap();
}

/// The sender takes every entry of the wake-up queue, however many threads put entries into it.
fn hand_over() {
    let wake_queue = Arc::new(WakeQueue::default());
    let putters: Vec<_> = (0..2)
        .map(|index| {
            let wake_queue = wake_queue.clone();
            thread::spawn(move || wake_queue.put(Moment::LONG_AGO, Handle::new(index, 1, 0)))
        })
        .collect();
    let mut taken = wake_queue.take(0).unwrap().len();
    while taken < 2 {
        wait_for(wake_queue.filled());
        taken += wake_queue.take(0).unwrap().len();
    }
    putters.into_iter().for_each(|putter| putter.join().unwrap());
}
