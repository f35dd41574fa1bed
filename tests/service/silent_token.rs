//! Two thousand activities. The server never answers the requests of one of them.

use std::{
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::api::activity;

use crate::fake::{Answer, Call, Fake};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const ACTIVITIES: u32 = 2000;
const SILENT: u32 = 7;
/// The number of tries of the silent activity that the test waits for.
const TRIES: usize = 3;
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Returns a token of the activity "a", in a separate workflow.
fn token(number: u32) -> Vec<u8> {
    [b"\x0a\x01n\x1a\x01r\x28\x01\x32\x01a\x12\x05".as_slice(), workflow(number).as_bytes()].concat()
}

fn workflow(number: u32) -> String {
    format!("w{number:04}")
}

fn failed_tries(handle: u64) -> u64 {
    let info: serde_json::Value = serde_json::from_str(&activity::info(handle).unwrap()).unwrap();
    info["failed_tries"].as_u64().unwrap()
}

#[test]
fn one_request_without_an_answer_costs_no_other_activity_its_connection() {
    let silent = workflow(SILENT).into_bytes();
    let is_silent = {
        let silent = silent.clone();
        move |call: &Call| call.has(&silent)
    };
    let fake = Fake::connected({
        let is_silent = is_silent.clone();
        move |call| if call.method == BEAT && is_silent(call) { Answer::Silence } else { Answer::ok() }
    });
    let options = b"{\"heartbeat_timeout_ms\":4000,\"initial_details\":\"\"}";
    let handles: Vec<u64> =
        (0..ACTIVITIES).map(|number| activity::open(&token(number), options).unwrap()).collect();

    let end = Instant::now() + MAX_WAIT;
    while fake.calls(BEAT).iter().filter(|call| is_silent(call)).count() < TRIES {
        assert!(Instant::now() < end, "the silent activity has too few tries");
        thread::sleep(Duration::from_millis(50));
    }
    let failed: Vec<u64> = handles.iter().map(|handle| failed_tries(*handle)).collect();
    let of_silent = failed[usize::try_from(SILENT).unwrap()];
    let connections_of_silent: Vec<usize> =
        fake.calls(BEAT).iter().filter(|call| is_silent(call)).map(|call| call.connection).collect();
    println!(
        "{} connections, failed tries: {of_silent} of {}",
        fake.connections(),
        failed.iter().sum::<u64>()
    );
    assert!(of_silent >= 2, "the silent activity's tries were given up");
    assert_eq!(failed.iter().sum::<u64>(), of_silent, "tries of other activities failed");
    assert!(connections_of_silent.iter().all(|number| *number == 0), "{connections_of_silent:?}");
    assert_eq!(fake.connections(), 1, "the connection was alive all the time");
}
