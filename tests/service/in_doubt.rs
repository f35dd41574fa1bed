//! A call that ends an activity never reports THB_NOT_FOUND when an earlier try of it may have been applied.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, error::Error, payload::Encoding, signals::Signals, status::Status},
};

use crate::fake::{Answer, Fake, TOKEN};

const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const SHORT: Timeout = Timeout::Within(Duration::from_millis(300));

const OVER: Answer = Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true };

type Ending = fn(&[u8], Timeout) -> Result<(), Error>;
const ENDINGS: [(&str, Ending); 3] = [
    ("RespondActivityTaskCompleted", |token, timeout| {
        rpc::complete(token, None, timeout).and_then(rpc::Call::wait)
    }),
    ("RespondActivityTaskFailed", |token, timeout| rpc::fail(token, b"", timeout).and_then(rpc::Call::wait)),
    ("RespondActivityTaskCanceled", |token, timeout| {
        rpc::report_cancelled(token, None, timeout).and_then(rpc::Call::wait)
    }),
];

/// Starts a server that gives `answer` to the first call, and reports to all later calls that the activity is over.
fn over_after(method: &'static str, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(move |call| match (call.method == method, call.nth) {
        (true, 0) => answer(),
        (true, _) => OVER,
        (false, _) => Answer::ok(),
    })
}

#[test]
fn answer_lost_with_its_connection_is_in_doubt() {
    for (method, end) in ENDINGS {
        let _fake = over_after(method, || Answer::Close);
        let error = end(b"token", LONG).unwrap_err();
        assert_eq!(error.status(), Status::InDoubt, "{method}: {error}");
        assert!(!error.is_retryable() && error.message().contains("may have ended"), "{error}");
    }
}

#[test]
fn missing_answer_is_in_doubt() {
    let (method, end) = ENDINGS[0];
    let _fake = over_after(method, || Answer::Silence);
    assert_eq!(end(b"token", Timeout::Within(Duration::from_secs(2))).unwrap_err().status(), Status::InDoubt);
}

#[test]
fn server_error_is_in_doubt() {
    let (method, end) = ENDINGS[0];
    let _fake = over_after(method, || Answer::error(14));
    assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::InDoubt);
}

#[test]
fn refusal_is_not_in_doubt() {
    let (method, end) = ENDINGS[0];
    let _fake = over_after(method, || Answer::Error {
        code: 8,
        detail: "ResourceExhaustedFailure",
        trailers_only: true,
    });
    assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::NotFound);
}

#[test]
fn activity_over_at_the_first_try_is_not_found() {
    for (method, end) in ENDINGS {
        let _fake = over_after(method, || OVER);
        assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::NotFound, "{method}");
    }
}

#[test]
fn ending_stays_in_doubt_after_a_timed_out_call() {
    let (method, end) = ENDINGS[0];
    let _fake = over_after(method, || Answer::Silence);
    let late = end(b"token", SHORT).unwrap_err();
    assert_eq!(late.status(), Status::Timeout);
    assert!(late.message().contains("may have been applied"), "{late}");
    assert_eq!(end(b"another token", LONG).unwrap_err().status(), Status::NotFound);
    for _ in 0..2 {
        assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::InDoubt, "on every repetition");
    }
}

#[test]
fn ending_stays_in_doubt_after_a_success_that_cannot_be_read() {
    // A field of an unknown wire type, and a message over max_message_bytes.
    for message in [vec![0x0f], vec![0; 8192]] {
        for (method, end) in ENDINGS {
            let fake = Fake::start({
                let message = message.clone();
                move |call| match (call.method == method, call.nth) {
                    (true, 0) => Answer::Message(message.clone()),
                    (true, _) => OVER,
                    (false, _) => Answer::ok(),
                }
            });
            fake.connect(r#","max_message_bytes":4096"#).unwrap();
            let unread = end(b"token", LONG).unwrap_err();
            assert_eq!(unread.status(), Status::ServerError, "{method}: {unread}");
            assert!(unread.message().contains("may have been applied"), "{unread}");
            assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::InDoubt, "{method}");
        }
    }
}

#[test]
fn ending_stays_in_doubt_after_a_disconnect() {
    let (method, end) = ENDINGS[0];
    let fake = over_after(method, || Answer::Silence);
    thread::scope(|scope| {
        let ending = scope.spawn(|| end(b"token", LONG));
        fake.wait_for(method, 1);
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        assert_eq!(ending.join().unwrap().unwrap_err().status(), Status::NotConnected);
    });
    fake.connect("").unwrap();
    assert_eq!(end(b"token", LONG).unwrap_err().status(), Status::InDoubt);
}

#[test]
fn ending_of_an_open_activity_stays_in_doubt_although_a_beat_finds_it_gone() {
    let (method, _) = ENDINGS[0];
    let _fake = Fake::connected(move |call| match (call.method.as_str(), call.nth) {
        (name, 0) if name == method => Answer::Silence,
        (name, _) if name == method || name == "RecordActivityTaskHeartbeat" => OVER,
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, br#"{"heartbeat_timeout_ms":1000,"initial_details":""}"#).unwrap();
    assert_eq!(
        activity::complete(handle, None, SHORT).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
    activity::wait(handle, Signals::GONE, Signals::default(), LONG).unwrap();
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::InDoubt
    );
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Ended
    );
}

#[test]
fn ending_stays_in_doubt_although_the_record_before_it_finds_the_activity_gone() {
    let (method, _) = ENDINGS[2];
    let may_be_over = AtomicBool::new(false);
    let _fake = Fake::connected(move |call| match call.method.as_str() {
        name if name == method && may_be_over.swap(true, Ordering::SeqCst) => OVER,
        name if name == method => Answer::Silence,
        "RecordActivityTaskHeartbeat" if may_be_over.load(Ordering::SeqCst) => OVER,
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, br#"{"heartbeat_timeout_ms":60000,"initial_details":""}"#).unwrap();
    let report = |timeout| activity::report_cancelled(handle, None, timeout).and_then(rpc::Call::wait);
    let record = |json: &[u8]| activity::record(handle, Encoding::Json, json);
    record(b"1").unwrap();
    assert_eq!(report(SHORT).unwrap_err().status(), Status::Timeout);
    record(b"2").unwrap();
    assert_eq!(report(LONG).unwrap_err().status(), Status::InDoubt);
}

#[test]
fn heartbeat_is_never_in_doubt() {
    let method = "RecordActivityTaskHeartbeat";
    let _fake = over_after(method, || Answer::Close);
    assert_eq!(
        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotFound
    );
}
