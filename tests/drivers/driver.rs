//! The Rust driver. README.md in this folder describes the protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a malformed request fails the scenario"
)]

use std::{fmt::Write, io, time::Duration};

use temporal_heartbeat::{
    api::rpc::{self, Call},
    config::handoff,
    model::{
        deadline::Timeout,
        details::Details,
        error::{Error, Result},
        payload::{Encoding, Payloads},
    },
};

fn main() {
    for line in io::stdin().lines() {
        let line = line.expect("a line of the protocol");
        let words: Vec<&str> = line.split(' ').collect();
        match answer(words[0], &words[1..]) {
            Ok(answer) => println!("{}", [&["ok".to_owned()], answer.as_slice()].concat().join(" ")),
            Err(error) => println!("{}", refusal(&error)),
        }
    }
}

fn answer(verb: &str, words: &[&str]) -> Result<Vec<String>> {
    let done = |()| Vec::new();
    match (verb, words) {
        ("connect", [options]) => rpc::connect(&bytes(options)).and_then(Call::wait).map(done),
        ("reconfigure", [options]) => rpc::reconfigure(&bytes(options)).map(done),
        ("disconnect", [limit]) => rpc::disconnect(timeout(limit)?).and_then(Call::wait).map(done),
        ("heartbeat", [token, limit, values @ ..]) => {
            let signals = rpc::heartbeat(&bytes(token), payloads(values)?, timeout(limit)?)?.wait()?;
            Ok(vec![signals.bits().to_string()])
        }
        ("get_details", [token, limit]) => {
            rpc::get_details(&bytes(token), timeout(limit)?).and_then(Call::wait).map(told)
        }
        ("complete", [token, limit, values @ ..]) => {
            rpc::complete(&bytes(token), payloads(values)?, timeout(limit)?).and_then(Call::wait).map(done)
        }
        ("fail", [token, limit, failure]) => {
            rpc::fail(&bytes(token), &bytes(failure), timeout(limit)?).and_then(Call::wait).map(done)
        }
        ("report_cancelled", [token, limit, values @ ..]) => {
            rpc::report_cancelled(&bytes(token), payloads(values)?, timeout(limit)?)
                .and_then(Call::wait)
                .map(done)
        }
        ("token_from_ids", [ids, limit]) => rpc::token_from_ids(&bytes(ids), timeout(limit)?)
            .and_then(Call::wait)
            .map(|token| vec![hex(&token)]),
        ("token_from_env", []) => handoff::token_from_env().map(|token| vec![hex(&token)]),
        _ => panic!("unknown request of the protocol: {verb} with {} words", words.len()),
    }
}

fn refusal(error: &Error) -> String {
    [
        "error",
        &error.status().name().to_string_lossy(),
        &error.grpc_code().unwrap_or(-1).to_string(),
        &u8::from(error.is_retryable()).to_string(),
        &error.retry_after().map_or(-1, milliseconds).to_string(),
        &hex(error.message().as_bytes()),
    ]
    .join(" ")
}

fn told(details: Details) -> Vec<String> {
    let about = details.about();
    let numbers = [
        i64::from(about.attempt),
        about.recorded_at_unix_ms,
        about.heartbeat_timeout.map_or(-1, milliseconds),
    ];
    let values = details.values().iter().map(|value| format!("{}:{}", value.encoding, hex(&value.data)));
    numbers.iter().map(ToString::to_string).chain(values).collect()
}

/// Returns the payloads of the values, or `None` without values.
fn payloads(words: &[&str]) -> Result<Option<Payloads>> {
    let mut payloads = None;
    for word in words {
        let (encoding, data) = word.split_once(':').expect("ENCODING:BYTES");
        let encoding = match encoding {
            "json" => Encoding::Json,
            "binary" => Encoding::Binary,
            "null" => Encoding::Null,
            _ => panic!("a value of encoding {encoding}"),
        };
        payloads.get_or_insert_with(Payloads::default).push("value", encoding, &bytes(data))?;
    }
    Ok(payloads)
}

fn timeout(word: &str) -> Result<Timeout> {
    if word == "forever" { Ok(Timeout::Forever) } else { Timeout::from_ms(word.parse().unwrap()) }
}

fn bytes(word: &str) -> Vec<u8> {
    if word == "-" || word == "." {
        return Vec::new();
    }
    assert!(word.len().is_multiple_of(2), "half a byte");
    (0..word.len()).step_by(2).map(|at| u8::from_str_radix(&word[at..at + 2], 16).unwrap()).collect()
}

fn hex(data: &[u8]) -> String {
    if data.is_empty() {
        return ".".to_owned();
    }
    data.iter().fold(String::with_capacity(2 * data.len()), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
