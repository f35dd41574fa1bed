//! No output contains a secret. The test puts marked bytes into tokens and values, makes calls fail in many ways, and searches all outputs.

use std::time::Duration;

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{
        deadline::Timeout,
        payload::{Encoding, Payloads},
        status::Status,
    },
};

use crate::fake::{Answer, Fake, TOKEN};

/// The marked bytes, also in base64 and in hexadecimal digits.
const PLANTED: [&str; 3] = ["s3cr3tW0rd", "czNjcjN0VzByZA", "733363723374573072"];
const SHORT: Timeout = Timeout::Within(Duration::from_millis(40));

fn told(what: &str, text: &str) {
    for planted in PLANTED {
        assert!(!text.to_lowercase().contains(&planted.to_lowercase()), "{what} contains a secret: {text}");
    }
}

/// Returns tokens of the workflow "w", one with a field that only the server understands, and bytes that aren't a token.
fn tokens() -> [Vec<u8>; 3] {
    let secret = PLANTED[0].as_bytes();
    let readable = [b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x01a\xa2\x06\x0a", secret].concat();
    [readable, secret.to_vec(), [b"\xff", secret].concat()]
}

/// Makes each call with secrets and searches the results. Returns the number of failed calls.
fn fail_in_every_way() -> usize {
    let secret = PLANTED[0];
    let value = || Payloads::from_caller("details", Encoding::Binary, secret.as_bytes()).unwrap();
    let mut errors = vec![
        Payloads::from_caller("details", Encoding::Json, format!("{{\"{secret}\": {secret}}}").as_bytes())
            .err(),
        Payloads::from_caller("details", Encoding::Payloads, secret.as_bytes()).err(),
        Payloads::from_caller("details", Encoding::Null, secret.as_bytes()).err(),
        rpc::connect(format!("{{\"identity\":\"{secret}\"").as_bytes()).and_then(rpc::Call::wait).err(),
    ];
    for token in tokens() {
        errors.push(rpc::heartbeat(&token, value(), SHORT).and_then(rpc::Call::wait).err());
        errors.push(rpc::get_details(&token, SHORT).and_then(rpc::Call::wait).err());
        errors.push(rpc::complete(&token, value(), SHORT).and_then(rpc::Call::wait).err());
        errors.push(rpc::report_cancelled(&token, value(), SHORT).and_then(rpc::Call::wait).err());
        for failure in [format!("{{\"message\":\"{secret}\"}}"), format!("{{\"details\":[\"{secret}\",}}")] {
            errors.push(rpc::fail(&token, failure.as_bytes(), SHORT).and_then(rpc::Call::wait).err());
        }
        let options = b"{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}";
        let handle = activity::open(&token, options).unwrap();
        errors.push(activity::open(&token, options).err());
        errors.push(activity::record(handle, Encoding::Binary, secret.as_bytes()).err());
        errors.push(activity::flush(handle, SHORT).and_then(rpc::Call::wait).err());
        told("info", &activity::info(handle).unwrap());
        errors.push(activity::complete(handle, value(), SHORT).and_then(rpc::Call::wait).err());
        errors.push(activity::close(handle, SHORT).and_then(rpc::Call::wait).err());
    }
    let errors: Vec<_> = errors.into_iter().flatten().collect();
    for error in &errors {
        told("an error", &format!("{error} {error:?} {}", error.message()));
    }
    errors.len()
}

#[test]
fn errors_logs_and_metrics_contain_no_secrets() {
    let mut failed = 0;
    // 0 means a closed connection.
    let all = std::env::var_os("THB_SLOW").is_some();
    for code in (0..=16).filter(|code| all || [0, 3, 5, 14].contains(code)) {
        let _fake = Fake::connected(move |call| match call.method.as_str() {
            "GetSystemInfo" | "DescribeNamespace" => Answer::ok(),
            _ if code == 0 => Answer::Close,
            _ => Answer::error(code),
        });
        failed += fail_in_every_way();
        told("the metrics", &rpc::metrics().unwrap());
        while let Some(record) = rpc::next_log(Timeout::Zero).unwrap() {
            told("the log", &record);
        }
    }
    println!("{failed} errors were searched");
    assert!(failed > 4 * 20);
}

#[test]
fn api_key_set_later_is_never_sent_over_the_plain_connection() {
    let fake = Fake::connected(|_| Answer::ok());
    let beat = |timeout| rpc::heartbeat(TOKEN, None, Timeout::Within(timeout)).and_then(rpc::Call::wait);
    beat(Duration::from_secs(30)).unwrap();
    rpc::reconfigure(format!("{{\"api_key\":\"{}\"}}", PLANTED[0]).as_bytes()).unwrap();
    for _ in 0..3 {
        let error = beat(Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.status(), Status::Tls, "{error}");
    }
    let beats = fake.calls("RecordActivityTaskHeartbeat");
    assert!(beats.len() == 1 && !beats[0].headers.contains_key("authorization"), "{} beats", beats.len());
}
