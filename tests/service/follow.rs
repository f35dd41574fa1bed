//! Long polls, with servers that refuse or misuse them: they never cost a beat.

use std::{thread, time::Duration};

use serde_json::Value;
use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, payload::Encoding, signals::Signals},
};

use crate::fake::{Answer, Call, Described, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const HISTORY: &str = "GetWorkflowExecutionHistory";
const DESCRIBE_WORKFLOW: &str = "DescribeWorkflowExecution";
const DESCRIBE_STANDALONE: &str = "DescribeActivityExecution";
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const UNIMPLEMENTED: i32 = 12;
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const MAX_LONG_POLLS: usize = 100;
/// A beat is due after half a second.
const SHORT_LEASE: &[u8] = br#"{"heartbeat_timeout_ms":1000,"initial_details":"","follow_server":true}"#;
/// A beat is due after 48 s.
const LONG_LEASE: &[u8] = br#"{"heartbeat_timeout_ms":60000,"initial_details":"","follow_server":true}"#;
const CANCEL_REQUESTED: [u8; 2] = [1 << 3, 1];

/// Starts a server with this answer to the long polls of a workflow's history.
fn history(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Fake {
    let fake = Fake::connected(move |call| match call.method.as_str() {
        HISTORY => answer(call),
        DESCRIBE_WORKFLOW => Described { attempt: 1, ..Described::default() }.pending(),
        _ => Answer::ok(),
    });
    while rpc::next_log(Timeout::Zero).unwrap().is_some() {}
    fake
}

/// An answer with one event, in which the workflow's code requests the cancellation of an activity, and with a token.
fn cancel_event() -> Answer {
    let event = [1 << 3, 7, 0xb2, 0x01, 2, 1 << 3, 5];
    let history = [&[0x0a, 7][..], &event].concat();
    Answer::Message([&[0x0a, 9][..], &history, &[0x1a, 1, b't']].concat())
}

fn is_followed(handle: u64) -> bool {
    let info: Value = serde_json::from_str(&activity::info(handle).unwrap()).unwrap();
    info["following"].as_bool().unwrap()
}

/// Returns the log records until now with this event.
fn records(event: &str) -> Vec<Value> {
    let next = || rpc::next_log(Timeout::Zero).unwrap();
    let records = std::iter::from_fn(next).map(|record| serde_json::from_str::<Value>(&record).unwrap());
    records.filter(|record| record["event"] == event).collect()
}

fn until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < end, "it never happens");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn refused_long_poll_is_reported_once_and_costs_no_beat() {
    for code in [PERMISSION_DENIED, UNIMPLEMENTED] {
        let fake = history(move |_| Answer::error(code));
        let handle = activity::open(TOKEN, SHORT_LEASE).unwrap();
        activity::record(handle, Encoding::Json, b"1").unwrap();
        until(|| !is_followed(handle) && !fake.calls(HISTORY).is_empty());
        // Of another workflow, "v".
        let other = activity::open(b"\x0a\x01n\x12\x01v\x1a\x01r\x28\x01\x32\x01a", SHORT_LEASE).unwrap();
        activity::record(other, Encoding::Json, b"1").unwrap();
        fake.wait_for(BEAT, 6);
        assert_eq!(
            activity::signals(handle).unwrap() | activity::signals(other).unwrap(),
            Signals::default()
        );
        assert_eq!(fake.calls(HISTORY).len(), 1, "gRPC code {code}");
        assert_eq!(records("not_followed").len(), 1);
    }
}

#[test]
fn server_at_its_limit_of_long_polls_is_asked_rarely() {
    let fake = history(|_| Answer::Error {
        code: RESOURCE_EXHAUSTED,
        detail: "ResourceExhaustedFailure",
        trailers_only: true,
    });
    let handle = activity::open(TOKEN, SHORT_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    fake.wait_for(BEAT, 5);
    assert!(!is_followed(handle), "no long poll is open");
    assert_eq!((fake.calls(HISTORY).len(), records("not_followed").len()), (1, 1));
    assert_eq!(activity::signals(handle).unwrap(), Signals::default());
}

#[test]
fn server_that_does_not_wait_is_asked_rarely() {
    let fake = history(|_| Answer::Message(vec![0x1a, 1, b't']));
    let handle = activity::open(TOKEN, SHORT_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    fake.wait_for(BEAT, 6);
    assert!(fake.calls(HISTORY).len() <= 8, "{}", fake.calls(HISTORY).len());
}

#[test]
fn garbled_answer_to_a_long_poll_costs_no_beat() {
    let fake = history(|_| Answer::Message(vec![0xff; 40]));
    let handle = activity::open(TOKEN, SHORT_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    fake.wait_for(BEAT, 4);
    assert_eq!(activity::signals(handle).unwrap(), Signals::default());
}

#[test]
fn cancellation_in_the_history_is_followed_by_a_beat_at_once() {
    let fake = Fake::connected(|call| match (call.method.as_str(), call.nth) {
        (HISTORY, 0) => Answer::Message(vec![0x1a, 1, b's']),
        (HISTORY, 1) => cancel_event(),
        (HISTORY, _) => Answer::Silence,
        (DESCRIBE_WORKFLOW, _) => Described { attempt: 1, ..Described::default() }.pending(),
        (BEAT, 0) => Answer::ok(),
        (BEAT, _) => Answer::Message(CANCEL_REQUESTED.to_vec()),
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, LONG_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    let signals = activity::wait(handle, Signals::CANCEL_REQUESTED, Signals::default(), LONG).unwrap();
    assert_eq!(signals, Signals::CANCEL_REQUESTED);
    assert_eq!(fake.calls(BEAT).len(), 2);
    let [first, second] = [&fake.calls(BEAT)[0], &fake.calls(HISTORY)[0]];
    assert_ne!(first.connection, second.connection, "long polls have their own connection");
}

#[test]
fn closed_workflow_is_noticed_at_once() {
    let fake = Fake::connected(|call| match (call.method.as_str(), call.nth) {
        (HISTORY, 0) => cancel_event(),
        // Without a token: there is no next event.
        (HISTORY, _) => Answer::ok(),
        (DESCRIBE_WORKFLOW, _) => Described { attempt: 1, ..Described::default() }.pending(),
        (BEAT, 0) => Answer::ok(),
        (BEAT, _) => Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true },
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, LONG_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    let signals = activity::wait(handle, Signals::GONE, Signals::default(), LONG).unwrap();
    assert!(signals.contains(Signals::GONE));
    drop(fake);
}

#[test]
fn long_polls_are_limited_and_closed_activities_make_room() {
    // Answers the first question of each activity, and never a long poll.
    let fake = Fake::connected(|call| match call.method.as_str() {
        DESCRIBE_STANDALONE if call.has(b"\x32\x01t") => Answer::Silence,
        DESCRIBE_STANDALONE => {
            let Answer::Message(message) = (Described { attempt: 1, ..Described::default() }).standalone()
            else {
                return Answer::ok();
            };
            Answer::Message([&message[..], &[0x2a, 1, b't']].concat())
        }
        _ => Answer::ok(),
    });
    let count = MAX_LONG_POLLS + 20;
    let mut handles: Vec<u64> = (0..count)
        .map(|number| {
            let id = format!("a{number:03}");
            let component = [&[0x12, 4][..], id.as_bytes(), b"\x1a\x01r"].concat();
            let token = [b"\x0a\x01n\x28\x01\x72\x09", &component[..]].concat();
            let handle = activity::open(&token, LONG_LEASE).unwrap();
            activity::record(handle, Encoding::Json, b"1").unwrap();
            handle
        })
        .collect();
    fake.wait_for(BEAT, count);
    let polled = || {
        let calls = fake.calls(DESCRIBE_STANDALONE);
        calls.iter().filter(|call| call.has(b"\x32\x01t")).count()
    };
    until(|| polled() == MAX_LONG_POLLS);
    assert!(!records("not_followed").is_empty());
    assert_eq!(handles.iter().filter(|handle| is_followed(**handle)).count(), MAX_LONG_POLLS);
    for handle in handles.drain(..30) {
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
    until(|| polled() > MAX_LONG_POLLS && handles.iter().all(|handle| is_followed(*handle)));
    assert!(polled() <= MAX_LONG_POLLS + 30);
}

/// The token "t" in a request for the history.
const AFTER_T: &[u8] = b"\x22\x01t";

/// Follows the activity of [`TOKEN`] until the history was read this many times, and closes it.
fn follow_until(fake: &Fake, reads: usize) {
    let handle = activity::open(TOKEN, LONG_LEASE).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    fake.wait_for(HISTORY, reads);
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    until(|| {
        let metrics = rpc::metrics().unwrap();
        let followed =
            metrics.lines().find(|line| line.starts_with("temporal_heartbeat_activities_followed{"));
        followed.is_some_and(|line| line.ends_with(" 0"))
    });
}

#[test]
fn next_activity_of_a_run_continues_in_its_history() {
    let fake = history(|call| match call.nth {
        0 => cancel_event(),
        _ => Answer::Silence,
    });
    follow_until(&fake, 2);
    follow_until(&fake, 3);
    let reads = fake.calls(HISTORY);
    assert!(!reads[0].has(AFTER_T) && reads[1].has(AFTER_T) && reads[2].has(AFTER_T));
}

#[test]
fn history_is_read_again_if_the_server_forgot_the_position() {
    const INVALID_ARGUMENT: i32 = 3;
    let fake = history(|call| match call.nth {
        0 => cancel_event(),
        2 => Answer::error(INVALID_ARGUMENT),
        _ => Answer::Silence,
    });
    follow_until(&fake, 2);
    follow_until(&fake, 4);
    let reads = fake.calls(HISTORY);
    assert!(reads[2].has(AFTER_T) && !reads[3].has(AFTER_T));
    assert!(records("not_followed").is_empty());
}
