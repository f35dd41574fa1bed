//! A try may last for minutes, since a slow server keeps its connection. Nothing else may wait for that try.

use std::{process::Command, time::Duration};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, payload::Encoding, status::Status},
};

use crate::fake::{Answer, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const COMPLETE: &str = "RespondActivityTaskCompleted";
/// Shorter than the tries of an activity with the heartbeat timeout in `OPTIONS`.
const SHORT: Timeout = Timeout::Within(Duration::from_secs(3));
const OPTIONS: &[u8] = b"{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}";

/// Starts a server that never answers the first beat, and opens an activity. Returns when the first beat is in flight.
fn with_a_lost_beat() -> (Fake, u64) {
    let fake = Fake::connected(|call| match call.method.as_str() {
        BEAT if call.has(b"\"lost\"") => Answer::Silence,
        BEAT if call.has(b"\"last words\"") => {
            println!("the last words arrived");
            Answer::ok()
        }
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, OPTIONS).unwrap();
    activity::record(handle, Encoding::Json, b"\"lost\"").unwrap();
    fake.wait_for(BEAT, 1);
    (fake, handle)
}

/// Checks that the newer request used the connection of the unanswered one.
fn check_connection(fake: &Fake) {
    assert_eq!(fake.connections(), 1, "the server was alive all the time");
}

#[test]
fn ending_does_not_wait_for_a_try_without_an_answer() {
    let (fake, handle) = with_a_lost_beat();
    activity::complete(handle, None, SHORT).and_then(rpc::Call::wait).unwrap();
    assert_eq!(fake.calls(COMPLETE).len(), 1);
    check_connection(&fake);
}

#[test]
fn flush_of_a_newer_record_does_not_wait_for_a_try_without_an_answer() {
    let (fake, handle) = with_a_lost_beat();
    activity::record(handle, Encoding::Json, b"\"newest\"").unwrap();
    activity::flush(handle, SHORT).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT).last().unwrap().has(b"\"newest\""));
    check_connection(&fake);
}

#[test]
fn flush_repeats_a_try_without_an_answer() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        BEAT if call.nth == 0 => Answer::Silence,
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, OPTIONS).unwrap();
    activity::record(handle, Encoding::Json, b"\"newest\"").unwrap();
    fake.wait_for(BEAT, 1);
    activity::flush(handle, SHORT).and_then(rpc::Call::wait).unwrap();
    check_connection(&fake);
}

#[test]
fn disconnect_does_not_wait_for_a_try_without_an_answer() {
    let (fake, handle) = with_a_lost_beat();
    activity::record(handle, Encoding::Json, b"\"newest\"").unwrap();
    rpc::disconnect(SHORT).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT).last().unwrap().has(b"\"newest\""));
    check_connection(&fake);
}

#[test]
fn try_of_a_closed_handle_does_not_block_the_next_call() {
    let (fake, handle) = with_a_lost_beat();
    assert_eq!(
        activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
    rpc::complete(TOKEN, None, SHORT).and_then(rpc::Call::wait).unwrap();
    check_connection(&fake);
}

const EXITS: &str = "THB_EXITS_WITH_A_LOST_BEAT";

#[test]
#[ignore = "a separate process, started by the test below"]
fn exiting_process() {
    if std::env::var_os(EXITS).is_none() {
        return;
    }
    let (_fake, handle) = with_a_lost_beat();
    activity::record(handle, Encoding::Json, b"\"last words\"").unwrap();
    std::process::exit(0);
}

#[test]
fn exit_sends_the_newest_record_although_a_try_has_no_answer() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "long_tries::exiting_process", "--ignored", "--nocapture"])
        .env(EXITS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains("the last words arrived"), "{said}");
}

#[test]
fn short_calls_to_a_slow_server_close_no_connection() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        BEAT => Answer::Silence,
        _ => Answer::ok(),
    });
    for _ in 0..4 {
        let late = rpc::heartbeat(TOKEN, None, Timeout::Within(Duration::from_millis(300)))
            .and_then(rpc::Call::wait);
        assert_eq!(late.unwrap_err().status(), Status::Timeout);
    }
    check_connection(&fake);
}

/// Returns a token of a standalone activity.
fn token(number: u32) -> Vec<u8> {
    [b"\x0a\x01n\x28\x01\x72\x0a\x12\x05".as_slice(), format!("a{number:04}").as_bytes(), b"\x1a\x01r"]
        .concat()
}

#[test]
fn many_unanswered_activities_do_not_block_others() {
    // More activities than the streams that the fake accepts at once, and than the requests that the library sends at once.
    const SILENT: u32 = 300;
    let fake = Fake::connected(|call| match call.method.as_str() {
        BEAT if call.has(b"\"lost\"") => Answer::Silence,
        _ => Answer::ok(),
    });
    for number in 0..SILENT {
        let handle = activity::open(&token(number), OPTIONS).unwrap();
        activity::record(handle, Encoding::Json, b"\"lost\"").unwrap();
    }
    fake.wait_for(BEAT, 150);
    let handle = activity::open(TOKEN, OPTIONS).unwrap();
    for item in 1..=3 {
        activity::record(handle, Encoding::Json, item.to_string().as_bytes()).unwrap();
        activity::flush(handle, Timeout::Within(Duration::from_secs(20))).and_then(rpc::Call::wait).unwrap();
    }
}

#[test]
fn heartbeat_without_timeout_does_not_block_a_newer_call() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        BEAT => Answer::error(14),
        _ => Answer::ok(),
    });
    std::thread::scope(|scope| {
        let beating = scope.spawn(|| rpc::heartbeat(TOKEN, None, Timeout::Forever).and_then(rpc::Call::wait));
        fake.wait_for(BEAT, 2);
        rpc::complete(TOKEN, None, Timeout::Within(Duration::from_secs(20)))
            .and_then(rpc::Call::wait)
            .unwrap();
        let error = beating.join().unwrap().unwrap_err();
        assert!(error.message().contains("newer call"), "{error}");
    });
    assert_eq!(fake.calls(COMPLETE).len(), 1);
}
