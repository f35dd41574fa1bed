//! What calls make of a server that misbehaves: the table of `docs/faults.md`, which this checks, and writes (THB_UPDATE_FAULTS=1).

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use temporal_heartbeat::{calls, deadline::Timeout, held, payload::Encoding};

use crate::fake::{Answer, Fake, TOKEN, frame};

const BEAT: &str = "RecordActivityTaskHeartbeat";
/// What the one call has.
const SHORT: Timeout = Timeout::Within(Duration::from_millis(500));
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));

const CODES: [&str; 17] = [
    "OK without a message",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

type Script = Box<dyn Fn() -> Answer + Send + Sync>;

fn faults() -> Vec<(String, Script)> {
    let raw = |body: &'static [u8], status: Option<&'static str>| -> Script {
        Box::new(move || Answer::Raw { body: body.to_vec(), grpc_status: status })
    };
    let mut all: Vec<(String, Script)> = vec![
        ("frozen: it takes the request and never answers".into(), Box::new(|| Answer::Silence)),
        ("the connection ends instead of an answer".into(), Box::new(|| Answer::Close)),
        ("the answer comes after 5 s".into(), Box::new(|| Answer::After(Duration::from_secs(5)))),
        ("a gateway's HTTP 502".into(), Box::new(|| Answer::Http(502))),
        (
            "a message that is no protobuf".into(),
            Box::new(|| Answer::Raw { body: frame(b"\xff\xff"), grpc_status: Some("0") }),
        ),
        ("a message that ends early".into(), raw(b"\0\0\0\0\x05abc", Some("0"))),
        ("a message that says it has 4 GiB".into(), raw(b"\0\xff\xff\xff\xffx", Some("0"))),
        ("a compressed message".into(), raw(b"\x01\0\0\0\0", Some("0"))),
        ("an answer without a gRPC status".into(), raw(b"\0\0\0\0\0", None)),
        ("a gRPC status that is no number".into(), raw(b"\0\0\0\0\0", Some("x"))),
        (
            "RESOURCE_EXHAUSTED, rate limited".into(),
            Box::new(|| Answer::Error { code: 8, detail: "ResourceExhaustedFailure", trailers_only: true }),
        ),
        (
            "NOT_FOUND, of the namespace".into(),
            Box::new(|| Answer::Error { code: 5, detail: "NamespaceNotFoundFailure", trailers_only: false }),
        ),
        (
            "FAILED_PRECONDITION, another cluster is active".into(),
            Box::new(|| Answer::Error { code: 9, detail: "NamespaceNotActiveFailure", trailers_only: true }),
        ),
    ];
    for (code, name) in (0..).zip(CODES) {
        let trailers_only = code % 2 == 1;
        let script: Script = match code {
            0 => raw(b"", Some("0")),
            _ => Box::new(move || Answer::Error { code, detail: "", trailers_only }),
        };
        all.push((format!("gRPC code {code}, {name}"), script));
    }
    all
}

/// One row: the fault, the status of one call with half a second, its time in tenths of a second, and what became of an activity held open.
fn row(name: &str, script: Script) -> [String; 4] {
    let healed = Arc::new(AtomicBool::new(false));
    let fake = Fake::connected({
        let healed = healed.clone();
        move |call| {
            if call.method == BEAT && !healed.load(Ordering::SeqCst) { script() } else { Answer::ok() }
        }
    });
    let began = Instant::now();
    let status = calls::heartbeat(TOKEN, None, SHORT).map_or_else(|error| error.status(), |_| unreachable!());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{name}: {took:?}");

    let handle = held::open(b"held", br#"{"initial_details":"","heartbeat_timeout_ms":2000}"#).unwrap();
    held::record(handle, Encoding::Json, b"\"first\"").unwrap();
    let flushed = held::flush(handle, SHORT).map_err(|error| error.status());
    healed.store(true, Ordering::SeqCst);
    // What a server says no to for good isn't asked again, except where the holder records anew.
    let again = held::record(handle, Encoding::Json, b"\"newest\"").and_then(|_| held::flush(handle, LONG));
    let arrived = fake.calls(BEAT).last().is_some_and(|call| call.has(b"\"newest\""));
    let held = match &again {
        Ok(()) => {
            assert!(arrived, "{name}: acknowledged, and not there");
            "goes on: the newest details arrived".to_owned()
        }
        Err(error) => format!("over: {}", error.status().name().to_string_lossy()),
    };
    assert!(flushed.is_err(), "{name}");
    let _ = held::close(handle, Timeout::Zero);
    let seconds = format!("{:.1} s", took.as_secs_f64());
    [name.to_owned(), format!("`{}`", status.name().to_string_lossy()), seconds, held]
}

const HEAD: &str = "# Faults\n\nWhat becomes of one heartbeat that has half a second, and of an activity that is held open, while a server misbehaves; then the \
server is well again, and the holder records once more. `tests/service/faults.rs` plays each, and checks this page. What a real server \
does when it is killed, restarted, frozen, cut off or asked for too much is in `tests/e2e`.\n\n\
| the server's answer to heartbeats | one call returns | after | the activity held open |\n|---|---|---|---|\n";

#[test]
fn each_fault_has_its_status_in_time_and_what_was_acknowledged_is_there() {
    let rows: Vec<_> = faults().into_iter().map(|(name, script)| row(&name, script)).collect();
    let table: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    println!("{table}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    if std::env::var_os("THB_UPDATE_FAULTS").is_some() {
        fs::write(&page, format!("{HEAD}{table}")).unwrap();
    }
    let told = fs::read_to_string(&page).unwrap();
    for [name, status, _, held] in &rows {
        let line = told.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        assert!(
            line.contains(status.as_str()) && line.ends_with(&format!("| {held} |")),
            "{name}: {status}, {held}; docs: {line}"
        );
    }
}
