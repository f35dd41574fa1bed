//! Connecting and disconnecting, also at the same time as other calls.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::rpc,
    model::{deadline::Timeout, status::Status},
};

use crate::fake::{Answer, Fake};

const LONG: Timeout = Timeout::Within(Duration::from_secs(30));
const BEAT: &str = "RecordActivityTaskHeartbeat";

#[test]
fn calls_without_a_client_are_not_connected() {
    let _fake = Fake::start(|_| Answer::ok());
    let error = rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!(error.status(), Status::NotConnected);
    assert!(error.message().contains("connect"), "{error}");
}

#[test]
fn second_client_is_refused() {
    let fake = Fake::connected(|_| Answer::ok());
    assert_eq!(fake.connect("").unwrap_err().status(), Status::AlreadyConnected);
    rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    fake.connect("").unwrap();
}

#[test]
fn one_of_many_concurrent_connects_succeeds() {
    let fake = Fake::start(|_| Answer::After(Duration::from_millis(50)));
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| fake.connect(""))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = outcomes.into_iter().filter_map(Result::err);
    assert!(refused.map(|error| error.status()).all(|status| status == Status::AlreadyConnected));
}

#[test]
fn connect_works_after_a_failed_connect() {
    let fake = Fake::start(|call| match (call.method.as_str(), call.nth) {
        ("DescribeNamespace", 0) => {
            Answer::Error { code: 5, detail: "NamespaceNotFoundFailure", trailers_only: true }
        }
        _ => Answer::ok(),
    });
    assert_eq!(fake.connect("").unwrap_err().status(), Status::NamespaceNotFound);
    assert_eq!(
        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotConnected
    );
    fake.connect("").unwrap();
}

#[test]
fn client_without_permission_to_describe_the_namespace_beats() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "DescribeNamespace" => Answer::error(7),
        _ => Answer::ok(),
    });
    fake.connect("").unwrap();
    rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn lazy_client_connects_at_the_first_call() {
    let fake = Fake::start(|_| Answer::ok());
    fake.connect(",\"lazy\":true").unwrap();
    assert_eq!(fake.connections(), 0);
    rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap();
    assert_eq!(fake.connections(), 1);
}

#[test]
fn error_names_the_refusing_port_and_the_cause() {
    let _fake = Fake::start(|_| Answer::ok());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Instant::now();
    let options = format!("{{\"address\":\"{free}\",\"connect_timeout_ms\":500}}");
    let error = rpc::connect(options.as_bytes()).and_then(rpc::Call::wait).unwrap_err();
    assert_eq!(error.status(), Status::Unavailable);
    let message = error.message();
    assert!(message.contains(&free.to_string()) && message.contains("refused"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn connect_waits_for_a_server_that_starts_in_time() {
    let fake = Fake::start(|call| match (call.method.as_str(), call.nth) {
        ("GetSystemInfo", 0..3) => Answer::error(14),
        _ => Answer::ok(),
    });
    fake.connect("").unwrap();
}

#[test]
fn silent_listener_is_a_timeout() {
    let _fake = Fake::start(|_| Answer::ok());
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = format!("{{\"address\":\"{}\",\"connect_timeout_ms\":400}}", mute.local_addr().unwrap());
    assert_eq!(
        rpc::connect(options.as_bytes()).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::Timeout
    );
}

#[test]
fn error_names_the_unresolvable_host() {
    let _fake = Fake::start(|_| Answer::ok());
    let error = rpc::connect(br#"{"address":"no-such-host.invalid:7233","connect_timeout_ms":400}"#)
        .and_then(rpc::Call::wait)
        .unwrap_err();
    assert_eq!(error.status(), Status::Unavailable, "{error}");
    assert!(error.message().contains("no-such-host.invalid"), "{error}");
}

#[test]
fn disconnect_wakes_waiting_calls() {
    let fake = Fake::connected(|call| if call.method == BEAT { Answer::Silence } else { Answer::ok() });
    thread::scope(|scope| {
        // Uses eight activities, because calls for the same activity wait for each other.
        let waiting: Vec<_> = (0..8)
            .map(|number| {
                scope.spawn(move || {
                    rpc::heartbeat(&[b't', number], None, Timeout::Forever).and_then(rpc::Call::wait)
                })
            })
            .collect();
        fake.wait_for(BEAT, 8);
        let started = Instant::now();
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        for thread in waiting {
            assert_eq!(thread.join().unwrap().unwrap_err().status(), Status::NotConnected);
        }
        assert!(started.elapsed() < Duration::from_secs(10));
    });
}

#[test]
fn disconnect_ends_a_connect_in_progress() {
    let fake = Fake::start(|_| Answer::Silence);
    thread::scope(|scope| {
        let connecting = scope.spawn(|| fake.connect(""));
        fake.wait_for("GetSystemInfo", 1);
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
        assert_eq!(connecting.join().unwrap().unwrap_err().status(), Status::NotConnected);
    });
    assert_eq!(
        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap_err().status(),
        Status::NotConnected
    );
}

#[test]
fn disconnected_clients_leave_no_threads() {
    let fake = Fake::start(|_| Answer::ok());
    for _ in 0..50 {
        fake.connect("").unwrap();
        rpc::heartbeat(b"token", None, LONG).and_then(rpc::Call::wait).unwrap();
        rpc::disconnect(Timeout::Zero).and_then(rpc::Call::wait).unwrap();
    }
    let end = Instant::now() + Duration::from_secs(10);
    while io_threads() > 0 {
        assert!(Instant::now() < end, "{} I/O threads are left", io_threads());
        thread::yield_now();
    }
}

/// Returns the number of threads that the library has in this process.
fn io_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim() == "thb-io").count()
}
