//! Workers, with servers that answer polls as a test chooses.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::{
        activity,
        rpc::{self, Call as LibraryCall},
        worker::{self, Task},
    },
    model::{deadline::Timeout, status::Status},
};

use crate::fake::{Answer, Call, Fake, field, task};

const POLL: &str = "PollActivityTaskQueue";
const BEAT: &str = "RecordActivityTaskHeartbeat";
const FAIL: &str = "RespondActivityTaskFailed";
const COMPLETE: &str = "RespondActivityTaskCompleted";
const SHUTDOWN: &str = "ShutdownWorker";
const WORKER_BEAT: &str = "RecordWorkerHeartbeat";
const PERMISSION_DENIED: i32 = 7;
const UNAVAILABLE: i32 = 14;
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const OPTIONS: &[u8] = br#"{"task_queue":"q"}"#;

/// Starts a server that answers the polls so, and connects to it.
fn polled(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(move |call| if call.method == POLL { answer(call) } else { Answer::ok() })
}

fn next(worker: u64) -> Box<Task> {
    worker::next(worker, LONG).unwrap().unwrap()
}

fn done(call: Result<LibraryCall<()>, temporal_heartbeat::model::error::Error>) {
    call.and_then(LibraryCall::wait).unwrap();
}

fn complete(task: Box<Task>) {
    done(activity::complete(task.activity, None, LONG));
    done(activity::close(task.activity, LONG));
}

fn close(worker: u64) {
    let _ = worker::close(worker, Timeout::Zero).and_then(LibraryCall::wait);
}

#[test]
fn task_beats_from_its_poll_and_its_details_stay() {
    let fake = polled(|call| if call.nth == 0 { task(1, 1) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    let taken = next(worker);
    assert_eq!((taken.facts.activity_type.as_str(), taken.facts.ids.activity_id.as_str()), ("t", "1"));
    fake.wait_for(BEAT, 2);
    complete(taken);
    fake.wait_for(COMPLETE, 1);
    close(worker);
}

#[test]
fn permanent_error_of_polling_is_returned_once_and_polling_goes_on() {
    let fake = polled(|call| match call.nth {
        0..3 => Answer::error(PERMISSION_DENIED),
        3 => task(1, 0),
        _ => Answer::Silence,
    });
    let worker = worker::open(OPTIONS).unwrap();
    let error = worker::next(worker, LONG).err().unwrap();
    assert_eq!(error.status(), Status::PermissionDenied);
    // The second and the third error aren't returned.
    complete(next(worker));
    assert_eq!(fake.calls(POLL).len().min(4), 4);
    close(worker);
}

#[test]
fn temporary_error_of_polling_is_not_returned() {
    let _fake = polled(|call| match call.nth {
        0..2 => Answer::error(UNAVAILABLE),
        2 => task(1, 0),
        _ => Answer::Silence,
    });
    let worker = worker::open(OPTIONS).unwrap();
    complete(next(worker));
    close(worker);
}

#[test]
fn task_that_nobody_takes_is_handed_back_within_half_its_heartbeat_timeout() {
    let fake = polled(|call| if call.nth == 0 { task(1, 2) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    let began = Instant::now();
    fake.wait_for(FAIL, 1);
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(fake.calls(FAIL)[0].has(b"didn't take the task from the worker within 1s"));
    assert!(worker::next(worker, Timeout::Zero).unwrap().is_none());
    close(worker);
}

#[test]
fn task_of_another_type_is_handed_back() {
    let fake = polled(|call| if call.nth == 0 { task(1, 0) } else { Answer::Silence });
    let worker = worker::open(br#"{"task_queue":"q","activity_types":["u","v"]}"#).unwrap();
    fake.wait_for(FAIL, 1);
    let failed = &fake.calls(FAIL)[0];
    assert!(failed.has(b"NotFoundError") && failed.has(b"it runs u, v"));
    close(worker);
}

#[test]
fn slot_is_free_when_the_task_is_dropped_and_its_activity_is_closed() {
    let fake = polled(|call| task(call.nth, 0));
    let worker = worker::open(br#"{"task_queue":"q","max_concurrent":1}"#).unwrap();
    let first = next(worker);
    let handle = first.activity;
    done(activity::close(handle, LONG));
    assert!(worker::next(worker, Timeout::Within(Duration::from_millis(100))).unwrap().is_none());
    assert_eq!(fake.calls(POLL).len(), 1);
    drop(first);
    let second = next(worker);
    // Ending the activity is as good as closing it.
    done(activity::complete(second.activity, None, LONG));
    let handle = second.activity;
    drop(second);
    let third = next(worker);
    done(activity::close(handle, LONG));
    done(activity::close(third.activity, LONG));
    close(worker);
}

#[test]
fn worker_without_a_free_slot_logs_what_frees_one() {
    let _fake = polled(|call| task(call.nth, 0));
    let worker = worker::open(br#"{"task_queue":"q","max_concurrent":1}"#).unwrap();
    let kept = next(worker);
    done(activity::complete(kept.activity, None, LONG));
    let record = loop {
        let record = rpc::next_log(LONG).unwrap().unwrap();
        if record.contains("slots_occupied") {
            break record;
        }
    };
    assert!(record.contains("all 1 slots (max_concurrent) are occupied"), "{record}");
    drop(kept);
    complete(next(worker));
    close(worker);
}

#[test]
fn closed_worker_hands_back_what_nobody_has_taken() {
    let fake = polled(|call| if call.nth < 3 { task(call.nth, 0) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    let taken = next(worker);
    fake.wait_for(POLL, 4);
    close(worker);
    fake.wait_for(FAIL, 2);
    assert!(fake.calls(FAIL).iter().all(|call| call.has(b"Shutdown")));
    assert_eq!(worker::next(worker, LONG).err().unwrap().status(), Status::InvalidHandle);
    // The task that was taken stays as it is.
    complete(taken);
    assert_eq!((fake.calls(FAIL).len(), fake.calls(COMPLETE).len()), (2, 1));
}

#[test]
fn close_returns_when_the_untaken_tasks_are_handed_back() {
    for _ in 0..20 {
        let fake = polled(|call| task(call.nth, 0));
        let worker = worker::open(br#"{"task_queue":"q","max_tasks":2}"#).unwrap();
        fake.wait_for(POLL, 2);
        done(worker::shutdown(worker, LONG));
        done(worker::close(worker, LONG));
        assert_eq!(fake.calls(FAIL).len(), 2);
    }
}

#[test]
fn shutdown_loses_no_task_that_arrives_during_it() {
    static LATE: AtomicUsize = AtomicUsize::new(0);
    let fake = polled(|call| {
        if call.nth > 0 {
            return Answer::Silence;
        }
        while LATE.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        task(1, 0)
    });
    let worker = worker::open(OPTIONS).unwrap();
    fake.wait_for(POLL, 1);
    let early = worker::shutdown(worker, Timeout::Zero).and_then(LibraryCall::wait);
    assert_eq!(early.unwrap_err().status(), Status::Timeout);
    LATE.store(1, Ordering::SeqCst);
    complete(next(worker));
    done(worker::shutdown(worker, LONG));
    assert_eq!(worker::next(worker, LONG).err().unwrap().status(), Status::Ended);
    assert_eq!(fake.calls(POLL).len(), 1);
    close(worker);
}

#[test]
fn worker_shuts_down_after_its_last_task() {
    let fake = polled(|call| task(call.nth, 0));
    let worker = worker::open(br#"{"task_queue":"q","max_tasks":3}"#).unwrap();
    for _ in 0..3 {
        complete(next(worker));
    }
    assert_eq!(worker::next(worker, LONG).err().unwrap().status(), Status::Ended);
    assert_eq!(fake.calls(POLL).len(), 3);
    close(worker);
}

#[test]
fn disconnect_wakes_the_callers_that_wait_and_hands_back_tasks() {
    let fake = polled(|call| if call.nth == 0 { task(1, 0) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    fake.wait_for(POLL, 2);
    let waiting = worker::open(br#"{"task_queue":"q2"}"#).unwrap();
    thread::scope(|scope| {
        let woken = scope.spawn(move || worker::next(waiting, LONG).map(drop).unwrap_err().status());
        done(temporal_heartbeat::api::rpc::disconnect(Timeout::Within(Duration::from_millis(500))));
        // Either it began to wait before the disconnect, or it found the worker closed.
        assert!(matches!(woken.join().unwrap(), Status::NotConnected | Status::InvalidHandle));
    });
    assert_eq!(fake.calls(FAIL).len(), 1);
    assert_eq!(worker::next(worker, LONG).err().unwrap().status(), Status::InvalidHandle);
}

#[test]
fn server_without_tasks_that_answers_at_once_is_not_flooded() {
    let fake = polled(|_| Answer::ok());
    let worker = worker::open(OPTIONS).unwrap();
    fake.wait_for(POLL, 3);
    let (calls, first) = (fake.calls(POLL), &fake.calls(POLL)[0]);
    assert!(calls[2].at - first.at >= Duration::from_millis(900), "{:?}", calls[2].at - first.at);
    close(worker);
}

#[test]
fn rate_limit_holds_and_more_tasks_add_polls_without_one() {
    let fake = polled(|call| task(call.nth, 0));
    let worker = worker::open(br#"{"task_queue":"q","max_per_second":20}"#).unwrap();
    let began = Instant::now();
    for _ in 0..10 {
        complete(next(worker));
    }
    // The first task needs no place within the limit.
    assert!(began.elapsed() >= Duration::from_millis(440), "{:?}", began.elapsed());
    close(worker);
    drop(fake);

    let fake = polled(|call| if call.nth < 20 { task(call.nth, 0) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    for _ in 0..20 {
        complete(next(worker));
    }
    // Each task adds a poll, up to the limit.
    fake.wait_for(POLL, 25);
    close(worker);
}

#[test]
fn worker_is_reported_until_the_server_refuses_and_ended_at_its_shutdown() {
    // DescribeNamespace: the capabilities worker_heartbeats and worker_poll_complete_on_shutdown.
    let capable = || Answer::Message(field(1, &field(7, &[4 << 3, 1, 8 << 3, 1])));
    let fake = Fake::connected(move |call| match call.method.as_str() {
        "DescribeNamespace" => capable(),
        WORKER_BEAT => Answer::error(PERMISSION_DENIED),
        POLL => Answer::After(Duration::from_secs(1)),
        _ => Answer::ok(),
    });
    let worker = worker::open(OPTIONS).unwrap();
    fake.wait_for(POLL, 1);
    fake.wait_for(WORKER_BEAT, 1);
    done(worker::shutdown(worker, LONG));
    fake.wait_for(SHUTDOWN, 1);
    let (polls, ends) = (fake.calls(POLL), fake.calls(SHUTDOWN));
    assert_eq!((ends.len(), fake.calls(WORKER_BEAT).len()), (1, 1));
    // The polls and the end name the same worker: 32 hexadecimal digits.
    let key = polls[0].message.windows(32).find(|text| text.iter().all(u8::is_ascii_hexdigit)).unwrap();
    assert!(ends[0].has(key) && fake.calls(WORKER_BEAT)[0].has(key));
    close(worker);
}

#[test]
fn polls_are_ended_early_only_when_no_task_has_arrived_for_a_while() {
    let capable = || Answer::Message(field(1, &field(7, &[8 << 3, 1])));
    let fake = Fake::connected(move |call| match (call.method.as_str(), call.nth) {
        ("DescribeNamespace", _) => capable(),
        (POLL, 0) => task(1, 0),
        (POLL, _) => Answer::After(Duration::from_millis(2_500)),
        _ => Answer::ok(),
    });
    let worker = worker::open(OPTIONS).unwrap();
    complete(next(worker));
    fake.wait_for(POLL, 2);
    done(worker::shutdown(worker, LONG));
    let waited = fake.calls(SHUTDOWN)[0].at - fake.calls(POLL)[1].at;
    assert!(waited >= Duration::from_millis(1_900), "{waited:?}");
    close(worker);
}

#[test]
fn polls_use_a_connection_of_their_own() {
    let fake = polled(|call| if call.nth == 0 { task(1, 1) } else { Answer::Silence });
    let worker = worker::open(OPTIONS).unwrap();
    let taken = next(worker);
    fake.wait_for(BEAT, 1);
    let (polls, beats) = (fake.calls(POLL), fake.calls(BEAT));
    assert_ne!(polls[0].connection, beats[0].connection);
    complete(taken);
    close(worker);
}
