//! The reason of a cancellation or a pause, as far as the server shows it.

use serde_json::{Value, json};
use temporal_heartbeat::{api::activity, model::payload::Payloads};

use crate::value;

/// Why a cancellation or a pause was requested, and by which client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reason {
    text: Option<String>,
    identity: Option<String>,
}

impl Reason {
    /// Returns the reason of the activity's cancellation.
    pub fn of_cancellation(handle: u64) -> Self {
        Self::read(handle, "cancel_reason", "cancel_identity")
    }

    /// Returns the reason of the activity's pause.
    pub fn of_pause(handle: u64) -> Self {
        Self::read(handle, "pause_reason", "pause_identity")
    }

    fn read(handle: u64, reason: &str, identity: &str) -> Self {
        // Fails only if the handle is closed.
        let info: Value =
            activity::info(handle).ok().and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        let text = |key| info.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        Reason { text: text(reason).map(str::to_owned), identity: text(identity).map(str::to_owned) }
    }

    /// Whether the server has shown nothing.
    pub fn is_unknown(&self) -> bool {
        *self == Reason::default()
    }

    /// Returns what to add to a message: `: the reason (by the client)`. Empty if both are unknown.
    pub fn suffix(&self) -> String {
        let text = self.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        let by = self.identity.as_ref().map(|identity| format!(" (by {identity})")).unwrap_or_default();
        text + &by
    }

    /// Returns the reason of a cancellation as JSON, with the keys of `thb_activity_get_info`.
    pub fn json(&self) -> Value {
        json!({"cancel_reason": self.text, "cancel_identity": self.identity})
    }

    /// Returns it as the details of the report; `None` if it is unknown.
    pub fn details(&self) -> Option<Payloads> {
        if self.is_unknown() {
            return None;
        }
        // The value is always valid.
        value::from_json("details", self.json().to_string().as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffix_has_what_is_known() {
        let reason = |text: Option<&str>, identity: Option<&str>| Reason {
            text: text.map(str::to_owned),
            identity: identity.map(str::to_owned),
        };
        assert_eq!(reason(Some("too expensive"), Some("ops")).suffix(), ": too expensive (by ops)");
        assert_eq!(reason(None, Some("ops")).suffix(), " (by ops)");
        assert_eq!(reason(None, None).suffix(), "");
        assert!(reason(None, None).details().is_none() && reason(Some("a"), None).details().is_some());
    }
}
