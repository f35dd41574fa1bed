//! Metrics and log records, with servers that answer in every way.

use std::{
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use temporal_heartbeat::{
    api::{activity, rpc},
    model::{
        deadline::Timeout,
        payload::{Encoding, Payloads},
        signals::Signals,
        status::Status,
    },
};

use crate::fake::{Answer, Call, Described, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const OPTIONS: &str = "{\"heartbeat_timeout_ms\":1000,\"initial_details\":\"\"}";

/// Starts a server with this answer to beats, and a client of a separate namespace, so that its metrics start at 0.
fn beats(namespace: &str, answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Fake {
    let fake = Fake::start(move |call| match call.method.as_str() {
        BEAT => answer(call),
        "DescribeWorkflowExecution" => Described { attempt: 1, ..Described::default() }.pending(),
        _ => Answer::ok(),
    });
    records();
    fake.connect(&format!(",\"namespace\":\"{namespace}\"")).unwrap();
    fake
}

/// Returns a token other than [`TOKEN`], for each number.
fn token(number: usize) -> Vec<u8> {
    let id = format!("a{number:04}");
    [b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x05", id.as_bytes()].concat()
}

fn json(text: &str) -> Option<Payloads> {
    Some(Payloads::from_json_values([text]))
}

/// Returns all pending log records.
fn records() -> Vec<Value> {
    let next = || rpc::next_log(Timeout::Zero).unwrap();
    std::iter::from_fn(next).map(|record| serde_json::from_str(&record).unwrap()).collect()
}

/// Waits for a log record of this event, and drops the records before it.
fn record(event: &str) -> Value {
    loop {
        let record = rpc::next_log(LONG).unwrap().unwrap_or_else(|| panic!("{event} never came"));
        let record: Value = serde_json::from_str(&record).unwrap();
        if record["event"] == event {
            return record;
        }
    }
}

/// Returns the value of the sample with this name and these labels, in addition to the common labels. Returns 0 when there is none.
fn figure(metrics: &str, name: &str, labels: &str) -> f64 {
    let find = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && line.contains(&format!("{labels}}}"))
    };
    metrics.lines().find(find).map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Waits until a value is at least `least`.
fn until(name: &str, labels: &str, least: f64) -> String {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let metrics = rpc::metrics().unwrap();
        if figure(&metrics, name, labels) >= least {
            return metrics;
        }
        assert!(Instant::now() < end, "{name}{{{labels}}} never was {least}\n{metrics}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tries_are_counted_by_operation_and_code() {
    let _fake = beats("counted", |call| match call.nth {
        0 => Answer::Error { code: 14, detail: "", trailers_only: true },
        3 => Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true },
        _ => Answer::ok(),
    });
    rpc::heartbeat(TOKEN, json("1"), LONG).and_then(rpc::Call::wait).unwrap();
    rpc::heartbeat(TOKEN, json("2"), LONG).and_then(rpc::Call::wait).unwrap();
    rpc::heartbeat(TOKEN, json("3"), LONG).and_then(rpc::Call::wait).unwrap_err();
    let metrics = rpc::metrics().unwrap();
    let beat = format!("operation=\"{BEAT}\"");
    assert!(
        metrics.contains(&format!(
            "temporal_request{{namespace=\"counted\",service_name=\"temporal-heartbeat\",{beat}}} 4\n"
        )),
        "{metrics}"
    );
    for code in ["UNAVAILABLE", "NOT_FOUND"] {
        let labels = format!("{beat},status_code=\"{code}\"");
        assert_eq!(figure(&metrics, "temporal_request_failure", &labels), 1.0, "{metrics}");
    }
    assert_eq!(figure(&metrics, "temporal_request_latency_count", &beat), 4.0);
    assert!(figure(&metrics, "temporal_request_latency_sum", &beat) < 5.0, "in seconds");
    assert_eq!(figure(&metrics, "temporal_request", "operation=\"GetSystemInfo\""), 1.0);
    assert_eq!(
        figure(&metrics, "temporal_heartbeat_beats_sent", ""),
        3.0,
        "counts calls; each try is a request"
    );
}

#[test]
fn beats_leases_and_signals_of_open_activities_are_counted() {
    let fake = beats("beats", |call| match call.nth {
        0 => Answer::After(Duration::from_millis(100)),
        1 => Answer::Message(vec![1 << 3, 1]), // cancel_requested
        _ => Answer::ok(),
    });
    let handle = activity::open(TOKEN, OPTIONS.as_bytes()).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    fake.wait_for(BEAT, 1);
    for item in 2..10 {
        activity::record(handle, Encoding::Json, item.to_string().as_bytes()).unwrap();
    }
    activity::wait(handle, Signals::CANCEL_REQUESTED, Signals::default(), LONG).unwrap();
    let metrics = until("temporal_heartbeat_signals", "signal=\"cancel_requested\"", 1.0);
    assert_eq!(figure(&metrics, "temporal_heartbeat_beats_coalesced", ""), 7.0, "{metrics}");
    assert!(figure(&metrics, "temporal_heartbeat_beats_sent", "") >= 2.0);
    assert!(figure(&metrics, "temporal_heartbeat_lease_margin_ratio_count", "") >= 2.0);
    assert_eq!(figure(&metrics, "temporal_heartbeat_activities_open", ""), 1.0);
    assert_eq!(figure(&metrics, "temporal_heartbeat_signals", "signal=\"lease_lost\""), 0.0);
    let told = record("signal");
    assert_eq!((&told["signal"], &told["activity_id"]), (&"cancel_requested".into(), &"a".into()));
    activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    assert_eq!(figure(&rpc::metrics().unwrap(), "temporal_heartbeat_activities_open", ""), 0.0);
}

#[test]
fn refusals_and_lost_leases_are_logged_with_their_end() {
    let fake = beats("refused", |call| {
        let refused = call.at.elapsed() < Duration::from_secs(60) && (1..6).contains(&call.nth);
        if refused { Answer::Error { code: 7, detail: "", trailers_only: true } } else { Answer::ok() }
    });
    let handle = activity::open(TOKEN, OPTIONS.as_bytes()).unwrap();
    fake.wait_for(BEAT, 2);
    let refused = record("beats_refused");
    assert_eq!(refused["level"], "error");
    assert!(refused["message"].as_str().unwrap().contains("the fake says so"), "{refused}");
    assert_eq!(record("lease_lost")["level"], "warn");
    assert_eq!(record("lease_regained")["activity"], handle);
    let metrics = rpc::metrics().unwrap();
    assert!(figure(&metrics, "temporal_heartbeat_beats_refused", "") >= 2.0, "{metrics}");
    assert_eq!(figure(&metrics, "temporal_heartbeat_signals", "signal=\"lease_lost\""), 1.0);
}

#[test]
fn log_records_are_limited_while_the_server_is_down() {
    let fake = beats("down", |_| Answer::error(14));
    let handles: Vec<_> =
        (0..300).map(|number| activity::open(&token(number), OPTIONS.as_bytes()).unwrap()).collect();
    for handle in &handles {
        activity::record(*handle, Encoding::Json, b"1").unwrap();
    }
    fake.wait_for(BEAT, 2000);
    until("temporal_heartbeat_signals", "signal=\"lease_lost\"", 300.0);
    let records = records();
    let count = |event: &str| records.iter().filter(|record| record["event"] == event).count();
    // The limits are 5 at once and one more per 10 s, and 20 at once and one more per second.
    assert!((1..=8).contains(&count("request_failed")), "{records:?}");
    assert!((1..=60).contains(&count("lease_lost")), "{}", count("lease_lost"));
    assert!(records.len() < 100, "{}", records.len());
}

#[test]
fn new_connection_is_counted_and_logged() {
    let _fake = beats("again", |call| if call.nth == 0 { Answer::Close } else { Answer::ok() });
    rpc::heartbeat(TOKEN, json("1"), LONG).and_then(rpc::Call::wait).unwrap();
    let metrics = rpc::metrics().unwrap();
    assert_eq!(figure(&metrics, "temporal_heartbeat_reconnects", ""), 1.0, "{metrics}");
    assert_eq!(record("connected")["connection"], 0);
    assert_eq!(record("request_failed")["operation"], BEAT);
    assert_eq!(record("connected")["connection"], 1);
    rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    record("disconnected");
}

#[test]
fn failed_connect_is_logged_with_its_cause() {
    let fake = beats("nobody", |_| Answer::ok());
    rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    drop(fake);
    let nobody = Fake::start(|_| Answer::ok());
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = format!("{{\"address\":\"{closed}\",\"connect_timeout_ms\":200}}");
    rpc::connect(options.as_bytes()).and_then(rpc::Call::wait).unwrap_err();
    let failed = record("connect_failed");
    assert_eq!((&failed["level"], &failed["peer"]), (&"warn".into(), &closed.to_string().into()));
    assert!(failed["message"].as_str().unwrap().contains("nothing listens there"), "{failed}");
    assert!(figure(&rpc::metrics().unwrap(), "temporal_heartbeat_connect_failures", "") >= 1.0);
    drop(nobody);
}

#[test]
fn telemetry_contains_no_tokens_or_details() {
    let secret = b"s3cr3t-of-a-token";
    let token = [b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x01a\x42\x11".as_slice(), secret].concat();
    let fake = beats("secret", |call| match call.nth % 4 {
        0 => Answer::error(14),
        1 => Answer::Error { code: 7, detail: "", trailers_only: true },
        2 => Answer::Close,
        _ => Answer::ok(),
    });
    let handle = activity::open(&token, OPTIONS.as_bytes()).unwrap();
    activity::record(handle, Encoding::Json, b"\"s3cr3t-details\"").unwrap();
    activity::flush(handle, Timeout::Within(Duration::from_millis(300))).and_then(rpc::Call::wait).ok();
    fake.wait_for(BEAT, 6);
    activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    rpc::heartbeat(
        b"s3cr3t-garbage",
        json("\"s3cr3t-details\""),
        Timeout::Within(Duration::from_millis(500)),
    )
    .and_then(rpc::Call::wait)
    .ok();
    let told: String = records().iter().map(|record| format!("{record}\n")).collect();
    assert!(told.contains("beats_refused") && told.contains("request_failed"), "{told}");
    let shown = told + &rpc::metrics().unwrap();
    let encoded = BASE64_STANDARD.encode(&token);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    for form in ["s3cr3t", &encoded, encoded.get(8..20).unwrap(), &hex] {
        assert!(!shown.contains(form), "{form}: {shown}");
    }
}

#[test]
fn details_near_the_limit_are_logged() {
    let _fake = beats("large", |_| Answer::ok());
    rpc::heartbeat(TOKEN, json(&format!("\"{}\"", "x".repeat(600 * 1024))), LONG)
        .and_then(rpc::Call::wait)
        .unwrap();
    let warned = record("large");
    assert_eq!((&warned["level"], &warned["limit"]), (&"warn".into(), &(2 << 20).into()));
    assert!(warned["bytes"].as_u64().unwrap() > 600 * 1024);
    rpc::heartbeat(TOKEN, json("1"), LONG).and_then(rpc::Call::wait).unwrap();
    assert!(!records().iter().any(|record| record["event"] == "large"));
}

/// A namespace with a limit of a thousand bytes.
fn small_namespace() -> Answer {
    let limits = [1 << 3, 0xe8, 0x07];
    let info = [&[8 << 3 | 2, 3][..], &limits].concat();
    Answer::Message([&[1 << 3 | 2, u8::try_from(info.len()).unwrap()][..], &info].concat())
}

#[test]
fn lazy_client_applies_the_limits_after_its_first_call() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "DescribeNamespace" => small_namespace(),
        _ => Answer::ok(),
    });
    fake.connect(",\"lazy\":true").unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(fake.connections(), 0, "nothing is sent before the first call");
    rpc::heartbeat(TOKEN, json("1"), LONG).and_then(rpc::Call::wait).unwrap();
    fake.wait_for("DescribeNamespace", 1);
    let large = json(&format!("\"{}\"", "x".repeat(2000)));
    let end = Instant::now() + Duration::from_secs(30);
    while rpc::heartbeat(TOKEN, large.clone(), LONG).and_then(rpc::Call::wait).is_ok() {
        assert!(Instant::now() < end, "the limit is never applied");
    }
    let handle = activity::open(TOKEN, OPTIONS.as_bytes()).unwrap();
    let refused = activity::record(handle, Encoding::Json, format!("\"{}\"", "x".repeat(2000)).as_bytes());
    assert_eq!(refused.unwrap_err().status(), Status::TooLarge);
}

#[test]
fn require_encoded_sends_no_readable_details() {
    let fake = Fake::start(|_| Answer::ok());
    fake.connect(",\"require_encoded\":true").unwrap();
    let readable = || json("\"clear\"");
    let refused = [
        rpc::heartbeat(TOKEN, readable(), LONG).and_then(rpc::Call::wait).map(drop),
        rpc::complete(TOKEN, readable(), LONG).and_then(rpc::Call::wait),
        rpc::report_cancelled(TOKEN, readable(), LONG).and_then(rpc::Call::wait),
        rpc::fail(TOKEN, br#"{"details":["clear"]}"#, LONG).and_then(rpc::Call::wait),
        rpc::fail(TOKEN, br#"{"cause":{"details":["clear"]}}"#, LONG).and_then(rpc::Call::wait),
        rpc::fail(TOKEN, br#"{"heartbeat_details":["clear"]}"#, LONG).and_then(rpc::Call::wait),
        // A Payloads with one JSON value.
        activity::open(
            TOKEN,
            br#"{"initial_details":"CiMKFgoIZW5jb2RpbmcSCmpzb24vcGxhaW4SCSJiZWZvcmUgIg=="}"#,
        )
        .map(drop),
    ];
    for (way, outcome) in refused.into_iter().enumerate() {
        let error = outcome.unwrap_err();
        assert_eq!(error.status(), Status::InvalidArgument, "{way}: {error}");
        assert!(error.message().contains("require_encoded"), "{way}: {error}");
    }
    let handle = activity::open(TOKEN, OPTIONS.as_bytes()).unwrap();
    for outcome in [
        activity::record(handle, Encoding::Json, b"\"clear\"").map(drop),
        activity::record(handle, Encoding::Binary, b"clear").map(drop),
        activity::complete(handle, readable(), LONG).and_then(rpc::Call::wait),
        activity::report_cancelled(handle, readable(), LONG).and_then(rpc::Call::wait),
        activity::fail(handle, br#"{"details":["clear"]}"#, LONG).and_then(rpc::Call::wait),
    ] {
        assert_eq!(outcome.unwrap_err().status(), Status::InvalidArgument);
    }
    // One value with the encoding "binary/encrypted".
    let encrypted = b"\x0a\x20\x0a\x1c\x0a\x08encoding\x12\x10binary/encrypted\x12\x00";
    activity::record(handle, Encoding::Payloads, encrypted).unwrap();
    activity::record(handle, Encoding::Null, b"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    activity::complete(handle, None, LONG).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(BEAT).iter().all(|call| !call.has(b"clear")));
    assert_eq!(fake.calls("RespondActivityTaskCompleted").len(), 1);
}

/// Sends an HTTP request, and returns the answer.
fn fetch(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_served_until_disconnect() {
    let fake = Fake::start(|_| Answer::ok());
    records();
    fake.connect(",\"namespace\":\"fetched\",\"metrics_address\":\"127.0.0.1:0\"").unwrap();
    let address = record("metrics_served")["address"].as_str().unwrap().to_owned();
    rpc::heartbeat(TOKEN, json("1"), LONG).and_then(rpc::Call::wait).unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = fetch(&address, request);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("version=0.0.4"), "{head}");
    assert_eq!(figure(body, "temporal_request", &format!("operation=\"{BEAT}\"")), 1.0);

    // Connections that send nothing delay neither other HTTP clients nor the beats.
    let idle: Vec<_> = (0..20).map(|_| TcpStream::connect(&address).unwrap()).collect();
    assert!(fetch(&address, request).starts_with("HTTP/1.1 200 OK"));
    rpc::heartbeat(TOKEN, json("2"), LONG).and_then(rpc::Call::wait).unwrap();
    drop(idle);

    // Another client can use the address as soon as this client has disconnected.
    for _ in 0..3 {
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        fake.connect(&format!(",\"metrics_address\":\"{address}\"")).unwrap();
    }
    assert!(fetch(&address, request).starts_with("HTTP/1.1 200 OK"));
    rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < end, "it is still served");
    }
}

#[test]
fn connect_refuses_an_unusable_metrics_address() {
    let fake = Fake::start(|_| Answer::ok());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, why) in [
        (taken.local_addr().unwrap().to_string(), "in use"),
        ("localhost:9464".to_owned(), "ip:port"),
        ("192.0.2.1:9464".to_owned(), "can't listen"),
    ] {
        let refused = fake.connect(&format!(",\"metrics_address\":\"{address}\"")).unwrap_err();
        assert_eq!(refused.status(), Status::Config);
        assert!(
            refused.message().contains("metrics_address") && refused.message().contains(why),
            "{refused}"
        );
    }
    fake.connect("").unwrap();
}
