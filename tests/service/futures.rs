//! Calls that are awaited, without any asynchronous runtime.

use std::{
    future::{Future, IntoFuture},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, error::Error, signals::Signals, status::Status},
};

use crate::fake::{Answer, Fake};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const COMPLETED: &str = "RespondActivityTaskCompleted";
const OVER: Answer = Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true };

/// Far above the time limit of a test.
const HOUR: Timeout = Timeout::Within(Duration::from_secs(3600));

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(Arc::new(Unpark(thread::current())))))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = poll(&mut future) {
            return result;
        }
        thread::park();
    }
}

fn status<T>(result: Result<T, Error>) -> Status {
    result.map_or_else(|error| error.status(), |_| Status::Ok)
}

#[test]
fn one_thread_awaits_many_calls() {
    let _fake = Fake::connected(|call| if call.has(b"gone") { OVER } else { Answer::ok() });
    let begun: Vec<_> = (0..1000)
        .map(|number| {
            let token = format!("{} {number}", if number % 3 == 0 { "gone" } else { "token" });
            rpc::heartbeat(token.as_bytes(), None, HOUR).unwrap().into_future()
        })
        .collect();
    for (number, beat) in begun.into_iter().enumerate() {
        assert_eq!(status(block_on(beat)), if number % 3 == 0 { Status::NotFound } else { Status::Ok });
    }
    block_on(async { rpc::disconnect(Timeout::Zero).unwrap().await.unwrap() });
    assert_eq!(status(rpc::heartbeat(b"token", None, HOUR)), Status::NotConnected);
}

#[test]
fn call_that_is_not_awaited_is_not_sent() {
    let fake = Fake::connected(|_| Answer::ok());
    drop(rpc::heartbeat(b"token", None, HOUR).unwrap());
    block_on(rpc::heartbeat(b"token", None, HOUR).unwrap().into_future()).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 1);
}

#[test]
fn connect_that_is_not_awaited_connects_nothing() {
    let fake = Fake::start(|_| Answer::ok());
    let options = format!(r#"{{"address": "{}", "lazy": true}}"#, fake.address);
    drop(rpc::connect(options.as_bytes()).unwrap());
    assert_eq!(status(rpc::heartbeat(b"token", None, HOUR)), Status::NotConnected);
    block_on(rpc::connect(options.as_bytes()).unwrap().into_future()).unwrap();
    block_on(rpc::heartbeat(b"token", None, HOUR).unwrap().into_future()).unwrap();
}

#[test]
fn dropping_a_future_cancels_its_call() {
    let fake =
        Fake::connected(
            |call| if call.nth == 0 && call.method == BEAT { Answer::Silence } else { Answer::ok() },
        );
    let mut beat = rpc::heartbeat(b"token", None, HOUR).unwrap().into_future();
    assert!(poll(&mut beat).is_pending());
    fake.wait_for(BEAT, 1);
    drop(beat);
    // The calls of a token are sent one at a time.
    block_on(rpc::heartbeat(b"token", None, HOUR).unwrap().into_future()).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 2);
}

#[test]
fn dropped_ending_leaves_the_activity_in_doubt() {
    let fake = Fake::connected(|call| match (call.method.as_str(), call.nth) {
        (COMPLETED, 0) => Answer::Silence,
        (COMPLETED, _) => OVER,
        _ => Answer::ok(),
    });
    let mut ending = rpc::complete(b"token", None, HOUR).unwrap().into_future();
    assert!(poll(&mut ending).is_pending());
    fake.wait_for(COMPLETED, 1);
    drop(ending);
    assert_eq!(status(rpc::complete(b"token", None, HOUR).unwrap().wait()), Status::InDoubt);
}

#[test]
fn future_that_is_polled_after_its_end_returns_an_error() {
    let _fake = Fake::connected(|_| Answer::ok());
    let mut beat = rpc::heartbeat(b"token", None, HOUR).unwrap().into_future();
    block_on(&mut beat).unwrap();
    assert_eq!(status(block_on(beat)), Status::Internal);
}

#[test]
fn calls_of_an_inactive_handle_are_ready() {
    let fake = Fake::connected(|_| Answer::ok());
    let handle = activity::open(&[], br#"{"from_env":true,"when_absent":"inactive"}"#).unwrap();
    for _ in 0..2 {
        let mut calls = [
            activity::flush(handle, Timeout::Zero).unwrap().into_future(),
            activity::complete(handle, None, HOUR).unwrap().into_future(),
            activity::report_cancelled(handle, None, HOUR).unwrap().into_future(),
        ];
        assert!(calls.iter_mut().all(|call| poll(call) == Poll::Ready(Ok(()))));
        let mut beat = activity::beat(handle, HOUR).unwrap().into_future();
        assert_eq!(poll(&mut beat), Poll::Ready(Ok(Signals::default())));
    }
    assert_eq!(poll(&mut activity::close(handle, HOUR).unwrap().into_future()), Poll::Ready(Ok(())));
    assert!(fake.calls(BEAT).is_empty() && fake.calls(COMPLETED).is_empty());
}

#[test]
fn disconnect_ends_awaited_calls() {
    let fake = Fake::connected(|call| if call.method == BEAT { Answer::Silence } else { Answer::ok() });
    let mut beat = rpc::heartbeat(b"token", None, HOUR).unwrap().into_future();
    assert!(poll(&mut beat).is_pending());
    fake.wait_for(BEAT, 1);
    rpc::disconnect(Timeout::Zero).unwrap().wait().unwrap();
    assert_eq!(status(block_on(beat)), Status::NotConnected);
}
