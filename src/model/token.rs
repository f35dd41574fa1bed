//! The content of a task token.

use bytes::Bytes;
use prost::{
    Message,
    encoding::{self, DecodeContext, WireType},
};

use super::{
    attempt::{Attempt, Ids},
    error::{Error, Result},
    secret,
    time::unix_ns,
};
use crate::proto::temporal::server::api::token::v1::{ComponentRef, Task};

/// The content of a task token.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The id, not the name, of the namespace.
    pub namespace_id: String,
    /// The ids of the activity.
    pub ids: Ids,
    /// The event that scheduled the activity in its workflow's history; 0 for a standalone activity.
    pub scheduled_event_id: i64,
    /// The attempt. Many servers don't include its start time.
    pub attempt: Attempt,
}

impl Token {
    /// Parses a task token. Returns `None` for an unknown format, because tokens are the server's own. The content
    /// only serves to describe the activity and to improve errors. Requests always contain the original bytes.
    pub fn read(token: &[u8]) -> Option<Token> {
        let task = Task::decode(token).ok()?;
        if task.namespace_id.is_empty() {
            return None;
        }
        let ids = if !task.workflow_id.is_empty() {
            Ids { workflow_id: task.workflow_id, run_id: task.run_id, activity_id: task.activity_id }
        } else {
            let component = ComponentRef::decode(task.component_ref).ok()?;
            Ids { workflow_id: String::new(), run_id: component.run_id, activity_id: component.business_id }
        };
        if ids.activity_id.is_empty() {
            return None;
        }
        Some(Token {
            namespace_id: task.namespace_id,
            ids,
            scheduled_event_id: task.scheduled_event_id,
            attempt: Attempt { number: task.attempt, started_at: unix_ns(task.started_time) },
        })
    }

    /// Encodes a token for an activity of a workflow. A server that accepts it compares the attempt, which it never
    /// does for requests by ids.
    pub fn derived(self) -> Bytes {
        let task = Task {
            namespace_id: self.namespace_id,
            workflow_id: self.ids.workflow_id,
            run_id: self.ids.run_id,
            scheduled_event_id: self.scheduled_event_id,
            attempt: self.attempt.number,
            activity_id: self.ids.activity_id,
            ..Task::default()
        };
        secret::shared(task.encode_to_vec())
    }
}

/// Returns the workflow's id (empty for a standalone activity) and the activity's id. Unlike [`Token::read`] it copies
/// nothing, because each request needs them.
pub fn activity(token: &[u8]) -> Option<(&[u8], &[u8])> {
    // `workflow_id`, `activity_id` and `component_ref` of a `Task`; `business_id` of a `ComponentRef`.
    let [workflow_id, activity_id, component_ref] = fields(token, [2, 6, 14])?;
    let activity_id = match workflow_id {
        [] => fields(component_ref, [2]).map(|[business_id]| business_id)?,
        _ => activity_id,
    };
    (!activity_id.is_empty()).then_some((workflow_id, activity_id))
}

/// Returns the values of length-delimited fields, by their numbers.
fn fields<const N: usize>(mut message: &[u8], numbers: [u32; N]) -> Option<[&[u8]; N]> {
    let mut values = [&b""[..]; N];
    while !message.is_empty() {
        let (number, wire_type) = encoding::decode_key(&mut message).ok()?;
        let Some((_, value)) = numbers.iter().zip(&mut values).find(|(wanted, _)| **wanted == number) else {
            encoding::skip_field(wire_type, number, &mut message, DecodeContext::default()).ok()?;
            continue;
        };
        encoding::check_wire_type(WireType::LengthDelimited, wire_type).ok()?;
        let len = encoding::decode_varint(&mut message).ok()?;
        (*value, message) = message.split_at_checked(usize::try_from(len).ok()?)?;
    }
    Some(values)
}

/// The longest task token that is accepted; real ones are under 300 bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// Checks that the token can be sent.
pub fn check(token: &[u8]) -> Result<()> {
    match token.len() {
        0 => Err(Error::argument("token is empty: pass the task token's bytes, as in the activity's info")),
        1..=MAX_BYTES => Ok(()),
        len => Err(Error::argument(format!("token has {len} bytes; no task token has over {MAX_BYTES}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_activity_has_three_ids() {
        let ids = Ids { workflow_id: "wf".into(), run_id: "run".into(), activity_id: "5".into() };
        let token = Token {
            namespace_id: "ns".into(),
            ids,
            scheduled_event_id: 7,
            attempt: Attempt { number: 2, started_at: 0 },
        };
        let bytes = token.clone().derived();
        assert_eq!(Token::read(&bytes), Some(token));
        assert_eq!(activity(&bytes), Some((&b"wf"[..], &b"5"[..])));
    }

    #[test]
    fn standalone_activity_is_in_the_component_ref() {
        let component =
            ComponentRef { business_id: "act".into(), run_id: "run".into(), ..ComponentRef::default() };
        let task = Task {
            namespace_id: "ns".into(),
            component_ref: component.encode_to_vec().into(),
            started_time: Some(prost_types::Timestamp { seconds: 1, nanos: 2 }),
            ..Task::default()
        };
        let expected = Ids { workflow_id: String::new(), run_id: "run".into(), activity_id: "act".into() };
        let bytes = task.encode_to_vec();
        let read = Token::read(&bytes).unwrap();
        assert_eq!((read.ids, read.attempt.started_at), (expected, 1_000_000_002));
        assert_eq!(activity(&bytes), Some((&b""[..], &b"act"[..])));
    }

    #[test]
    fn token_without_an_activity_is_not_parsed() {
        for garbage in [&b""[..], b"garbage", b"\x0a\x02ns", b"CgJucw==", b"\x0a\x02ns\x12\x01w\x32\x02a"] {
            assert_eq!(Token::read(garbage), None);
            assert_eq!(activity(garbage), None);
        }
    }
}
