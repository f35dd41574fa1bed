//! Invalid answers become errors. Nothing hangs, crashes or is accepted.

use std::time::Duration;

use temporal_heartbeat::{
    api::rpc,
    model::{deadline::Timeout, status::Status},
};

use crate::fake::{Answer, Fake, TOKEN, frame};

/// The timeout. A retried error uses all of it, and a busy machine has answered once within it.
const SHORT: Timeout = Timeout::Within(Duration::from_secs(1));

#[test]
fn invalid_answers_are_errors_that_name_the_cause() {
    let raw = |body: &[u8], grpc_status| (body.to_vec(), grpc_status);
    for ((body, grpc_status), status, message) in [
        (raw(&frame(b"\xff\xff"), Some("0")), Status::ServerError, "can't be read"),
        (raw(b"", Some("0")), Status::Unavailable, "no header"),
        (raw(b"\0\0\0", Some("0")), Status::Unavailable, "no header"),
        (raw(b"\0\xff\xff\xff\xffx", Some("0")), Status::Unavailable, "length"),
        (raw(b"\0\0\0\0\x05abc", Some("0")), Status::Unavailable, "length"),
        (raw(b"\x01\0\0\0\0", Some("0")), Status::Unavailable, "compressed"),
        (raw(&frame(b""), None), Status::Unavailable, "without a gRPC status"),
        (raw(&frame(b""), Some("99")), Status::ServerError, ""),
        (raw(&frame(b""), Some("x")), Status::ServerError, ""),
    ] {
        let _fake = Fake::connected(move |call| match call.method.as_str() {
            "RecordActivityTaskHeartbeat" => Answer::Raw { body: body.clone(), grpc_status },
            _ => Answer::ok(),
        });
        let error = rpc::heartbeat(b"token", None, SHORT).and_then(rpc::Call::wait).unwrap_err();
        assert_eq!(error.status(), status, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

#[test]
fn http_error_of_a_gateway_is_named() {
    let fake = Fake::start(|_| Answer::Http(502));
    let error = fake.connect(",\"connect_timeout_ms\":1000").unwrap_err();
    assert_eq!(error.status(), Status::Unavailable);
    assert!(error.message().contains("HTTP status 502"), "{error}");
}

#[test]
fn gateway_http_401_and_403_have_their_own_status() {
    for (code, status) in [(401, Status::Unauthenticated), (403, Status::PermissionDenied)] {
        let _fake = Fake::connected(move |call| match call.method.as_str() {
            "RecordActivityTaskHeartbeat" => Answer::Http(code),
            _ => Answer::ok(),
        });
        let error = rpc::heartbeat(b"token", None, SHORT).and_then(rpc::Call::wait).unwrap_err();
        assert_eq!(error.status(), status);
        assert!(error.message().contains(&format!("HTTP status {code}")), "{error}");
    }
}

#[test]
fn workflow_without_the_activity_means_it_is_over() {
    let _fake = Fake::connected(|_| Answer::ok());
    let error = rpc::get_details(TOKEN, SHORT).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!(error.status(), Status::NotFound);
    assert!(error.message().contains("over"), "{error}");
}
