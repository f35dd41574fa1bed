//! The options of open, and what a parent hands over in the environment.

use std::time::Duration;

use zeroize::Zeroizing;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    error::{Error, Result},
    handoff,
    json::{Fault, Object},
    payload::Payloads,
    status::Status,
};

const NAME: &str = "options";
const KEYS: [&str; 8] = [
    "heartbeat_timeout_ms",
    "pulse",
    "stall_timeout_ms",
    "cancel_poll_ms",
    "initial_details",
    "age_ms",
    "attempt_remaining_ms",
    "from_env",
];

/// Options that name an activity by its ids; this version holds activities by their token alone.
const KEYS_TO_COME: [&str; 3] = ["workflow_id", "run_id", "activity_id"];

/// How an activity is to be held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// The heartbeat timeout; zero when unknown or none.
    pub heartbeat_timeout: Duration,
    /// Whether to beat without being told.
    pub pulse: bool,
    /// How long without progress before the pulse stops; zero for ever.
    pub stall_timeout: Duration,
    /// The longest time between two beats for the sake of their answers; zero leaves it to the heartbeat timeout.
    pub cancel_poll: Duration,
    /// The details that the attempt started with, as handed over; empty ones say that there are none.
    pub initial_details: Option<Payloads>,
    /// How long ago the attempt started.
    pub age: Duration,
    /// How long the attempt may still take.
    pub attempt_remaining: Option<Duration>,
    /// The token, where it was to be taken from the environment.
    pub token: Option<Zeroizing<Vec<u8>>>,
}

impl OpenOptions {
    /// Nothing is known, and there is a pulse.
    pub fn new() -> Self {
        OpenOptions { pulse: true, ..OpenOptions::default() }
    }

    /// What a parent handed over in the environment beside the token.
    pub fn handed_over() -> Result<Self> {
        let handed = HandedOver::read()?;
        Ok(OpenOptions {
            heartbeat_timeout: handed.heartbeat_timeout.unwrap_or_default(),
            initial_details: handed.details,
            attempt_remaining: handed.remaining,
            ..OpenOptions::new()
        })
    }

    /// Reads the JSON of open.
    pub fn read(json: &[u8]) -> Result<Self> {
        let options = Object::parse(NAME, json)?;
        if let Some(key) = options.keys().find(|key| KEYS_TO_COME.contains(key)) {
            return Err(Error::new(
                Status::Unimplemented,
                format!("the option {key}: this version holds an activity by its task token alone"),
            ));
        }
        options.allow_only(&KEYS)?;
        let given = |key: &str| -> std::result::Result<Option<Duration>, Fault> {
            let ms = options.integer(key, 0..=i64::from(u32::MAX))?;
            Ok(ms.map(|ms| Duration::from_millis(ms.unsigned_abs())))
        };

        let from_env = options.boolean("from_env")?.unwrap_or(false);
        let handed = if from_env { HandedOver::read()? } else { HandedOver::default() };
        let initial_details = match options.string("initial_details")? {
            Some(text) => Some(payloads(&options.at("initial_details"), &text)?),
            None => handed.details,
        };
        Ok(OpenOptions {
            heartbeat_timeout: given("heartbeat_timeout_ms")?
                .or(handed.heartbeat_timeout)
                .unwrap_or_default(),
            pulse: options.boolean("pulse")?.unwrap_or(true),
            stall_timeout: given("stall_timeout_ms")?.unwrap_or_default(),
            cancel_poll: given("cancel_poll_ms")?.unwrap_or_default(),
            initial_details,
            age: given("age_ms")?.unwrap_or_default(),
            attempt_remaining: given("attempt_remaining_ms")?.or(handed.remaining),
            token: if from_env { Some(handoff::token_from_env()?) } else { None },
        })
    }
}

/// What stands in the environment beside the token.
#[derive(Default)]
struct HandedOver {
    heartbeat_timeout: Option<Duration>,
    details: Option<Payloads>,
    remaining: Option<Duration>,
}

impl HandedOver {
    fn read() -> Result<Self> {
        let number = |name: &str| -> Result<Option<Duration>> {
            let Some(text) = handoff::variable(name)? else { return Ok(None) };
            let ms = text.parse::<u32>().map_err(|_| {
                Error::new(Status::Config, format!("{name} must be a whole number of milliseconds"))
            })?;
            Ok(Some(Duration::from_millis(ms.into())))
        };
        let details = match handoff::variable_or_empty(handoff::HEARTBEAT_DETAILS)? {
            Some(text) => Some(payloads(handoff::HEARTBEAT_DETAILS, &text)?),
            None => None,
        };
        Ok(HandedOver {
            heartbeat_timeout: number(handoff::HEARTBEAT_TIMEOUT_MS)?,
            details,
            remaining: number(handoff::DEADLINE_MS)?,
        })
    }
}

fn payloads(name: &str, text: &str) -> Result<Payloads> {
    let wrong = |why: &str| {
        Error::new(
            Status::Config,
            format!("{name} must be the standard base64 of an encoded Payloads: {why}"),
        )
    };
    let encoded = BASE64_STANDARD.decode(text.trim()).map_err(|_| wrong("it isn't base64"))?;
    Payloads::from_encoded(name, &encoded).map_err(|error| wrong(error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_given_is_a_pulse_that_asks_the_server() {
        let options = OpenOptions::read(b"").unwrap();
        assert!(options.pulse && options.initial_details.is_none() && options.heartbeat_timeout.is_zero());
    }

    #[test]
    fn every_option_finds_its_place() {
        let options = OpenOptions::read(
            br#"{"heartbeat_timeout_ms":2e3,"pulse":false,"stall_timeout_ms":5,"cancel_poll_ms":6,"initial_details":"",
                 "age_ms":7,"attempt_remaining_ms":8}"#,
        );
        let expected = OpenOptions {
            heartbeat_timeout: Duration::from_secs(2),
            pulse: false,
            stall_timeout: Duration::from_millis(5),
            cancel_poll: Duration::from_millis(6),
            initial_details: Some(Payloads::default()),
            age: Duration::from_millis(7),
            attempt_remaining: Some(Duration::from_millis(8)),
            token: None,
        };
        assert_eq!(options.unwrap(), expected);
    }

    #[test]
    fn mistakes_are_configuration_errors() {
        for json in [
            "{\"puls\":true}",
            "{\"initial_details\":\"?\"}",
            "{\"initial_details\":\"/w==\"}",
            "{\"age_ms\":-1}",
        ] {
            assert_eq!(OpenOptions::read(json.as_bytes()).unwrap_err().status(), Status::Config, "{json}");
        }
        let by_ids = OpenOptions::read(b"{\"activity_id\":\"a\"}").unwrap_err();
        assert_eq!(by_ids.status(), Status::Unimplemented);
    }
}
