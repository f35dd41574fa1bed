//! Temporary errors are retried within the timeout. Other errors are returned at once.

use std::time::{Duration, Instant};

use temporal_heartbeat::{
    api::rpc,
    model::{deadline::Timeout, error::Error, signals::Signals, status::Status},
};

use crate::fake::{Answer, Call, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));

fn beat(timeout: Timeout) -> Result<Signals, Error> {
    rpc::heartbeat(TOKEN, None, timeout).and_then(rpc::Call::wait)
}

/// Starts a server that gives `answer` to the first heartbeat. Later heartbeats succeed.
fn first(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(
        move |call: &Call| if call.method == BEAT && call.nth == 0 { answer() } else { Answer::ok() },
    )
}

/// Starts a server that gives `answer` to every heartbeat.
fn always(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(move |call: &Call| if call.method == BEAT { answer() } else { Answer::ok() })
}

#[test]
fn temporary_errors_are_retried_and_final_ones_are_not() {
    let temporary = [1, 2, 4, 10, 13, 14, 15];
    // not_found.rs tests NOT_FOUND without Temporal's detail, which belongs to neither group.
    for code in (1..=16).filter(|code| *code != 5) {
        for trailers_only in [true, false] {
            let fake = first(move || Answer::Error { code, detail: "", trailers_only });
            let outcome = beat(LONG);
            let tries = fake.calls(BEAT).len();
            if temporary.contains(&code) {
                assert!(outcome.is_ok() && tries == 2, "code {code}: {outcome:?} after {tries}");
            } else {
                let error = outcome.unwrap_err();
                assert_eq!((error.grpc_code(), tries), (Some(code), 1), "{error}");
                assert!(!error.is_retryable() && error.message().contains("the fake says so"), "{error}");
            }
        }
    }
}

#[test]
fn every_code_has_its_status() {
    for (code, detail, status) in [
        (3, "", Status::InvalidArgument),
        (5, "NotFoundFailure", Status::NotFound),
        (5, "NamespaceNotFoundFailure", Status::NamespaceNotFound),
        (6, "", Status::FailedPrecondition),
        (7, "PermissionDeniedFailure", Status::PermissionDenied),
        (8, "", Status::ResourceExhausted),
        (9, "", Status::FailedPrecondition),
        (11, "", Status::ServerError),
        (12, "", Status::Unimplemented),
        (16, "", Status::Unauthenticated),
    ] {
        let _fake = always(move || Answer::Error { code, detail, trailers_only: false });
        assert_eq!(beat(LONG).unwrap_err().status(), status, "code {code} {detail}");
    }
}

#[test]
fn token_that_neither_side_can_read_is_unreadable() {
    for (code, detail) in [(3, ""), (5, "NamespaceNotFoundFailure")] {
        let _fake = always(move || Answer::Error { code, detail, trailers_only: false });
        let error = rpc::heartbeat(b"garbage", None, LONG).and_then(rpc::Call::wait).unwrap_err();
        assert_eq!((error.status(), error.grpc_code()), (Status::TokenUnreadable, Some(code)));
    }
}

#[test]
fn timed_out_call_returns_the_status_of_the_last_answer() {
    for (code, detail, status) in [
        (14, "", Status::Unavailable),
        (13, "", Status::ServerError),
        (9, "NamespaceNotActiveFailure", Status::NamespaceNotActive),
        (8, "ResourceExhaustedFailure", Status::ResourceExhausted),
    ] {
        let fake = always(move || Answer::Error { code, detail, trailers_only: true });
        let started = Instant::now();
        let error = beat(Timeout::Within(Duration::from_millis(1500))).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.is_retryable() && error.message().contains("gave up on"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(fake.calls(BEAT).len() >= if code == 8 { 1 } else { 3 });
    }
}

#[test]
fn resource_exhausted_is_retried_after_a_second() {
    let fake = first(|| Answer::Error { code: 8, detail: "ResourceExhaustedFailure", trailers_only: true });
    beat(LONG).unwrap();
    let calls = fake.calls(BEAT);
    assert!(calls[1].at - calls[0].at >= Duration::from_secs(1));
}

#[test]
fn silent_connection_is_replaced_within_the_timeout() {
    let fake = first(|| Answer::Freeze);
    let started = Instant::now();
    beat(Timeout::Within(Duration::from_secs(4))).unwrap();
    let calls = fake.calls(BEAT);
    assert!(calls[1].connection > calls[0].connection);
    assert!(started.elapsed() < Duration::from_secs(3), "half of the time is for the second try");
}

#[test]
fn silent_server_is_a_timeout_in_time() {
    let _fake = always(|| Answer::Silence);
    for ms in [1, 50, 700] {
        let timeout = Duration::from_millis(ms);
        let started = Instant::now();
        let error = beat(Timeout::Within(timeout)).unwrap_err();
        assert_eq!(error.status(), Status::Timeout, "{error}");
        assert!(error.is_retryable());
        assert!(started.elapsed() < timeout + Duration::from_secs(3), "{:?}", started.elapsed());
    }
}

#[test]
fn closed_connection_is_replaced_at_once() {
    let replace = || {
        let fake = first(|| Answer::Close);
        let started = Instant::now();
        beat(LONG).unwrap();
        assert_eq!(fake.connections(), 2);
        started.elapsed()
    };
    // A busy machine delays some of them. The first pause before a retry would delay all.
    let fastest = (0..10).map(|_| replace()).min().unwrap();
    assert!(fastest < Duration::from_millis(90), "no pause: {fastest:?}");
}

#[test]
fn late_answer_within_the_timeout_succeeds() {
    let fake = always(|| Answer::After(Duration::from_millis(400)));
    beat(Timeout::Within(Duration::from_secs(5))).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 1);
}

#[test]
fn call_without_timeout_outlasts_temporary_errors() {
    let fake =
        Fake::connected(
            |call| {
                if call.method == BEAT && call.nth < 3 { Answer::error(14) } else { Answer::ok() }
            },
        );
    beat(Timeout::Forever).unwrap();
    assert_eq!(fake.calls(BEAT).len(), 4);
}

#[test]
fn timeout_zero_checks_arguments_and_sends_nothing() {
    let fake = always(Answer::ok);
    assert_eq!(beat(Timeout::Zero).unwrap_err().status(), Status::Timeout);
    assert_eq!(
        rpc::heartbeat(b"", None, Timeout::Zero).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::InvalidArgument
    );
    assert_eq!(fake.calls(BEAT).len(), 0);
}

#[test]
fn signals_are_those_of_the_answer() {
    let all = Signals::CANCEL_REQUESTED | Signals::PAUSED | Signals::RESET;
    for (answer, signals) in [
        (vec![0x08, 1], Signals::CANCEL_REQUESTED),
        (vec![0x10, 1], Signals::PAUSED),
        (vec![0x18, 1], Signals::RESET),
        (vec![0x08, 1, 0x10, 1, 0x18, 1, 0x78, 1], all),
    ] {
        let _fake = always(move || Answer::Message(answer.clone()));
        assert_eq!(beat(LONG).unwrap(), signals);
    }
}

#[test]
fn requests_carry_identity_and_timeout() {
    let fake = Fake::start(|_| Answer::ok());
    fake.connect(",\"namespace\":\"ns\"").unwrap();
    beat(Timeout::Within(Duration::from_secs(5))).unwrap();
    let headers = &fake.calls(BEAT)[0].headers;
    assert_eq!(headers["client-name"], "temporal-heartbeat");
    assert_eq!(headers["temporal-namespace"], "ns");
    assert_eq!(headers["te"], "trailers");
    let timeout =
        headers["grpc-timeout"].to_str().unwrap().strip_suffix('m').unwrap().parse::<u32>().unwrap();
    assert!((2000..=2500).contains(&timeout), "half of five seconds, {timeout}");
}
