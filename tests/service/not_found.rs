//! NOT_FOUND ends an activity only when it proves that the attempt is over. Otherwise the library asks the server to describe the activity.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, error::Error, payload::Encoding, signals::Signals, status::Status},
};

use crate::fake::{Answer, Described, Fake, STANDALONE_TOKEN, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const BEAT_BY_ID: &str = "RecordActivityTaskHeartbeatById";
const DESCRIBE: &str = "DescribeWorkflowExecution";
const DESCRIBE_STANDALONE: &str = "DescribeActivityExecution";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
/// Long enough for one try and its describe request on a busy machine.
const SHORT: Timeout = Timeout::Within(Duration::from_millis(500));

/// NOT_FOUND as a gateway sends it, and as Temporal sends it.
const BARE: Answer = Answer::Error { code: 5, detail: "", trailers_only: true };
const PROVEN: Answer = Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true };

type OneCall = fn(&[u8], Timeout) -> Result<(), Error>;
const CALLS: [(&str, OneCall); 4] = [
    (BEAT, |token, timeout| rpc::heartbeat(token, None, timeout).and_then(rpc::Call::wait).map(drop)),
    ("RespondActivityTaskCompleted", |token, timeout| {
        rpc::complete(token, None, timeout).and_then(rpc::Call::wait)
    }),
    ("RespondActivityTaskFailed", |token, timeout| rpc::fail(token, b"", timeout).and_then(rpc::Call::wait)),
    ("RespondActivityTaskCanceled", |token, timeout| {
        rpc::report_cancelled(token, None, timeout).and_then(rpc::Call::wait)
    }),
];

/// Starts a server with the given answers to this method and to Describe. All other requests succeed.
fn server(
    method: &'static str,
    answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
    description: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> Fake {
    Fake::connected(move |call| match call.method.as_str() {
        name if name == method => answer(call.nth),
        DESCRIBE | DESCRIBE_STANDALONE => description(call.nth),
        _ => Answer::ok(),
    })
}

fn attempt(number: u8) -> Described {
    Described { attempt: number, ..Described::default() }
}

#[test]
fn bare_not_found_of_a_running_attempt_is_retried_and_then_unavailable() {
    for (method, call) in CALLS {
        let fake = server(method, |nth| if nth < 2 { BARE } else { Answer::ok() }, |_| attempt(1).pending());
        call(TOKEN, LONG).unwrap();
        assert_eq!((fake.calls(method).len(), fake.calls(DESCRIBE).len()), (3, 2), "{method}");
    }
    for (method, call) in &CALLS[..2] {
        let _fake = server(method, |_| BARE, |_| attempt(1).pending());
        let error = call(TOKEN, SHORT).unwrap_err();
        assert_eq!((error.status(), error.is_retryable()), (Status::Unavailable, true), "{method}: {error}");
        assert!(error.message().contains("describes the attempt as running"), "{error}");
    }
}

#[test]
fn bare_not_found_is_the_end_when_the_description_says_so() {
    type Description = fn(usize) -> Answer;
    let over: [Description; 4] = [
        |_| PROVEN,
        |_| Answer::ok(), // no activity of this id is pending
        |_| attempt(2).pending(),
        |_| Described { closed: true, ..attempt(1) }.pending(),
    ];
    for description in over {
        for (method, call) in CALLS {
            let fake = server(method, |_| BARE, description);
            let error = call(TOKEN, LONG).unwrap_err();
            assert_eq!(
                (error.status(), error.is_retryable()),
                (Status::NotFound, false),
                "{method}: {error}"
            );
            assert_eq!(fake.calls(method).len(), 1, "{method}");
        }
    }
}

#[test]
fn bare_not_found_that_cannot_be_looked_up_is_retried_and_then_unavailable() {
    // In the last case the answer describes an earlier attempt, like a replica that lags behind.
    type Description = fn(usize) -> Answer;
    let undecided: [(Description, &[u8]); 5] = [
        (|_| BARE, TOKEN),
        (|nth| Answer::error(if nth == 0 { 14 } else { 7 }), TOKEN),
        (|_| Answer::error(7), TOKEN),
        (|_| Answer::error(12), TOKEN),
        (|_| attempt(1).pending(), SECOND_TOKEN),
    ];
    for (description, token) in undecided {
        let fake = server(BEAT, |nth| if nth == 0 { BARE } else { Answer::ok() }, description);
        rpc::heartbeat(token, None, LONG).and_then(rpc::Call::wait).unwrap();
        assert_eq!(fake.calls(BEAT).len(), 2);
    }
    let _fake = server(BEAT, |_| BARE, |_| unreachable!());
    let error = rpc::heartbeat(b"unreadable", None, SHORT).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Status::Unavailable, true), "{error}");
    assert!(error.message().contains("can't be looked up"), "{error}");
}

#[test]
fn details_survive_a_gateways_not_found() {
    let fake = server("", |_| Answer::ok(), |nth| if nth == 0 { BARE } else { attempt(1).pending() });
    assert_eq!(rpc::get_details(TOKEN, LONG).and_then(rpc::Call::wait).unwrap().about().attempt, 1);
    assert_eq!(fake.calls(DESCRIBE).len(), 2);
}

#[test]
fn pulse_outlasts_a_gateways_not_found() {
    let fake = server(BEAT, |nth| if nth < 3 { BARE } else { Answer::ok() }, |_| attempt(1).pending());
    let handle = activity::open(TOKEN, br#"{"heartbeat_timeout_ms":2000,"initial_details":""}"#).unwrap();
    activity::record(handle, Encoding::Json, b"41").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(!activity::signals(handle).unwrap().contains(Signals::GONE));
    assert!(fake.calls(BEAT).len() >= 4 && fake.calls(DESCRIBE).len() >= 3);
}

#[test]
fn lagging_description_leaves_an_ending_in_doubt() {
    const COMPLETE: &str = "RespondActivityTaskCompleted";
    // The server has ended the activity. The second description is that of a replica that lags behind.
    for (described, outcome) in [
        (Described { closed: true, ..attempt(1) }, Status::NotFound),
        (attempt(1), Status::InDoubt),
        (attempt(2), Status::NotFound),
    ] {
        let answer = |nth| if nth == 0 { Answer::Silence } else { PROVEN };
        let _fake = server(COMPLETE, answer, move |_| described.standalone());
        let options = br#"{"verify":true,"pulse":false,"initial_details":""}"#;
        let handle = activity::open(STANDALONE_TOKEN, options).unwrap();
        assert_eq!(
            activity::complete(handle, None, SHORT).and_then(rpc::Call::wait).unwrap_err().status(),
            Status::Timeout
        );
        assert_eq!(
            activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
            outcome,
            "{described:?}"
        );
    }
}

/// Like [`TOKEN`], for the second attempt.
const SECOND_TOKEN: &[u8] = b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x02\x32\x01a";

#[test]
fn description_of_an_earlier_attempt_does_not_end_a_later_one() {
    let fake = server(
        "",
        |_| Answer::ok(),
        |nth| if nth < 2 { attempt(1).pending() } else { attempt(2).with_details("\"held\"").pending() },
    );
    let handle = activity::open(SECOND_TOKEN, br#"{"heartbeat_timeout_ms":2000}"#).unwrap();
    assert_eq!(
        activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values()[0].data,
        "\"held\""
    );
    fake.wait_for(BEAT, 1);
    assert!(fake.calls(BEAT)[0].has(b"\"held\"") && fake.calls(DESCRIBE).len() == 3);
}

#[test]
fn by_ids_the_start_decides_which_attempt_is_later() {
    // The handle uses the attempt that the first answer describes.
    let first = Described { started_s: 100, ..attempt(2) };
    for (next, is_over) in [
        (Described { started_s: 100, ..attempt(2) }, false),
        (Described { started_s: 90, ..attempt(1) }, false),
        (Described { started_s: 90, ..attempt(3) }, false),
        (Described { started_s: 90, waiting: true, ..attempt(2) }, false),
        (Described { started_s: 110, ..attempt(1) }, true),
        (Described { started_s: 110, ..attempt(3) }, true),
        (Described { started_s: 100, waiting: true, ..attempt(3) }, true),
        (Described { started_s: 100, waiting: true, ..attempt(1) }, true),
        (Described { started_s: 100, closed: true, ..attempt(2) }, true),
    ] {
        // The first description sets the attempt, the second one permits the beat, the third one confirms its NOT_FOUND.
        for nth_description in [1, 2] {
            let fake = server(
                BEAT_BY_ID,
                move |nth| if nth == 0 && nth_description == 2 { PROVEN } else { Answer::ok() },
                move |nth| if nth == nth_description { next.standalone() } else { first.standalone() },
            );
            let options = br#"{"activity_id":"a","run_id":"r","heartbeat_timeout_ms":10000,"pulse":false}"#;
            let handle = activity::open(b"", options).unwrap();
            activity::record(handle, Encoding::Json, b"41").unwrap();
            let flushed =
                activity::flush(handle, LONG).and_then(rpc::Call::wait).map_err(|error| error.status());
            let expected = if is_over { Err(Status::NotFound) } else { Ok(()) };
            assert_eq!(flushed, expected, "{next:?} as description {nth_description}");
            assert_eq!(activity::signals(handle).unwrap().contains(Signals::GONE), is_over, "{next:?}");
            assert!(fake.calls(DESCRIBE_STANDALONE).len() > nth_description);
        }
    }
}

#[test]
fn pulse_by_ids_keeps_details_that_a_late_beat_of_an_earlier_attempt_has_brought() {
    // The details come before the first description, or between that one and the beat.
    for first_with_details in [0, 1] {
        let fake = server(
            BEAT_BY_ID,
            |_| Answer::ok(),
            move |nth| match nth < first_with_details {
                true => attempt(2).standalone(),
                false => attempt(2).with_details("\"late\"").standalone(),
            },
        );
        let options = br#"{"activity_id":"a","run_id":"r","heartbeat_timeout_ms":1000,"initial_details":""}"#;
        let handle = activity::open(b"", options).unwrap();
        assert!(
            activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values().is_empty(),
            "those of the hand-off stay"
        );
        fake.wait_for(BEAT_BY_ID, 1);
        assert!(fake.calls(BEAT_BY_ID)[0].has(b"\"late\""), "first in description {first_with_details}");
    }
}

#[test]
fn completing_by_ids_as_the_first_call_reports_how_the_activity_was_addressed() {
    let _fake = server("", |_| Answer::ok(), |_| attempt(1).standalone());
    let handle = activity::open(b"", br#"{"activity_id":"a","run_id":"r","pulse":false}"#).unwrap();
    activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
    let info: serde_json::Value = serde_json::from_str(&activity::info(handle).unwrap()).unwrap();
    assert_eq!((&info["addressed_by"], &info["state"]), (&"ids".into(), &"ended".into()));
}

#[test]
fn completion_by_ids_of_an_ended_activity_is_not_found() {
    // The activity may end between the library's Describe and its request. Server 1.32 then answers FAILED_PRECONDITION, not NOT_FOUND.
    for (ends_before, expected) in [(true, Status::NotFound), (false, Status::FailedPrecondition)] {
        let is_over = AtomicBool::new(false);
        let _fake = Fake::connected(move |call| match call.method.as_str() {
            DESCRIBE_STANDALONE => {
                let closed = is_over.load(Ordering::SeqCst);
                Described { started_s: 100, closed, ..attempt(1) }.standalone()
            }
            "RespondActivityTaskCompletedById" => {
                is_over.store(ends_before, Ordering::SeqCst);
                Answer::error(9)
            }
            _ => Answer::ok(),
        });
        let options = br#"{"activity_id":"a","run_id":"r","pulse":false,"initial_details":""}"#;
        let handle = activity::open(b"", options).unwrap();
        let error = activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err();
        assert_eq!(error.status(), expected, "{error}");
        assert_eq!(activity::signals(handle).unwrap().contains(Signals::GONE), ends_before);
    }
}

#[test]
fn completion_by_ids_is_not_in_doubt_when_only_its_description_got_no_answer() {
    let is_silent = Arc::new(AtomicBool::new(true));
    let silent = is_silent.clone();
    let fake = Fake::connected(move |call| match call.method.as_str() {
        DESCRIBE_STANDALONE if silent.load(Ordering::SeqCst) => Answer::Silence,
        DESCRIBE_STANDALONE => Described { closed: true, ..attempt(1) }.standalone(),
        _ => Answer::ok(),
    });
    let options = br#"{"activity_id":"a","run_id":"r","pulse":false,"initial_details":""}"#;
    let handle = activity::open(b"", options).unwrap();
    assert_eq!(
        activity::complete(handle, None, SHORT).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
    is_silent.store(false, Ordering::SeqCst);
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotFound
    );
    assert!(fake.calls("RespondActivityTaskCompletedById").is_empty());
}

#[test]
fn not_found_by_ids_does_not_end_an_attempt_that_is_described_as_running() {
    let closed = Arc::new(AtomicUsize::new(0));
    let fake = Fake::connected({
        let closed = closed.clone();
        move |call| match call.method.as_str() {
            DESCRIBE_STANDALONE => {
                let closed = closed.load(Ordering::SeqCst) == 1;
                Described { started_s: 100, closed, ..attempt(2) }.standalone()
            }
            name if name.ends_with("ById") => PROVEN,
            _ => Answer::ok(),
        }
    });
    let options = br#"{"activity_id":"a","run_id":"r","heartbeat_timeout_ms":1000,"initial_details":""}"#;
    let handle = activity::open(b"", options).unwrap();
    activity::record(handle, Encoding::Json, b"41").unwrap();
    let error = activity::flush(handle, SHORT).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!((error.status(), error.is_retryable()), (Status::Unavailable, true), "{error}");
    let cause = "doesn't accept requests by ids for attempt 2 of a standalone activity";
    assert!(error.message().contains(cause) && error.message().contains("task token"), "{error}");
    for end in [
        activity::complete(handle, None, SHORT).and_then(rpc::Call::wait),
        activity::fail(handle, b"", SHORT).and_then(rpc::Call::wait),
    ] {
        let error = end.unwrap_err();
        assert_eq!((error.status(), error.is_retryable()), (Status::Unavailable, true), "{error}");
        assert!(error.message().contains(cause), "{error}");
    }
    let signals = activity::wait(handle, Signals::LEASE_LOST, Signals::default(), LONG).unwrap();
    assert!(signals.contains(Signals::LEASE_LOST) && !signals.contains(Signals::GONE), "{signals:?}");
    assert!(fake.calls(BEAT_BY_ID).len() > 1, "it is tried again");

    closed.store(1, Ordering::SeqCst);
    let signals = activity::wait(handle, Signals::GONE, Signals::default(), LONG).unwrap();
    assert!(signals.contains(Signals::GONE));
}
