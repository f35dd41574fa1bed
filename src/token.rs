//! What a task token says about its activity, and where a process finds the token that it was handed.

use bytes::Bytes;
use prost::Message;

use crate::{
    error::{Error, Result},
    proto::temporal::server::api::token::v1::{ComponentRef, Task},
    secret,
};

/// Which activity a task token belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The id, not the name, of its namespace.
    pub namespace_id: String,
    /// Whose activity it is.
    pub activity: Activity,
    /// The number of its attempt, from 1.
    pub attempt: i32,
}

/// The two kinds of activities, by the ids that describe them.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// Scheduled by a workflow.
    OfWorkflow {
        /// The workflow's id.
        workflow_id: String,
        /// The workflow's run.
        run_id: String,
        /// The activity's id within it.
        activity_id: String,
    },
    /// Started on its own.
    Standalone {
        /// The activity's id.
        activity_id: String,
        /// The activity's run.
        run_id: String,
    },
}

impl Token {
    /// Reads a task token; `None` when it isn't one that we understand. Tokens are the server's own, so that this is
    /// for describing the activity and for better error messages; what is sent back are always the bytes that came.
    pub fn read(token: &[u8]) -> Option<Token> {
        let task = Task::decode(token).ok()?;
        if task.namespace_id.is_empty() {
            return None;
        }
        let attempt = task.attempt;
        let activity = if !task.workflow_id.is_empty() {
            Activity::OfWorkflow {
                workflow_id: task.workflow_id,
                run_id: task.run_id,
                activity_id: task.activity_id,
            }
        } else {
            let component = ComponentRef::decode(task.component_ref).ok()?;
            Activity::Standalone { activity_id: component.business_id, run_id: component.run_id }
        };
        let (Activity::OfWorkflow { activity_id, .. } | Activity::Standalone { activity_id, .. }) = &activity;
        if activity_id.is_empty() {
            return None;
        }
        Some(Token { namespace_id: task.namespace_id, activity, attempt })
    }
}

/// The longest task token that is taken; real ones are under 300 bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// A token that can be sent.
pub fn checked(token: &[u8]) -> Result<Bytes> {
    match token.len() {
        0 => Err(Error::argument(
            "token is empty: pass the task token's bytes, as the activity's info holds them",
        )),
        1..=MAX_BYTES => Ok(secret::shared(token)),
        len => Err(Error::argument(format!("token has {len} bytes; no task token has over {MAX_BYTES}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_activity_is_found_by_its_three_ids() {
        let task = Task {
            namespace_id: "ns".into(),
            workflow_id: "wf".into(),
            run_id: "run".into(),
            activity_id: "5".into(),
            ..Task::default()
        };
        let expected =
            Activity::OfWorkflow { workflow_id: "wf".into(), run_id: "run".into(), activity_id: "5".into() };
        assert_eq!(Token::read(&task.encode_to_vec()).unwrap().activity, expected);
    }

    #[test]
    fn a_standalone_activity_is_found_by_its_component() {
        let component =
            ComponentRef { business_id: "act".into(), run_id: "run".into(), ..ComponentRef::default() };
        let task = Task {
            namespace_id: "ns".into(),
            component_ref: component.encode_to_vec().into(),
            ..Task::default()
        };
        let expected = Activity::Standalone { activity_id: "act".into(), run_id: "run".into() };
        assert_eq!(Token::read(&task.encode_to_vec()).unwrap().activity, expected);
    }

    #[test]
    fn what_names_no_activity_is_not_read() {
        for garbage in [&b""[..], b"garbage", b"\x0a\x02ns", b"CgJucw=="] {
            assert_eq!(Token::read(garbage), None);
        }
    }
}
