//! Requests and answers: compression, size, authority and number of tries.

use std::{
    io::{Read, Write},
    time::Duration,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use temporal_heartbeat::{
    api::{activity, rpc},
    model::{
        deadline::Timeout,
        payload::{Encoding, Payloads},
        status::Status,
    },
};

use crate::fake::{Answer, Call, Described, Fake, STANDALONE_TOKEN, TOKEN, frame};

const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const BEAT: &str = "RecordActivityTaskHeartbeat";

fn beat(bytes: usize) -> Result<(), temporal_heartbeat::model::error::Error> {
    let mut details = Payloads::default();
    details.push("details", Encoding::Json, format!("\"{}\"", "x".repeat(bytes)).as_bytes()).unwrap();
    rpc::heartbeat(b"token", Some(details), LONG).and_then(rpc::Call::wait).map(drop)
}

/// Returns the message of a request before compression.
fn decompressed(call: &Call) -> Vec<u8> {
    assert!(call.compressed && call.headers["grpc-encoding"] == "gzip");
    let mut message = Vec::new();
    GzDecoder::new(&*call.message).read_to_end(&mut message).unwrap();
    message
}

fn gzipped(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(message).unwrap();
    let mut frame = frame(&encoder.finish().unwrap());
    frame[0] = 1;
    frame
}

#[test]
fn requests_name_their_resource_for_proxies_that_route_by_it() {
    let fake = Fake::connected(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Described { attempt: 1, ..Described::default() }.pending(),
        "DescribeActivityExecution" => Described { attempt: 1, ..Described::default() }.standalone(),
        _ => Answer::ok(),
    });
    let by_ids = |workflow_id: &str| {
        let options = format!(
            r#"{{"workflow_id":"{workflow_id}","run_id":"r","activity_id":"a","heartbeat_timeout_ms":60000}}"#
        );
        activity::open(b"", options.as_bytes()).unwrap()
    };
    for (resource, token, workflow_id) in [("workflow:w", TOKEN, "w"), ("activity:a", STANDALONE_TOKEN, "")] {
        rpc::heartbeat(token, None, LONG).and_then(rpc::Call::wait).unwrap();
        rpc::complete(token, None, LONG).and_then(rpc::Call::wait).unwrap();
        rpc::fail(token, b"", LONG).and_then(rpc::Call::wait).unwrap();
        rpc::report_cancelled(token, None, LONG).and_then(rpc::Call::wait).unwrap();
        for end in [
            |handle| activity::complete(handle, None, LONG).and_then(rpc::Call::wait),
            |handle| activity::fail(handle, b"", LONG).and_then(rpc::Call::wait),
            |handle| activity::report_cancelled(handle, None, LONG).and_then(rpc::Call::wait),
        ] {
            let handle = by_ids(workflow_id);
            activity::record(handle, Encoding::Json, b"1").unwrap();
            activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
            end(handle).unwrap();
            activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
        }
        // The field's number in each request.
        for (method, number) in [
            (BEAT, 5),
            ("RespondActivityTaskCompleted", 8),
            ("RespondActivityTaskFailed", 9),
            ("RespondActivityTaskCanceled", 8),
            ("RecordActivityTaskHeartbeatById", 7),
            ("RespondActivityTaskCompletedById", 7),
            ("RespondActivityTaskFailedById", 8),
            ("RespondActivityTaskCanceledById", 8),
        ] {
            let field = [&[number << 3 | 2, 10], resource.as_bytes()].concat();
            let calls = fake.calls(method);
            assert!(!calls.is_empty() && calls.iter().all(|call| call.has(&field)), "{method} {resource}");
        }
        fake.forget();
    }
}

#[test]
fn large_requests_are_compressed_when_the_server_accepts_gzip() {
    let fake = Fake::connected(|_| Answer::TakingGzip(frame(b"")));
    beat(10_000).unwrap();
    beat(10).unwrap();
    let beats = fake.calls(BEAT);
    assert!(decompressed(&beats[0]).len() > 10_000 && beats[0].message.len() < 500);
    assert!(!beats[1].compressed && !beats[1].headers.contains_key("grpc-encoding"));
}

#[test]
fn requests_are_not_compressed_without_server_support_or_with_the_option_off() {
    let fake = Fake::connected(|_| Answer::ok());
    beat(10_000).unwrap();
    assert!(!fake.calls(BEAT)[0].compressed);
    drop(fake);
    let fake = Fake::start(|_| Answer::TakingGzip(frame(b"")));
    fake.connect(",\"compression\":\"none\"").unwrap();
    beat(10_000).unwrap();
    assert!(!fake.calls(BEAT)[0].compressed);
}

#[test]
fn request_is_resent_uncompressed_when_the_server_cannot_decompress() {
    let fake = Fake::connected(|call| match call.compressed {
        true => Answer::NoDecompressor,
        false => Answer::TakingGzip(frame(b"")),
    });
    beat(10_000).unwrap();
    beat(10_000).unwrap();
    let compressed: Vec<_> = fake.calls(BEAT).iter().map(|call| call.compressed).collect();
    assert_eq!(compressed, [true, false, false]);
}

#[test]
fn compressed_answers_are_read() {
    // Field 1, cancel_requested.
    let _fake = Fake::connected(|call| match call.method.as_str() {
        BEAT => Answer::TakingGzip(gzipped(b"\x08\x01")),
        _ => Answer::ok(),
    });
    assert_eq!(rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap().bits(), 1);
}

#[test]
fn messages_over_the_limit_are_neither_sent_nor_accepted() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Answer::TakingGzip(gzipped(&[0; 100_000])),
        _ => Answer::ok(),
    });
    fake.connect(",\"max_message_bytes\":5000").unwrap();
    let error = beat(6000).unwrap_err();
    assert_eq!(error.status(), Status::TooLarge);
    assert!(error.message().contains("max_message_bytes"), "{error}");
    assert!(fake.calls(BEAT).is_empty());
    let bomb = rpc::get_details(crate::fake::TOKEN, Timeout::Within(Duration::from_millis(300)))
        .and_then(rpc::Call::wait)
        .unwrap_err();
    assert!(bomb.message().contains("5000"), "{bomb}");
}

#[test]
fn requests_carry_the_configured_authority() {
    let fake = Fake::start(|_| Answer::ok());
    fake.connect(",\"authority\":\"temporal.example\"").unwrap();
    assert_eq!(fake.calls("GetSystemInfo")[0].authority, "temporal.example");
}

#[test]
fn tries_are_limited_by_the_retry_option() {
    for (retry, tries) in [("false", 1), ("{\"max_retries\":2,\"initial_interval_ms\":1}", 3)] {
        let fake = Fake::start(|call| match call.method.as_str() {
            BEAT => Answer::error(14),
            _ => Answer::ok(),
        });
        fake.connect(&format!(",\"retry\":{retry}")).unwrap();
        assert_eq!(beat(10).unwrap_err().status(), Status::Unavailable);
        assert_eq!(fake.calls(BEAT).len(), tries);
    }
}
