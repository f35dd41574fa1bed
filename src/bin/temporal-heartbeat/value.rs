//! A value that a script gives: details or a result.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use clap::Args;
use temporal_heartbeat::model::{
    error::{Error, Result},
    payload::{Encoding, Payloads},
    status::Status,
};

/// One value, in one of the ways to say it.
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
    /// The value is what this file holds, as bytes; - is the standard input
    #[arg(long, value_name = "PATH")]
    binary_file: Option<PathBuf>,
}

impl ValueArgs {
    /// What was given, if anything was.
    pub fn read(&self, name: &str) -> Result<Option<Payloads>> {
        if let Some(json) = &self.json {
            return Payloads::from_caller(name, Encoding::Json, json.as_bytes())
                .map_err(|error| error.because("a text is given by --text"));
        }
        if let Some(text) = &self.text {
            return Payloads::from_caller(
                name,
                Encoding::Json,
                serde_json::json!(text).to_string().as_bytes(),
            );
        }
        if let Some(path) = &self.json_file {
            return Payloads::from_caller(name, Encoding::Json, &content(path)?);
        }
        match &self.binary_file {
            Some(path) => Payloads::from_caller(name, Encoding::Binary, &content(path)?),
            None => Ok(None),
        }
    }
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().read_to_end(&mut content).map(drop)
    } else {
        fs::read(path).map(|bytes| content = bytes)
    };
    read.map_err(|why| Error::new(Status::Config, format!("can't read {}: {why}", path.display())))?;
    Ok(content)
}
