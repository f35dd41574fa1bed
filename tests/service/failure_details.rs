//! The heartbeat details of a failure. For a standalone activity they are sent in a heartbeat first, because Server 1.31 ignores them
//! in the failure.

use std::time::Duration;

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, payload::Encoding, status::Status},
};

use crate::fake::{Answer, Fake, STANDALONE_TOKEN, TOKEN};

const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const SHORT: Timeout = Timeout::Within(Duration::from_millis(500));
const BEAT: &str = "RecordActivityTaskHeartbeat";
const FAIL: &str = "RespondActivityTaskFailed";
const FAILURE: &[u8] = br#"{"message":"broken","heartbeat_details":[42]}"#;

#[test]
fn failure_of_a_standalone_activity_is_preceded_by_its_details() {
    let fake = Fake::connected(|_| Answer::ok());
    rpc::fail(STANDALONE_TOKEN, FAILURE, LONG).and_then(rpc::Call::wait).unwrap();
    let (beats, failed) = (fake.calls(BEAT), fake.calls(FAIL));
    assert_eq!((beats.len(), failed.len()), (1, 1));
    assert!(beats[0].has(b"json/plain") && failed[0].has(b"json/plain") && beats[0].at < failed[0].at);

    let handle = activity::open(STANDALONE_TOKEN, br#"{"pulse":false,"initial_details":""}"#).unwrap();
    activity::record(handle, Encoding::Json, b"\"flushed\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    activity::record(handle, Encoding::Json, b"\"unsent\"").unwrap();
    activity::fail(handle, b"{}", LONG).and_then(rpc::Call::wait).unwrap();
    let (beats, failed) = (fake.calls(BEAT), fake.calls(FAIL));
    assert_eq!((beats.len(), failed.len()), (3, 2));
    assert!(beats[2].has(b"\"unsent\"") && beats[2].at < failed[1].at);
}

#[test]
fn failure_that_loses_no_details_costs_one_request() {
    let fake = Fake::connected(|_| Answer::ok());
    rpc::fail(TOKEN, FAILURE, LONG).and_then(rpc::Call::wait).unwrap();
    rpc::fail(b"unreadable", FAILURE, LONG).and_then(rpc::Call::wait).unwrap();
    rpc::fail(STANDALONE_TOKEN, br#"{"message":"broken"}"#, LONG).and_then(rpc::Call::wait).unwrap();
    let handle = activity::open(STANDALONE_TOKEN, br#"{"pulse":false,"initial_details":""}"#).unwrap();
    activity::record(handle, Encoding::Json, b"41").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    activity::fail(handle, b"{}", LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!((fake.calls(BEAT).len(), fake.calls(FAIL).len()), (1, 4));
}

#[test]
fn standalone_activity_does_not_fail_without_its_details() {
    let fake = Fake::connected(|call| if call.method == BEAT { Answer::error(3) } else { Answer::ok() });
    let error = rpc::fail(STANDALONE_TOKEN, FAILURE, LONG).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!((error.status(), fake.calls(FAIL).len()), (Status::InvalidArgument, 0), "{error}");
}

#[test]
fn repeated_failure_of_a_standalone_activity_stays_in_doubt() {
    // The answer to the failure is lost, and the repeated call finds the activity over before it can fail it again.
    let _fake = Fake::connected(|call| match call.method.as_str() {
        FAIL => Answer::Silence,
        BEAT if call.nth > 0 => Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true },
        _ => Answer::ok(),
    });
    let error = rpc::fail(STANDALONE_TOKEN, FAILURE, SHORT).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!(error.status(), Status::Timeout, "{error}");
    let error = rpc::fail(STANDALONE_TOKEN, FAILURE, LONG).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!(error.status(), Status::InDoubt, "{error}");
}
