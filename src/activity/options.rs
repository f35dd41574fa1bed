//! Reads the options of open and the values that a parent handed over in the environment.

use std::time::Duration;

use zeroize::Zeroizing;

use super::stall_options::StallOptions;
use crate::{
    config::handoff::{self, HandedOver},
    model::{
        attempt::{Attempt, Ids},
        error::{Error, Result},
        json::{self, Object},
        payload::Payloads,
    },
};

/// What a task of a worker contains, so that the caller doesn't set it.
const OF_TASK: [&str; 9] = [
    "from_env",
    "when_absent",
    "initial_details",
    "age_ms",
    "attempt_remaining_ms",
    "workflow_id",
    "run_id",
    "activity_id",
    "attempt",
];

/// The options of an open activity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// The heartbeat timeout; zero when unknown or none.
    pub heartbeat_timeout: Duration,
    /// Whether to send beats without records.
    pub pulse: bool,
    /// How long without progress before the activity is stalled; zero: never.
    pub stall_timeout: Duration,
    /// What happens then.
    pub stall: StallOptions,
    /// The longest time between two beats, to receive signals sooner; zero: the heartbeat timeout decides.
    pub cancel_poll: Duration,
    /// Whether `cancel_poll` has no effect while long polls show changes.
    pub cancel_poll_is_fallback: bool,
    /// The details that the attempt started with, if they were handed over; without values if it had none.
    pub initial_details: Option<Payloads>,
    /// How long ago the attempt started. The first lease counts from that start.
    pub age: Duration,
    /// How long the attempt may still take. A hint: when it has passed, a beat asks the server, which decides.
    pub attempt_remaining: Option<Duration>,
    /// The activity's ids, instead of the token or in addition to it.
    pub ids: Option<Ids>,
    /// The number of the attempt; 0 when not given.
    pub attempt: i32,
    /// Whether values that no codec has encoded are refused.
    pub require_encoded: bool,
    /// Whether the library encodes the values itself. The connection decides.
    pub has_codec: bool,
    /// Whether an ending call with an unknown outcome is looked up.
    pub verify: bool,
    /// Whether long polls show changes of the activity at once.
    pub follow_server: bool,
    /// The token, if it was taken from the environment.
    pub token: Option<Zeroizing<Vec<u8>>>,
    /// Whether there is no activity, unless a token is given: the handle is inactive, and the other options have no effect.
    pub is_inactive: bool,
}

impl OpenOptions {
    /// The defaults: nothing is known, and the pulse is on.
    pub fn new() -> Self {
        OpenOptions { pulse: true, ..OpenOptions::default() }
    }

    /// Reads what a parent handed over in the environment, except the token.
    pub fn handed_over() -> Result<Self> {
        Ok(Self::of(HandedOver::read()?))
    }

    fn of(handed: HandedOver) -> Self {
        OpenOptions {
            heartbeat_timeout: handed.heartbeat_timeout.unwrap_or_default(),
            initial_details: handed.details,
            age: handed.age.unwrap_or_default(),
            attempt_remaining: handed.remaining,
            ids: handed.ids,
            attempt: handed.attempt,
            require_encoded: handed.require_encoded,
            ..OpenOptions::new()
        }
    }

    /// Reads the options from JSON.
    pub fn read(json: &[u8]) -> Result<Self> {
        json::read("options", json, Self::from_object)
    }

    /// Reads the options for the activities of a worker's tasks.
    pub fn of_task(options: &mut Object<'_>) -> Result<Self> {
        match OF_TASK.into_iter().find(|key| options.contains(key)) {
            Some(key) => Err(Error::config(format!(
                "{}: the task sets it, so it can't be an option here",
                options.at(key)
            ))),
            None => Self::from_object(options),
        }
    }

    fn from_object(options: &mut Object<'_>) -> Result<Self> {
        let from_env = options.boolean("from_env")?.unwrap_or(false);
        let handed = if from_env { Self::handed_over()? } else { Self::new() };
        let ids = ids(options)?.or(handed.ids);
        let may_be_inactive = when_absent(options)?;
        let is_inactive = from_env && ids.is_none() && may_be_inactive && handoff::is_absent()?;
        let has_token = from_env && !is_inactive && (ids.is_none() || handoff::has_token());
        let attempt = attempt(options)?;
        let stall_timeout = time(options, "stall_timeout_ms")?.unwrap_or_default();
        Ok(OpenOptions {
            heartbeat_timeout: time(options, "heartbeat_timeout_ms")?.unwrap_or(handed.heartbeat_timeout),
            pulse: options.boolean("pulse")?.unwrap_or(true),
            stall_timeout,
            stall: StallOptions::read(options, stall_timeout)?,
            cancel_poll: time(options, "cancel_poll_ms")?.unwrap_or_default(),
            cancel_poll_is_fallback: false,
            initial_details: match options.string("initial_details")? {
                Some(text) => Some(Payloads::from_base64(&options.at("initial_details"), &text)?),
                None => handed.initial_details,
            },
            age: time(options, "age_ms")?.unwrap_or(handed.age),
            attempt_remaining: time(options, "attempt_remaining_ms")?.or(handed.attempt_remaining),
            ids,
            attempt: attempt.unwrap_or(handed.attempt),
            // The child can't turn off `require_encoded` when the parent turned it on.
            require_encoded: options.boolean("require_encoded")?.unwrap_or(false) || handed.require_encoded,
            has_codec: false,
            verify: options.boolean("verify")?.unwrap_or(false),
            follow_server: options.boolean("follow_server")?.unwrap_or(false),
            token: if has_token { Some(handoff::token_from_env()?) } else { None },
            is_inactive,
        })
    }
}

/// Reads the ids of an activity, and the number of its attempt if there is one.
pub fn subject_from_json(json: &[u8]) -> Result<(Ids, Attempt)> {
    json::read("options", json, |options| {
        let missing = || {
            Error::config(
                "options.activity_id is missing: give it, and the workflow_id of a workflow's activity",
            )
        };
        Ok((
            ids(options)?.ok_or_else(missing)?,
            Attempt { number: attempt(options)?.unwrap_or_default(), started_at: 0 },
        ))
    })
}

/// Returns whether an open without an activity gives an inactive handle.
fn when_absent(options: &mut Object<'_>) -> Result<bool> {
    match options.string("when_absent")?.as_deref() {
        None | Some("error") => Ok(false),
        Some("inactive") => Ok(true),
        Some(_) => {
            Err(Error::config(format!("{} must be one of error, inactive", options.at("when_absent"))))
        }
    }
}

fn attempt(options: &mut Object<'_>) -> Result<Option<i32>> {
    let number = options.integer("attempt", 0..=i64::from(i32::MAX))?;
    Ok(number.and_then(|number| number.try_into().ok()))
}

fn time(options: &mut Object<'_>, key: &'static str) -> Result<Option<Duration>> {
    let ms = options.integer(key, 0..=i64::from(u32::MAX))?;
    Ok(ms.map(|ms| Duration::from_millis(ms.unsigned_abs())))
}

fn ids(options: &mut Object<'_>) -> Result<Option<Ids>> {
    let mut text = |key| Ok::<_, Error>(options.string(key)?.unwrap_or_default());
    let ids =
        Ids { workflow_id: text("workflow_id")?, run_id: text("run_id")?, activity_id: text("activity_id")? };
    if ids.activity_id.is_empty() && ids != Ids::default() {
        return Err(Error::config(format!(
            "{} must be given with the workflow's ids",
            options.at("activity_id")
        )));
    }
    Ok(Some(ids).filter(|ids| !ids.activity_id.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{activity::stall_options::StallAction, model::status::Status};

    #[test]
    fn default_is_a_pulse_with_details_from_the_server() {
        let options = OpenOptions::read(b"").unwrap();
        assert!(options.pulse && options.initial_details.is_none() && options.heartbeat_timeout.is_zero());
    }

    #[test]
    fn every_option_sets_its_field() {
        let options = OpenOptions::read(
            br#"{"heartbeat_timeout_ms":2e3,"pulse":false,"stall_timeout_ms":5,"stall_action":"fail","stall_report":"brief","cancel_poll_ms":6,"initial_details":"",
                 "age_ms":7,"attempt_remaining_ms":8,"workflow_id":"w","run_id":"r","activity_id":"a","attempt":9,
                 "require_encoded":true,"verify":true,"follow_server":true,"when_absent":"inactive"}"#,
        );
        let expected = OpenOptions {
            heartbeat_timeout: Duration::from_secs(2),
            pulse: false,
            stall_timeout: Duration::from_millis(5),
            stall: StallOptions { action: StallAction::Fail, dump: None, is_brief: true },
            cancel_poll: Duration::from_millis(6),
            cancel_poll_is_fallback: false,
            initial_details: Some(Payloads::default()),
            age: Duration::from_millis(7),
            attempt_remaining: Some(Duration::from_millis(8)),
            ids: Some(Ids { workflow_id: "w".into(), run_id: "r".into(), activity_id: "a".into() }),
            attempt: 9,
            require_encoded: true,
            has_codec: false,
            verify: true,
            follow_server: true,
            token: None,
            is_inactive: false,
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
            "{\"workflow_id\":\"w\"}",
            "{\"attempt\":-1}",
            "{\"verify\":1}",
            "{\"when_absent\":\"run\"}",
        ] {
            assert_eq!(OpenOptions::read(json.as_bytes()).unwrap_err().status(), Status::Config, "{json}");
        }
    }
}
