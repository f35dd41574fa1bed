//! Open activities, against a server that records every beat.

use std::{
    collections::HashSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, error::Error, payload::Encoding, signals::Signals, status::Status},
};

use crate::fake::{Answer, Call, Described, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const MOMENT: Timeout = Timeout::Within(Duration::from_millis(50));
const ALL: Signals = Signals::CANCEL_REQUESTED;

/// Starts a server that answers each beat with the result of `answer`.
fn beats(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(move |call| match call.method.as_str() {
        BEAT => answer(call),
        "DescribeWorkflowExecution" => {
            Described { attempt: 1, ..Described::default() }.with_details("\"before\"").pending()
        }
        _ => Answer::ok(),
    })
}

fn open(options: &str) -> u64 {
    activity::open(TOKEN, options.as_bytes()).unwrap()
}

fn record(handle: u64, json: &str) -> Result<Signals, Error> {
    activity::record(handle, Encoding::Json, json.as_bytes())
}

/// Waits until the signal is set or, when `there` is false, cleared.
fn until(handle: u64, signal: Signals, there: bool) -> Signals {
    let known = if there { Signals::default() } else { signal };
    let signals = activity::wait(handle, signal, known, LONG).unwrap();
    assert_eq!(signals.contains(signal), there, "{signals:?}");
    signals
}

fn info(handle: u64) -> serde_json::Value {
    serde_json::from_str(&activity::info(handle).unwrap()).unwrap()
}

#[test]
fn first_record_is_sent_at_once_and_last_record_is_always_sent() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}");
    let started = Instant::now();
    for item in 0..10_000 {
        record(handle, &format!("\"item {item}\"")).unwrap();
    }
    let beats = (1..)
        .find(|nth| {
            fake.wait_for(BEAT, *nth);
            fake.calls(BEAT)[nth - 1].has(b"\"item 9999\"")
        })
        .unwrap();
    let calls = &fake.calls(BEAT)[..beats];
    assert!(calls[0].at - started < Duration::from_millis(400) && calls[0].has(b"\"item "));
    for pair in calls.windows(2) {
        assert!(
            pair[1].at - pair[0].at > Duration::from_millis(400),
            "half of the timeout, less the jitter and the time of a request"
        );
    }
    let elapsed = calls[beats - 1].at - started;
    assert!(beats <= 2 + (elapsed.as_millis() / 500) as usize, "{beats} beats in {elapsed:?}");
}

#[test]
fn slow_check_of_a_record_delays_no_other_call() {
    let _fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    let json = format!("[{}1]", "1,".repeat(950_000));
    const MANY: usize = 15;
    // Odd during a record.
    let (progress, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let most_calls_during_one = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                progress.fetch_add(1, Ordering::SeqCst);
                record(handle, &json).unwrap();
                progress.fetch_add(1, Ordering::SeqCst);
            }
        });
        let (mut most, end) = (0, Instant::now() + Duration::from_secs(20));
        while most < MANY && Instant::now() < end {
            let before = progress.load(Ordering::SeqCst);
            let calls = (0..MANY).take_while(|_| {
                // In this pause a record that waits for the lock gets it.
                thread::sleep(Duration::from_millis(1));
                activity::signals(handle).unwrap();
                before % 2 == 1 && progress.load(Ordering::SeqCst) == before
            });
            most = most.max(calls.count());
        }
        stop.store(true, Ordering::SeqCst);
        most
    });
    assert_eq!(most_calls_during_one, MANY, "calls wait until a record is checked, as does the I/O thread");
}

#[test]
fn pulse_resends_the_details_of_the_hand_off() {
    let fake = beats(|_| Answer::ok());
    // A Payloads with one JSON value, "before".
    let details = "CiMKFgoIZW5jb2RpbmcSCmpzb24vcGxhaW4SCSJiZWZvcmUgIg==";
    let handle = open(&format!("{{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"{details}\"}}"));
    fake.wait_for(BEAT, 2);
    assert!(fake.calls(BEAT).iter().all(|call| call.has(b"\"before \"")));
    assert_eq!(fake.calls("DescribeWorkflowExecution").len(), 0);
    assert_eq!(
        activity::details(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap().values()[0].data,
        "\"before \""
    );
}

#[test]
fn pulse_fetches_the_stored_details_before_the_first_beat() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":1000}");
    fake.wait_for(BEAT, 2);
    assert!(fake.calls(BEAT).iter().all(|call| call.has(b"\"before\"")));
    assert_eq!(fake.calls("DescribeWorkflowExecution").len(), 1);
    assert_eq!(
        activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values()[0].data,
        "\"before\""
    );
}

#[test]
fn pulse_beats_without_details_when_none_are_stored() {
    let fake = beats(|_| Answer::ok());
    open("{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}");
    fake.wait_for(BEAT, 1);
    assert!(!fake.calls(BEAT)[0].has(b"encoding"));
}

#[test]
fn details_of_the_previous_attempt_stay_readable_after_records() {
    let _fake = beats(|_| Answer::ok());
    let handle = open("{\"pulse\":false}");
    assert_eq!(
        activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values()[0].data,
        "\"before\""
    );
    record(handle, "1").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(
        activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values()[0].data,
        "\"before\""
    );
}

#[test]
fn details_replaced_before_the_first_read_are_a_failed_precondition() {
    let _fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":10000}");
    record(handle, "1").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(
        activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::FailedPrecondition
    );
}

#[test]
fn too_large_description_is_reported_with_the_way_out() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Answer::Message(vec![0; 8192]),
        _ => Answer::ok(),
    });
    fake.connect(r#","max_message_bytes":4096"#).unwrap();
    let handle = open("{\"heartbeat_timeout_ms\":1000}");
    until(handle, Signals::UNSEEDED, true);
    let why = info(handle)["last_error"]["message"].as_str().unwrap().to_owned();
    assert!(why.contains("max_message_bytes") && why.contains("initial_details"), "{why}");
    let logged = std::iter::from_fn(|| rpc::next_log(Timeout::Zero).unwrap());
    assert!(logged.into_iter().any(|record| record.contains("max_message_bytes")));
    assert_eq!(fake.calls(BEAT).len(), 0);
}

#[test]
fn changed_heartbeat_timeout_is_used_from_the_next_description_on() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "DescribeActivityExecution" => {
            let heartbeat_timeout_s = if call.nth < 2 { 60 } else { 1 };
            Described { attempt: 1, heartbeat_timeout_s, ..Described::default() }.standalone()
        }
        _ => Answer::ok(),
    });
    let options = br#"{"activity_id":"a","run_id":"r","heartbeat_timeout_ms":30000,"initial_details":""}"#;
    let handle = activity::open(b"", options).unwrap();
    let timeout_ms = || info(handle)["heartbeat_timeout_ms"].as_u64().unwrap();
    for (nth, after) in [60_000, 1000].into_iter().enumerate() {
        record(handle, &nth.to_string()).unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        assert_eq!(timeout_ms(), after);
    }
    fake.wait_for("RecordActivityTaskHeartbeatById", 4);
}

#[test]
fn flush_after_a_touch_sends_a_beat() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":60000}");
    for nth in 1..3 {
        activity::touch(handle).unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        assert_eq!(fake.calls(BEAT).len(), nth);
    }
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 2);
    assert!(fake.calls(BEAT).iter().all(|call| call.has(b"\"before\"")));
}

#[test]
fn beat_before_the_first_pulse_is_sent_at_once() {
    let _fake = beats(|_| Answer::ok());
    // All that the first beat needs is known, so nothing is sent before the first pulse, which is due after 15 s or more.
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    let before_the_pulse = Timeout::Within(Duration::from_secs(10));
    activity::beat(handle, before_the_pulse).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn another_attempt_on_the_server_supersedes_this_one() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Described { attempt: 2, ..Described::default() }.pending(),
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":1000}");
    until(handle, Signals::GONE, true);
    assert_eq!(record(handle, "1").unwrap_err().status(), Status::NotFound);
    assert_eq!(fake.calls(BEAT).len(), 0);
}

#[test]
fn ended_activity_stays_gone() {
    let fake = beats(|call| {
        if call.nth == 0 {
            Answer::ok()
        } else {
            Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true }
        }
    });
    let handle = open("{\"heartbeat_timeout_ms\":500,\"initial_details\":\"\"}");
    until(handle, Signals::GONE, true);
    let beats = fake.calls(BEAT).len();
    let error = record(handle, "1").unwrap_err();
    assert_eq!(error.status(), Status::NotFound);
    assert!(error.message().contains("the fake says so"), "{error}");
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotFound
    );
    assert_eq!(activity::touch(handle).unwrap_err().status(), Status::NotFound);
    assert_eq!((info(handle)["state"].as_str().unwrap(), beats), ("gone", fake.calls(BEAT).len()));
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn closing_an_activity_that_is_over_reports_a_record_that_is_lost() {
    let _fake = beats(|call| match call.nth {
        0 => Answer::ok(),
        _ => Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true },
    });
    let handle = open("{\"heartbeat_timeout_ms\":500,\"initial_details\":\"\"}");
    record(handle, "1").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "2").unwrap();
    until(handle, Signals::GONE, true);
    assert_eq!(
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotFound
    );
}

#[test]
fn reopened_activity_is_described_after_the_beat_of_its_closed_handle() {
    const ANSWER: Duration = Duration::from_millis(300);
    let fake = beats(|_| Answer::After(ANSWER));
    let handle = open("{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}");
    record(handle, "1").unwrap();
    fake.wait_for(BEAT, 1);
    assert_eq!(
        activity::close(handle, MOMENT).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
    let handle = open("{\"heartbeat_timeout_ms\":60000}");
    activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap();
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    let (beat, described) = (&fake.calls(BEAT)[0], &fake.calls("DescribeWorkflowExecution")[0]);
    assert!(described.at >= beat.at + ANSWER, "the server may describe what the beat is about to replace");
}

#[test]
fn lease_is_lost_without_acknowledgements_and_regained() {
    let fake = beats(|call| if (1..8).contains(&call.nth) { Answer::error(14) } else { Answer::ok() });
    let handle = open("{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}");
    let before = Instant::now();
    record(handle, "1").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    let after = fake.calls(BEAT)[0].at;
    until(handle, Signals::LEASE_LOST, true);
    // The acknowledged beat was sent between `before` and `after`.
    let (since_before, since_after) = (before.elapsed(), after.elapsed());
    assert!(since_before >= Duration::from_secs(1), "{since_before:?}");
    assert!(since_after < Duration::from_secs(3), "{since_after:?}");
    until(handle, Signals::LEASE_LOST, false);
    assert_eq!(info(handle)["leases_regained"], 1);
}

#[test]
fn all_functions_agree_on_a_lost_lease() {
    let _fake = beats(|_| Answer::Silence);
    let options = |number: usize| {
        format!("{{\"heartbeat_timeout_ms\":{},\"initial_details\":\"\"}}", 300 + 13 * number)
    };
    let opened: Vec<_> = (0..30).map(|number| open_one_of_many(number, &options(number))).collect();
    for handle in opened {
        until(handle, Signals::LEASE_LOST, true);
        assert!(record(handle, "1").unwrap().contains(Signals::LEASE_LOST));
        assert!(activity::signals(handle).unwrap().contains(Signals::LEASE_LOST));
    }
}

#[test]
fn lease_is_never_lost_without_a_known_timeout() {
    let _fake = beats(|_| Answer::error(14));
    let handle = open("{\"initial_details\":\"\",\"age_ms\":100000}");
    assert!(activity::signals(handle).unwrap().is_empty());
    assert_eq!(info(handle)["lease_left_ms"], serde_json::Value::Null);
}

#[test]
fn attempt_older_than_its_timeout_starts_without_lease() {
    let _fake = beats(|_| Answer::Silence);
    let handle = open("{\"heartbeat_timeout_ms\":1000,\"age_ms\":2000,\"initial_details\":\"\"}");
    assert!(record(handle, "1").unwrap().contains(Signals::LEASE_LOST));
}

#[test]
fn stalled_holder_stops_the_pulse_and_touch_resumes_it() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":400,\"stall_timeout_ms\":1000,\"initial_details\":\"\"}");
    until(handle, Signals::STALLED, true);
    // One beat may have been in flight.
    let stalled = fake.calls(BEAT).len();
    until(handle, Signals::LEASE_LOST, true);
    assert!(fake.calls(BEAT).len() <= stalled + 1);
    let beats = fake.calls(BEAT).len();
    assert!(activity::touch(handle).unwrap().contains(Signals::STALLED), "as before the touch");
    assert!(!activity::signals(handle).unwrap().contains(Signals::STALLED));
    fake.wait_for(BEAT, beats + 1);
}

#[test]
fn attempt_deadline_is_a_signal() {
    let _fake = beats(|_| Answer::ok());
    let handle = open("{\"attempt_remaining_ms\":300,\"initial_details\":\"\"}");
    assert!(activity::signals(handle).unwrap().is_empty());
    until(handle, Signals::DEADLINE, true);
}

#[test]
fn refused_beats_are_repeated_until_the_server_accepts() {
    let _fake = beats(|call| if call.nth == 0 { Answer::error(7) } else { Answer::ok() });
    let handle = open("{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}");
    record(handle, "1").unwrap();
    until(handle, Signals::REFUSED, true);
    assert_eq!(info(handle)["last_error"]["name"], "THB_PERMISSION_DENIED");
    until(handle, Signals::REFUSED, false);
}

#[test]
fn pulse_does_not_erase_details_that_cannot_be_fetched() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Answer::error(14),
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":1000}");
    until(handle, Signals::UNSEEDED, true);
    assert_eq!(fake.calls(BEAT).len(), 0);
    record(handle, "1").unwrap();
    until(handle, Signals::UNSEEDED, false);
    fake.wait_for(BEAT, 1);
    assert!(fake.calls(BEAT)[0].has(b"json/plain"));
}

#[test]
fn silent_connection_is_replaced_before_the_lease_expires() {
    let fake = beats(|call| if call.nth == 0 { Answer::Freeze } else { Answer::ok() });
    let handle = open("{\"heartbeat_timeout_ms\":4000,\"initial_details\":\"\"}");
    let started = Instant::now();
    record(handle, "1").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let calls = fake.calls(BEAT);
    assert!(calls[1].connection > calls[0].connection);
    assert!(!activity::signals(handle).unwrap().contains(Signals::LEASE_LOST));
}

#[test]
fn cancel_and_reset_stay_set_and_paused_follows_the_newest_beat() {
    let fake = beats(|call| match call.nth {
        0 => Answer::Message(vec![0x08, 1, 0x10, 1, 0x18, 1]),
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}");
    record(handle, "1").unwrap();
    let signals = until(handle, Signals::PAUSED, true);
    assert!(signals.contains(Signals::CANCEL_REQUESTED | Signals::RESET));
    let signals = until(handle, Signals::PAUSED, false);
    assert!(signals.contains(Signals::CANCEL_REQUESTED | Signals::RESET));
    assert!(fake.calls(BEAT).len() >= 2, "the pulse continues while paused");
}

#[test]
fn failure_carries_the_last_record() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    record(handle, "\"first\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"second\"").unwrap();
    activity::fail(handle, b"{\"message\":\"broken\"}", LONG).and_then(rpc::Call::wait).unwrap();
    let failed = &fake.calls("RespondActivityTaskFailed")[0];
    assert!(failed.has(b"\"second\"") && failed.has(b"broken"));
    assert_eq!(fake.calls(BEAT).len(), 1);
}

#[test]
fn last_record_is_sent_before_a_reported_cancellation() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    record(handle, "\"first\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"second\"").unwrap();
    activity::report_cancelled(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT)[1].has(b"\"second\""));
    assert!(fake.calls("RespondActivityTaskCanceled")[0].at > fake.calls(BEAT)[1].at);
}

#[test]
fn ended_activity_is_readable_and_sends_nothing() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":400,\"initial_details\":\"\"}");
    activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
    let beats = fake.calls(BEAT).len();
    assert_eq!(record(handle, "1").unwrap_err().status(), Status::Ended);
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Ended
    );
    assert_eq!(
        activity::flush(handle, LONG).and_then(rpc::Call::wait).map_err(|error| error.status()),
        Ok(()),
        "there is nothing unsent"
    );
    let signals = activity::wait(
        handle,
        Signals::LEASE_LOST,
        Signals::default(),
        Timeout::Within(Duration::from_secs(1)),
    );
    assert!(signals.unwrap().is_empty(), "an ended activity has no lease to lose");
    assert_eq!(fake.calls(BEAT).len(), beats);
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(activity::signals(handle).unwrap_err().status(), Status::InvalidHandle);
}

#[test]
fn beats_continue_after_a_failed_ending_call() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "RespondActivityTaskCompleted" if call.nth == 0 => Answer::error(3),
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":500,\"initial_details\":\"\"}");
    assert_eq!(
        activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::InvalidArgument
    );
    let beats = fake.calls(BEAT).len();
    fake.wait_for(BEAT, beats + 2);
    activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn ending_call_waits_for_the_beat_in_flight() {
    let fake = beats(|_| Answer::After(Duration::from_millis(300)));
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    record(handle, "1").unwrap();
    fake.wait_for(BEAT, 1);
    activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
    let completed = fake.calls("RespondActivityTaskCompleted")[0].at;
    assert!(completed - fake.calls(BEAT)[0].at >= Duration::from_millis(300));
}

#[test]
fn close_sends_the_last_record_unless_its_timeout_is_zero() {
    let fake = beats(|_| Answer::ok());
    let options = "{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}";
    let handle = open(options);
    record(handle, "\"first\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"second\"").unwrap();
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT)[1].has(b"\"second\""));
    assert_eq!(fake.calls("RespondActivityTaskCompleted").len(), 0, "closing ends nothing");

    let handle = open(options);
    record(handle, "\"third\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"lost\"").unwrap();
    assert_eq!(
        activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
    assert_eq!(activity::signals(handle).unwrap_err().status(), Status::InvalidHandle);
    assert!(!fake.calls(BEAT).iter().any(|call| call.has(b"lost")));
}

#[test]
fn token_has_one_holder() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"initial_details\":\"\"}");
    let refused = [
        activity::open(TOKEN, b"").map(drop),
        rpc::heartbeat(TOKEN, None, LONG).and_then(rpc::Call::wait).map(drop),
        rpc::complete(TOKEN, None, LONG).and_then(rpc::Call::wait),
        rpc::fail(TOKEN, b"", LONG).and_then(rpc::Call::wait),
        rpc::report_cancelled(TOKEN, None, LONG).and_then(rpc::Call::wait),
    ];
    assert!(refused.into_iter().all(|outcome| outcome.unwrap_err().status() == Status::AlreadyOpen));
    rpc::get_details(TOKEN, LONG).and_then(rpc::Call::wait).unwrap();
    activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    rpc::heartbeat(TOKEN, None, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 1);
}

#[test]
fn refused_record_keeps_the_previous_one() {
    let fake = beats(|_| Answer::ok());
    let handle = open("{\"heartbeat_timeout_ms\":60000,\"initial_details\":\"\"}");
    record(handle, "\"kept\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"newer\"").unwrap();
    let refused = |encoding, data: &[u8]| activity::record(handle, encoding, data).unwrap_err().status();
    assert_eq!(refused(Encoding::None, b""), Status::InvalidArgument);
    assert_eq!(refused(Encoding::Json, b"{"), Status::InvalidArgument);
    assert_eq!(refused(Encoding::Binary, &vec![0; 2 * 1024 * 1024]), Status::TooLarge);
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT)[1].has(b"\"newer\""));
}

#[test]
fn invalid_handles_are_refused_by_every_function() {
    let _fake = beats(|_| Answer::ok());
    let closed = open("");
    activity::close(closed, LONG).and_then(rpc::Call::wait).unwrap();
    let reused = open("");
    assert_ne!(closed, reused);
    for number in [0, closed, reused + 1, 1 << 52, u64::MAX] {
        let outcomes = [
            record(number, "1").map(drop),
            activity::touch(number).map(drop),
            activity::signals(number).map(drop),
            activity::wait(number, ALL, ALL, LONG).map(drop),
            activity::details(number, LONG).and_then(rpc::Call::wait).map(drop),
            activity::info(number).map(drop),
            activity::flush(number, LONG).and_then(rpc::Call::wait),
            activity::complete(number, None, LONG).and_then(rpc::Call::wait),
            activity::fail(number, b"", LONG).and_then(rpc::Call::wait),
            activity::report_cancelled(number, None, LONG).and_then(rpc::Call::wait),
            activity::close(number, LONG).and_then(rpc::Call::wait),
            activity::add_to_watch(number, reused, ALL, 0),
            activity::next_of_watch(number, LONG).map(drop),
            activity::open_watch_fd(number).map(drop),
            activity::close_watch(number),
        ];
        for outcome in outcomes {
            assert_eq!(outcome.unwrap_err().status(), Status::InvalidHandle, "{number:#x}");
        }
    }
}

#[test]
fn waiting_threads_wake_on_close_and_on_disconnect() {
    let _fake = beats(|_| Answer::ok());
    for disconnect in [false, true] {
        let handle = open("{\"initial_details\":\"\"}");
        thread::scope(|scope| {
            let waiter = scope.spawn(|| activity::wait(handle, ALL, Signals::default(), LONG));
            // The result is the same whether the thread already waits or not.
            if disconnect {
                rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
            } else {
                activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap();
            }
            let status = waiter.join().unwrap().unwrap_err().status();
            assert!(
                status == Status::InvalidHandle || disconnect && status == Status::NotConnected,
                "{status:?}"
            );
        });
    }
}

#[test]
fn disconnect_sends_the_last_record_of_every_activity() {
    let fake = beats(|_| Answer::ok());
    for n in 0..20_u8 {
        let token = [TOKEN, &[0x3a, 1, n]].concat();
        let handle = activity::open(&token, b"{\"initial_details\":\"\"}").unwrap();
        record(handle, "\"first\"").unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        record(handle, &format!("\"last of {n}\"")).unwrap();
    }
    rpc::disconnect(LONG).and_then(rpc::Call::wait).unwrap();
    for n in 0..20 {
        let last = format!("\"last of {n}\"");
        assert!(fake.calls(BEAT).iter().any(|call| call.has(last.as_bytes())), "{last}");
    }
}

#[test]
fn watch_reports_each_change_once_and_signals_its_descriptor() {
    let _fake =
        beats(|call| if call.has(b"\"cancel\"") { Answer::Message(vec![0x08, 1]) } else { Answer::ok() });
    let watch = activity::open_watch().unwrap();
    let handles: Vec<_> = (0..10_u8)
        .map(|n| {
            let handle =
                activity::open(&[TOKEN, &[0x3a, 1, n]].concat(), b"{\"initial_details\":\"\"}").unwrap();
            activity::add_to_watch(watch, handle, Signals::CANCEL_REQUESTED, n.into()).unwrap();
            handle
        })
        .collect();
    assert_eq!(activity::next_of_watch(watch, Timeout::Zero).unwrap(), None);
    for (n, handle) in handles.iter().enumerate() {
        record(*handle, if n % 3 == 0 { "\"cancel\"" } else { "\"go on\"" }).unwrap();
    }
    let mut told: Vec<_> = (0..4).map(|_| activity::next_of_watch(watch, LONG).unwrap().unwrap()).collect();
    told.sort_by_key(|news| news.user_data);
    for (news, n) in told.iter().zip([0, 3, 6, 9]) {
        assert_eq!((news.activity, news.user_data), (handles[n], n as u64));
        assert!(news.signals.contains(Signals::CANCEL_REQUESTED));
    }
    assert_eq!(activity::next_of_watch(watch, Timeout::Zero).unwrap(), None);
    activity::close_watch(watch).unwrap();
}

#[test]
fn watch_reports_signals_set_by_time() {
    let _fake = beats(|_| Answer::Silence);
    let watch = activity::open_watch().unwrap();
    let handle = open("{\"heartbeat_timeout_ms\":700,\"initial_details\":\"\"}");
    activity::add_to_watch(watch, handle, Signals::LEASE_LOST, 7).unwrap();
    let news = activity::next_of_watch(watch, LONG).unwrap().unwrap();
    assert!(news.signals.contains(Signals::LEASE_LOST) && news.user_data == 7);
}

/// Opens the activity with this number. Each workflow has five activities.
fn open_one_of_many(number: usize, options: &str) -> u64 {
    let number = u16::try_from(number).unwrap();
    let (activity, workflow) = (number.to_be_bytes(), (number / 5).to_be_bytes());
    let token = [b"\x0a\x01n\x1a\x01r\x28\x01\x32\x02", &activity[..], b"\x12\x02", &workflow[..]].concat();
    activity::open(&token, options.as_bytes()).unwrap()
}

#[test]
fn many_activities_beat_in_time_with_few_requests_per_workflow() {
    const COUNT: usize = 1000;
    let fake = beats(|_| Answer::After(Duration::from_millis(5)));
    let started = Instant::now();
    for number in 0..COUNT {
        open_one_of_many(number, "{\"heartbeat_timeout_ms\":10000,\"initial_details\":\"\"}");
    }
    fake.wait_for(BEAT, COUNT);
    assert!(started.elapsed() < Duration::from_secs(10), "within the timeout: {:?}", started.elapsed());
}

#[test]
fn activities_that_lost_their_connection_return_spread_over_time_on_one_connection() {
    const COUNT: usize = 600;
    const DOWN: Duration = Duration::from_secs(4);
    const WINDOW: Duration = Duration::from_millis(100);
    let first = OnceLock::new();
    let fake = beats(move |call| {
        let down = call.at - *first.get_or_init(|| call.at) < DOWN;
        if down { Answer::Close } else { Answer::ok() }
    });
    let opened: Vec<_> = (0..COUNT)
        .map(|number| open_one_of_many(number, "{\"heartbeat_timeout_ms\":20000,\"initial_details\":\"\"}"))
        .collect();
    for handle in &opened {
        record(*handle, "1").unwrap();
    }
    for handle in &opened {
        activity::flush(*handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
    let calls = fake.calls(BEAT);
    let landed: Vec<_> = calls.iter().filter(|call| call.at - calls[0].at >= DOWN).collect();
    let most = landed
        .iter()
        .map(|first| landed.iter().filter(|call| call.at >= first.at && call.at - first.at < WINDOW).count());
    // All of them failed together four seconds ago.
    let most = most.max().unwrap_or_default();
    assert!(most < COUNT * 3 / 4, "{most} within {WINDOW:?}");
    let connections: HashSet<_> = landed.iter().map(|call| call.connection).collect();
    // Some beats may have been in flight on the connection that was closed last.
    assert!(connections.len() <= 2, "{connections:?}");
}

#[test]
fn timed_out_flush_keeps_the_throttle() {
    let fake =
        beats(
            |call| if call.nth == 0 { Answer::error(14) } else { Answer::After(Duration::from_millis(20)) },
        );
    let handle = open("{\"heartbeat_timeout_ms\":4000,\"initial_details\":\"\"}");
    record(handle, "0").unwrap();
    fake.wait_for(BEAT, 1);
    let error = activity::flush(handle, Timeout::Within(Duration::from_millis(10)))
        .and_then(rpc::Call::wait)
        .unwrap_err();
    assert_eq!(error.status(), Status::Unavailable);
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(1500) {
        record(handle, "1").unwrap();
        thread::yield_now();
    }
    let beats = fake.calls(BEAT).len();
    assert!(beats <= 3, "{beats}: the failed one, the flushed one, and one that is due afterwards");
}

#[test]
fn unreadable_token_opens_only_without_details_to_fetch() {
    let fake = beats(|_| Answer::ok());
    for options in ["", "{\"heartbeat_timeout_ms\":1000}"] {
        let refused = activity::open(b"no token", options.as_bytes()).unwrap_err();
        assert_eq!(refused.status(), Status::TokenUnreadable, "{refused}");
    }
    assert_eq!(activity::open(b"", b"").unwrap_err().status(), Status::InvalidArgument);
    for (nth, options) in ["{\"initial_details\":\"\"}", "{\"pulse\":false}"].iter().enumerate() {
        let handle = activity::open(b"no token", options.as_bytes()).unwrap();
        record(handle, "1").unwrap();
        activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
        assert!(fake.calls(BEAT)[nth].has(b"no token"));
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
}

#[test]
fn absent_details_read_as_none_and_are_never_erased() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Described { attempt: 1, ..Described::default() }.pending(),
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":1000}");
    assert!(activity::details(handle, LONG).and_then(rpc::Call::wait).unwrap().values().is_empty());
    fake.wait_for(BEAT, 2);
    assert!(!fake.calls(BEAT)[0].has(b"encoding"));
    assert!(!activity::signals(handle).unwrap().contains(Signals::UNSEEDED));
}

#[test]
fn lease_survives_a_black_hole_whose_connections_never_recover() {
    const TIMEOUT: Duration = Duration::from_secs(6);
    let swallowed = Mutex::new(Vec::new());
    // The black hole begins with the first beat, because this test may first wait for other tests.
    let began = OnceLock::new();
    let fake = beats(move |call| {
        let mut swallowed = swallowed.lock().unwrap();
        let began = *began.get_or_init(|| call.at);
        let in_the_hole = call.nth > 0 && call.at - began < TIMEOUT * 6 / 10;
        if in_the_hole {
            swallowed.push(call.connection);
        }
        if swallowed.contains(&call.connection) { Answer::Freeze } else { Answer::ok() }
    });
    let handle = open("{\"heartbeat_timeout_ms\":6000,\"initial_details\":\"\"}");
    record(handle, "\"before\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    record(handle, "\"in it\"").unwrap();
    while info(handle)["pending"] == true {
        let signals = activity::wait(handle, Signals::LEASE_LOST, Signals::default(), MOMENT).unwrap();
        assert!(signals.is_empty(), "{signals:?}: {}", info(handle));
    }
    let calls = fake.calls(BEAT);
    assert!(calls.len() >= 3 && calls.last().unwrap().has(b"\"in it\""), "{calls:?}");
    assert_eq!(info(handle)["leases_regained"], 0);
}

#[test]
fn pulse_survives_every_bad_answer() {
    const BAD: usize = 20;
    let fake = beats(|call| match call.nth {
        // not_found.rs tests NOT_FOUND, which is looked up.
        4 => Answer::Silence,
        code @ 0..16 => Answer::error(i32::try_from(code).unwrap() + 1),
        16 => Answer::Close,
        17 => Answer::Http(502),
        18 => Answer::Message(vec![0xff]),
        19 => Answer::Raw { body: vec![1, 2, 3], grpc_status: None },
        _ => Answer::ok(),
    });
    let handle = open("{\"heartbeat_timeout_ms\":400,\"initial_details\":\"\"}");
    fake.wait_for(BEAT, BAD + 2);
    assert_eq!(until(handle, Signals::LEASE_LOST, false), Signals::default());
    let told = info(handle);
    assert!(told["state"] == "open" && told["failed_tries"].as_u64() >= Some(BAD as u64), "{told}");
}
