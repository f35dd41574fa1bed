//! Runs calls and an open activity against a misbehaving server. Checks the table in `docs/faults.md`, and writes it with
//! THB_UPDATE_FAULTS=1.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{
        deadline::Timeout,
        payload::{Encoding, Payloads},
    },
};

use crate::{
    fake::{Answer, Described, Fake, TOKEN, frame},
    limited_connection::Limits,
};

const BEAT: &str = "RecordActivityTaskHeartbeat";
/// Like [`TOKEN`], but without a run id.
const HELD: &[u8] = b"\x0a\x01n\x12\x01w\x28\x01\x32\x01a";
/// The timeout of the single call.
const SHORT: Timeout = Timeout::Within(Duration::from_millis(500));
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));

const CODES: [&str; 17] = [
    "OK without a message",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND without the detail; Describe returns the attempt as running",
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
        ("the server accepts the request and never answers".into(), Box::new(|| Answer::Silence)),
        ("the server closes the connection instead of answering".into(), Box::new(|| Answer::Close)),
        ("the answer arrives after 5 s".into(), Box::new(|| Answer::After(Duration::from_secs(5)))),
        ("the answer arrives at one byte per second".into(), Box::new(|| Answer::Slowly)),
        ("a gateway's HTTP 502".into(), Box::new(|| Answer::Http(502))),
        (
            "a message that isn't a protobuf".into(),
            Box::new(|| Answer::Raw { body: frame(b"\xff\xff"), grpc_status: Some("0") }),
        ),
        ("a truncated message".into(), raw(b"\0\0\0\0\x05abc", Some("0"))),
        ("a message with a declared length of 4 GiB".into(), raw(b"\0\xff\xff\xff\xffx", Some("0"))),
        ("a compressed message".into(), raw(b"\x01\0\0\0\0", Some("0"))),
        ("an answer without a gRPC status".into(), raw(b"\0\0\0\0\0", None)),
        ("a gRPC status that isn't a number".into(), raw(b"\0\0\0\0\0", Some("x"))),
        (
            "RESOURCE_EXHAUSTED, rate limited".into(),
            Box::new(|| Answer::Error { code: 8, detail: "ResourceExhaustedFailure", trailers_only: true }),
        ),
        (
            "NOT_FOUND, with Temporal's status detail".into(),
            Box::new(|| Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true }),
        ),
        (
            "NOT_FOUND, with the detail for an unknown namespace".into(),
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

/// Runs one row: the server answers heartbeats by `script` until it is repaired.
fn spoiled(name: &str, script: Script) -> [String; 4] {
    let healed = Arc::new(AtomicBool::new(false));
    let fake = Fake::connected({
        let healed = healed.clone();
        move |call| match call.method.as_str() {
            BEAT if !healed.load(Ordering::SeqCst) => script(),
            "DescribeWorkflowExecution" => Described { attempt: 1, ..Described::default() }.pending(),
            _ => Answer::ok(),
        }
    });
    row(name, &fake, || healed.store(true, Ordering::SeqCst))
}

/// Runs the row of a server that doesn't listen yet.
fn refused() -> [String; 4] {
    let fake = Fake::closed(|_| Answer::ok(), Limits::none);
    fake.connect(",\"lazy\":true").unwrap();
    row("nothing listens at the address: connections are refused", &fake, || fake.open())
}

/// Returns one row: the fault, the status of one call with a timeout of 0.5 s, its duration in tenths of a second, and the result for an
/// open activity.
fn row(name: &str, fake: &Fake, heal: impl FnOnce()) -> [String; 4] {
    let began = Instant::now();
    let status = rpc::heartbeat(TOKEN, None, SHORT)
        .and_then(rpc::Call::wait)
        .map_or_else(|error| error.status(), |_| unreachable!());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "{name}: {took:?}");

    let handle = activity::open(HELD, br#"{"initial_details":"","heartbeat_timeout_ms":2000}"#).unwrap();
    activity::record(handle, Encoding::Json, b"\"first\"").unwrap();
    let flushed = activity::flush(handle, SHORT).and_then(rpc::Call::wait).map_err(|error| error.status());
    heal();
    // The library doesn't resend after a final refusal until the holder records again.
    let again = activity::record(handle, Encoding::Json, b"\"newest\"")
        .and_then(|_| activity::flush(handle, LONG).and_then(rpc::Call::wait));
    let arrived = fake.calls(BEAT).last().is_some_and(|call| call.has(b"\"newest\""));
    let held = match &again {
        Ok(()) => {
            assert!(arrived, "{name}: acknowledged, but the server doesn't have it");
            "continues: the newest details arrived".to_owned()
        }
        Err(error) => format!("over: {}", error.status().name().to_string_lossy()),
    };
    assert!(flushed.is_err(), "{name}");
    let _ = activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait);
    let seconds = format!("{:.1} s", took.as_secs_f64());
    [name.to_owned(), format!("`{}`", status.name().to_string_lossy()), seconds, held]
}

/// Closes three connections at an age of 2 s each, while one caller beats continuously and an activity is open.
fn aging() -> [String; 4] {
    const AGE: Duration = Duration::from_secs(2);
    let fake = Fake::with_limits(|_| Answer::ok(), || Limits { age: AGE, ..Limits::none() });
    fake.connect("").unwrap();
    let handle = activity::open(b"held", br#"{"initial_details":"","heartbeat_timeout_ms":2000}"#).unwrap();
    let (mut beats, mut longest) = (0, Duration::ZERO);
    while fake.connections() < 4 {
        let item = format!("\"item {beats}\"");
        activity::record(handle, Encoding::Json, item.as_bytes()).unwrap();
        let details = Payloads::from_caller("details", Encoding::Json, item.as_bytes()).unwrap();
        let began = Instant::now();
        rpc::heartbeat(TOKEN, details, LONG).and_then(rpc::Call::wait).unwrap();
        longest = longest.max(began.elapsed());
        beats += 1;
        thread::sleep(Duration::from_millis(5));
    }
    activity::record(handle, Encoding::Json, b"\"newest\"").unwrap();
    activity::flush(handle, LONG).and_then(rpc::Call::wait).unwrap();
    let arrived = fake.calls(BEAT);
    assert!(arrived.last().unwrap().has(b"\"newest\""));
    for beat in 0..beats {
        let item = format!("\"item {beat}\"");
        assert!(arrived.iter().any(|call| call.has(TOKEN) && call.has(item.as_bytes())), "{item}");
    }
    let _ = activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait);
    [
        "GOAWAY every 2 s, as for a connection at its maximum age".into(),
        "`THB_OK`".into(),
        format!("{:.1} s", longest.as_secs_f64()),
        "continues: the newest details arrived".into(),
    ]
}

/// The text of the page before the table. The text after the table, from `REST` on, isn't generated.
const HEAD: &str = "# Faults\n\nThis page shows the effect of each fault of a server on one heartbeat call, and on an open activity.\n\n\
The call has a timeout of 0.5 s, and *after* is the time until it returns. It retries temporary errors within the timeout. It returns at once\n\
if the error is permanent, or if the pause before a retry would exceed the timeout: after a rate limit the pause is at least 1 s. The activity\n\
stays open during the fault. When the server works again, the program records once more. *Describe* is the request for the activity's state.\n\
`tests/service/faults.rs` runs each row and checks this page.\n\n\
| the server's answer to heartbeats | the call returns | after | the open activity |\n|---|---|---|---|\n";
const REST: &str = "\n## A real server\n";
const SCENARIOS: &str = "../tests/e2e/";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

#[test]
fn faults_return_their_status_in_time_and_keep_acknowledged_details() {
    let mut rows = vec![refused(), aging()];
    rows.extend(faults().into_iter().map(|(name, script)| spoiled(&name, script)));
    let table: String = rows.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    println!("{table}");
    let mut told = fs::read_to_string(page()).unwrap();
    if std::env::var_os("THB_UPDATE_FAULTS").is_some() {
        let rest = told.find(REST).unwrap();
        told = format!("{HEAD}{table}{}", &told[rest..]);
        fs::write(page(), &told).unwrap();
    }
    for [name, status, _, held] in &rows {
        let line = told.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap_or_default();
        assert!(
            line.contains(status.as_str()) && line.ends_with(&format!("| {held} |")),
            "{name}: {status}, {held}; docs: {line}"
        );
    }
}

#[test]
fn scenarios_named_by_the_page_exist() {
    let told = fs::read_to_string(page()).unwrap();
    let (_, rest) = told.split_once(REST).unwrap();
    let mut named = 0;
    let table = rest.lines().take_while(|line| !line.starts_with("## "));
    for line in table.filter(|line| line.starts_with("| ") && !line.starts_with("| what")) {
        let (before, after) = line.split_once(&format!("`]({SCENARIOS}")).unwrap_or_else(|| panic!("{line}"));
        let (_, test) = before.rsplit_once("[`").unwrap();
        let (file, _) = after.split_once(')').unwrap();
        let file = page().with_file_name(SCENARIOS).join(file);
        assert!(fs::read_to_string(&file).unwrap().contains(&format!("\ndef {test}(")), "{line}");
        named += 1;
    }
    assert!(named > 5);
}
