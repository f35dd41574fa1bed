//! Threads that use one activity at the same time.

use std::{
    fs,
    future::{Future, IntoFuture},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, error::Error, payload::Encoding, signals::Signals, status::Status},
};

use crate::fake::{Answer, Fake, TOKEN, tally};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const NO_SEED: &[u8] = b"{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}";

fn record(handle: u64, json: &str) -> Result<Signals, Error> {
    activity::record(handle, Encoding::Json, json.as_bytes())
}

/// Returns a different token for each number.
fn token(number: u8) -> Vec<u8> {
    [TOKEN, &[0x3a, 1, number]].concat()
}

/// Repeats a call until it fails, and returns the status.
fn until_refused<T>(mut call: impl FnMut() -> Result<T, Error>) -> Status {
    loop {
        if let Err(error) = call() {
            return error.status();
        }
    }
}

#[test]
fn close_is_safe_while_other_threads_record_wait_and_flush() {
    let fake = Fake::connected(|_| Answer::ok());
    for round in 0..100 {
        let handle = activity::open(&token(round), NO_SEED).unwrap();
        let json = format!("\"round {round}\"");
        // Otherwise a flush could follow the touch before the first record, and send a beat without details.
        record(handle, &json).unwrap();
        let statuses: Vec<_> = thread::scope(|scope| {
            let others = [
                scope.spawn(|| until_refused(|| record(handle, &json))),
                scope.spawn(|| until_refused(|| record(handle, &json))),
                scope.spawn(|| until_refused(|| activity::touch(handle))),
                scope.spawn(|| until_refused(|| activity::flush(handle, LONG).and_then(rpc::Call::wait))),
                scope.spawn(|| until_refused(|| activity::info(handle))),
                scope.spawn(|| {
                    until_refused(|| {
                        activity::wait(handle, Signals::PAUSED, Signals::default(), Timeout::Forever)
                    })
                }),
            ];
            fake.wait_for(BEAT, usize::from(round) + 1);
            if round % 2 == 0 {
                // The close returns although the other threads keep recording.
                activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
            } else {
                let _ = activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait);
            }
            others.into_iter().map(|other| other.join().unwrap()).collect()
        });
        assert_eq!(tally(statuses), [("THB_INVALID_HANDLE".to_owned(), 6)].into());
    }
    // All rounds used the same slot, and no late call of one round reached the next one.
    for call in fake.calls(BEAT) {
        let round = (0..100).find(|round| call.has(&token(*round))).unwrap();
        assert!(call.has(format!("\"round {round}\"").as_bytes()), "{:?}", call.message);
    }
}

#[test]
fn token_is_opened_once_by_many_threads() {
    let _fake = Fake::connected(|_| Answer::ok());
    for _ in 0..50 {
        let opened: Vec<_> = thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(|| activity::open(TOKEN, NO_SEED))).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 7));
        assert!(lost.into_iter().all(|outcome| outcome.unwrap_err().status() == Status::AlreadyOpen));
        activity::close(*won[0].as_ref().unwrap(), LONG).and_then(rpc::Call::wait).unwrap();
    }
}

#[test]
fn activity_is_ended_once_by_many_threads() {
    let fake = Fake::connected(|_| Answer::ok());
    for round in 0..50 {
        let handle = activity::open(&token(round), NO_SEED).unwrap();
        let outcomes: Vec<_> = thread::scope(|scope| {
            let enders = [
                scope.spawn(|| activity::complete(handle, None, LONG).and_then(rpc::Call::wait)),
                scope.spawn(|| activity::complete(handle, None, LONG).and_then(rpc::Call::wait)),
                scope.spawn(|| activity::fail(handle, b"", LONG).and_then(rpc::Call::wait)),
                scope.spawn(|| activity::report_cancelled(handle, None, LONG).and_then(rpc::Call::wait)),
            ];
            enders.into_iter().map(|ender| ender.join().unwrap()).collect()
        });
        let statuses =
            outcomes.into_iter().map(|outcome| outcome.map_or_else(|error| error.status(), |()| Status::Ok));
        assert_eq!(tally(statuses), [("THB_OK".to_owned(), 1), ("THB_ENDED".to_owned(), 3)].into());
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
    let ended =
        ["Completed", "Failed", "Canceled"].map(|how| fake.calls(&format!("RespondActivityTask{how}")).len());
    assert_eq!(ended.iter().sum::<usize>(), 50);
}

#[test]
fn closing_during_an_ending_call_keeps_the_ending() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "RespondActivityTaskCompleted" => Answer::After(Duration::from_millis(200)),
        _ => Answer::ok(),
    });
    for unsent in [false, true] {
        let handle = activity::open(TOKEN, NO_SEED).unwrap();
        record(handle, "1").unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        if unsent {
            record(handle, "2").unwrap();
        }
        thread::scope(|scope| {
            let ender = scope.spawn(|| activity::complete(handle, None, LONG).and_then(rpc::Call::wait));
            fake.wait_for("RespondActivityTaskCompleted", 1 + usize::from(unsent));
            activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
            ender.join().unwrap().unwrap();
        });
        assert_eq!(activity::signals(handle).unwrap_err().status(), Status::InvalidHandle);
    }
}

#[test]
fn records_during_a_disconnect_fail_with_a_status() {
    for _ in 0..20 {
        let fake = Fake::connected(|_| Answer::ok());
        let handle = activity::open(TOKEN, NO_SEED).unwrap();
        thread::scope(|scope| {
            let recorders: Vec<_> =
                (0..3).map(|_| scope.spawn(|| until_refused(|| record(handle, "1")))).collect();
            fake.wait_for(BEAT, 1);
            rpc::disconnect(LONG).and_then(rpc::Call::wait).unwrap();
            for recorder in recorders {
                let status = recorder.join().unwrap();
                assert!(matches!(status, Status::NotConnected | Status::InvalidHandle), "{status:?}");
            }
        });
    }
}

/// Waits until each of these threads of this process sleeps.
fn until_asleep(threads: &[i32]) {
    let is_asleep =
        |thread: &i32| fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap().contains(") S ");
    while !threads.iter().all(is_asleep) {
        thread::yield_now();
    }
}

#[test]
fn calls_that_wait_during_a_disconnect_report_it_although_the_next_client_connects() {
    type Waiting = fn(u64, u64) -> Result<(), Error>;
    const CALLS: [Waiting; 5] = [
        |handle, _| activity::wait(handle, Signals::GONE, Signals::default(), LONG).map(drop),
        |handle, _| activity::flush(handle, LONG).and_then(rpc::Call::wait),
        |handle, _| activity::close(handle, LONG).and_then(rpc::Call::wait),
        |handle, _| activity::complete(handle, None, LONG).and_then(rpc::Call::wait),
        |_, watch| activity::next_of_watch(watch, LONG).map(drop),
    ];
    let fake = Fake::connected(|call| match call.method.as_str() {
        "GetSystemInfo" | "DescribeNamespace" => Answer::ok(),
        _ => Answer::Silence,
    });
    for _ in 0..10 {
        let handles: Vec<_> = (0..5).map(|nth| activity::open(&token(nth), NO_SEED).unwrap()).collect();
        let watch = activity::open_watch().unwrap();
        for handle in &handles {
            record(*handle, "1").unwrap();
        }
        let statuses = thread::scope(|scope| {
            let (started, ids) = mpsc::channel();
            let calls = handles.iter().zip(CALLS).map(|(handle, call)| {
                let started = started.clone();
                scope.spawn(move || {
                    // SAFETY: no arguments are passed.
                    started.send(unsafe { libc::gettid() }).unwrap();
                    call(*handle, watch).map_or_else(|error| error.status(), |()| Status::Ok)
                })
            });
            let calls: Vec<_> = calls.collect();
            until_asleep(&ids.iter().take(calls.len()).collect::<Vec<_>>());
            rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
            fake.connect(r#","lazy":true"#).unwrap();
            calls.into_iter().map(|call| call.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(statuses, [Status::NotConnected; 5]);
        assert!(handles.iter().all(|handle| {
            activity::flush(*handle, LONG).and_then(rpc::Call::wait).unwrap_err().status()
                == Status::InvalidHandle
        }));
    }
}

#[test]
fn closing_a_watch_wakes_its_waiters() {
    let _fake = Fake::connected(|_| Answer::ok());
    for _ in 0..20 {
        let watch = activity::open_watch().unwrap();
        let handle = activity::open(TOKEN, NO_SEED).unwrap();
        activity::add_to_watch(watch, handle, Signals::PAUSED, 0).unwrap();
        let statuses: Vec<_> = thread::scope(|scope| {
            let waiters: Vec<_> = (0..3)
                .map(|_| scope.spawn(|| until_refused(|| activity::next_of_watch(watch, Timeout::Forever))))
                .collect();
            activity::close_watch(watch).unwrap();
            waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
        });
        assert_eq!(tally(statuses), [("THB_INVALID_HANDLE".to_owned(), 3)].into());
        activity::touch(handle).unwrap();
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
}

/// Holds up the I/O thread, which wakes the future of a call.
struct HeldUp {
    begins: Sender<()>,
    ends: Mutex<Receiver<()>>,
}

impl Wake for HeldUp {
    fn wake(self: Arc<Self>) {
        let _ = self.begins.send(());
        let _ = self.ends.lock().unwrap().recv();
    }
}

#[test]
fn close_that_times_out_frees_the_token_although_the_io_thread_is_held_up() {
    let _fake = Fake::connected(|_| Answer::ok());
    let handle = activity::open(&token(1), NO_SEED).unwrap();
    let (begins, has_begun) = mpsc::channel();
    let (end, ends) = mpsc::channel();
    let waker = Waker::from(Arc::new(HeldUp { begins, ends: Mutex::new(ends) }));
    let _pending = loop {
        let mut call = Box::pin(rpc::heartbeat(&token(2), None, LONG).unwrap().into_future());
        if call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            break call;
        }
    };
    has_begun.recv_timeout(Duration::from_secs(30)).unwrap();
    record(handle, "41").unwrap();
    let late = activity::close(handle, Timeout::Within(Duration::from_millis(10))).and_then(rpc::Call::wait);
    let opened_again = activity::open(&token(1), NO_SEED);
    end.send(()).unwrap();
    assert_eq!(late.unwrap_err().status(), Status::Timeout);
    opened_again.unwrap();
}

#[test]
fn no_activity_opened_during_a_disconnect_outlives_it() {
    let fake = Fake::start(|_| Answer::ok());
    for _ in 0..300 {
        fake.connect(",\"lazy\":true").unwrap();
        thread::scope(|scope| {
            let mut number = 0;
            let opener = scope.spawn(move || {
                until_refused(|| {
                    number = (number + 1) % 128;
                    activity::open(&token(number), NO_SEED).or_else(|error| match error.status() {
                        Status::AlreadyOpen => Ok(0),
                        _ => Err(error),
                    })
                })
            });
            rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
            assert_eq!(opener.join().unwrap(), Status::NotConnected);
        });
        let metrics = rpc::metrics().unwrap();
        assert!(
            metrics
                .lines()
                .any(|line| line.starts_with("temporal_heartbeat_activities_open") && line.ends_with(" 0")),
            "{metrics}"
        );
    }
}

#[test]
fn disconnect_never_ends_a_later_connection() {
    let fake = Fake::start(|call| if call.has(b"unanswered") { Answer::Silence } else { Answer::ok() });
    for round in 0..50 {
        fake.connect(",\"lazy\":true").unwrap();
        let handle = activity::open(&token(round), NO_SEED).unwrap();
        record(handle, "1").unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        record(handle, "\"unanswered\"").unwrap();
        thread::scope(|scope| {
            let slow = scope.spawn(|| rpc::disconnect(LONG).and_then(rpc::Call::wait));
            // This beat isn't due: it is sent because of that disconnect, which now waits for the answer.
            fake.wait_for(BEAT, 2 * usize::from(round) + 2);
            rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
            fake.connect(",\"lazy\":true").unwrap();
            slow.join().unwrap().unwrap();
        });
        assert_eq!(fake.connect(",\"lazy\":true").unwrap_err().status(), Status::AlreadyConnected);
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    }
}
