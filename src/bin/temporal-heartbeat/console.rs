//! What is told to people, on the standard error; and to programs, as JSON.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;
use serde_json::{Value, json};
use temporal_heartbeat::model::error::Error;

/// In which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

static JSON: AtomicBool = AtomicBool::new(false);

/// Chooses the form, once.
pub fn set_format(format: Format) {
    JSON.store(format == Format::Json, Ordering::Relaxed);
}

/// Whether JSON is wanted.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints a result: in JSON, or as text.
pub fn result(value: &Value, text: &str) {
    if is_json() {
        // Nobody listens any more when this fails.
        let _ = writeln!(io::stdout(), "{value}");
    } else if !text.is_empty() {
        let _ = writeln!(io::stdout(), "{text}");
    }
}

/// Tells what went wrong.
pub fn error(error: &Error) {
    event(&error.to_string(), &json!({"event": "error", "error": described(error)}));
}

/// Tells something in passing: as text, or as the JSON object.
pub fn event(text: &str, value: &Value) {
    let line = if is_json() { format!("{value}\n") } else { format!("temporal-heartbeat: {text}\n") };
    crate::output::screen::SCREEN.say(line.as_bytes());
}

/// A warning.
pub fn warning(text: &str) {
    event(text, &json!({"event": "warning", "message": text}));
}

/// An error, for JSON.
pub fn described(error: &Error) -> Value {
    json!({
        "status": error.status().name().to_string_lossy(),
        "exit_code": crate::exit_code::of(error.status()),
        "message": error.message(),
        "retryable": error.is_retryable(),
    })
}
