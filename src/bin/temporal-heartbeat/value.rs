//! Values of details and results: read from the command line, and printed as JSON.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use serde_json::{Value as Json, json};
use temporal_heartbeat::model::{
    details::Value,
    error::{Error, Result},
    payload::{Encoding, Payloads},
    status::Status,
};

/// The flags of one value.
#[derive(Args, Debug, Default)]
#[group(multiple = false)]
pub struct ValueArgs {
    /// The value, in JSON: 41, '"text"', '{"item": 41}'
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    json: Option<String>,
    /// The value is this text, sent as a JSON string
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// The value is the JSON in this file; - is the standard input
    #[arg(long, value_name = "PATH")]
    json_file: Option<PathBuf>,
    /// The value is the content of this file, as bytes; - is the standard input
    #[arg(long, value_name = "PATH")]
    binary_file: Option<PathBuf>,
}

impl ValueArgs {
    /// Returns the value; `None` if none was given. Errors call it `name`.
    pub fn read(&self, name: &str) -> Result<Option<Payloads>> {
        let from_json = |json: &[u8]| self::from_json(name, json);
        if let Some(json) = &self.json {
            from_json(json.as_bytes()).map_err(|error| error.with_context("use --text for a text"))
        } else if let Some(text) = &self.text {
            from_json(json!(text).to_string().as_bytes())
        } else if let Some(path) = &self.json_file {
            from_json(&read_file(path)?)
        } else if let Some(path) = &self.binary_file {
            Payloads::from_caller(name, Encoding::Binary, &read_file(path)?)
        } else {
            Ok(None)
        }
    }
}

/// Returns a JSON text as the value `name`.
pub fn from_json(name: &str, text: &[u8]) -> Result<Option<Payloads>> {
    // The library's errors for these name constants of C.
    if text.trim_ascii().is_empty() {
        return Err(Error::argument(format!("{name} is empty, which isn't JSON")));
    }
    match std::str::from_utf8(text) {
        Ok(_) => Payloads::from_caller(name, Encoding::Json, text),
        Err(why) => Err(Error::argument(format!("{name} isn't valid JSON: {why}"))),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut content).map(drop)
    } else {
        fs::read(path).map(|bytes| content = bytes)
    };
    read.map_err(|why| Error::new(Status::Config, format!("can't read {}: {why}", path.display())))?;
    Ok(content)
}

/// Whether a value has a JSON form.
pub fn is_json(value: &Value) -> bool {
    value.encoding.starts_with("json/") || value.encoding == "binary/null"
}

/// Returns the JSON text of a value that [is JSON](is_json).
pub fn json_text(value: &Value) -> &[u8] {
    if value.encoding == "binary/null" { b"null" } else { &value.data }
}

/// Returns a value as JSON. A value without a JSON form becomes an object with its bytes in base64.
pub fn to_json(value: &Value) -> Json {
    match is_json(value).then(|| serde_json::from_slice(json_text(value)).ok()).flatten() {
        Some(json) => json,
        None => json!({"encoding": value.encoding, "base64": BASE64_STANDARD.encode(&value.data)}),
    }
}

/// Returns a duration as the library's JSON options take it.
pub fn to_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
