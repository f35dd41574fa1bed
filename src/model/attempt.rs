//! Which activity and which attempt a request is for.

use std::cmp::Ordering;

use bytes::Bytes;

use super::token;

/// The ids of an activity. They don't identify the attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ids {
    /// The workflow's id; empty for a standalone activity.
    pub workflow_id: String,
    /// The run of the workflow, or of the standalone activity. Empty: the current run.
    pub run_id: String,
    /// The activity's id.
    pub activity_id: String,
}

impl Ids {
    /// Returns the same as [`token::activity`].
    pub fn activity(&self) -> (&[u8], &[u8]) {
        (self.workflow_id.as_bytes(), self.activity_id.as_bytes())
    }

    /// Returns whether both may identify the same activity: the ids that both contain are equal.
    pub fn may_be(&self, other: &Ids) -> bool {
        let agree = |ours: &str, theirs: &str| ours.is_empty() || theirs.is_empty() || ours == theirs;
        self.workflow_id == other.workflow_id
            && agree(&self.run_id, &other.run_id)
            && self.activity_id == other.activity_id
    }
}

/// One start of an activity. A reset sets the number back to 1, so the start time is needed to identify an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The number, from 1; 0 when unknown.
    pub number: i32,
    /// When the server started it, in nanoseconds since 1970; 0 when unknown.
    pub started_at: i64,
}

impl Attempt {
    /// Returns whether both may be the same attempt: what both contain is equal.
    pub fn may_be(self, other: Attempt) -> bool {
        (self.number == 0 || other.number == 0 || self.number == other.number)
            && (self.started_at == 0 || other.started_at == 0 || self.started_at == other.started_at)
    }

    /// Returns whether both are surely the same attempt.
    pub fn is(self, other: Attempt) -> bool {
        self.started_at != 0 && self == other
    }

    /// Compares by start time if both are known, else by number. Returns `Equal` if neither distinguishes them.
    pub fn by_start(self, other: Attempt) -> Ordering {
        let both_known = |ours: i64, theirs: i64| ours != 0 && theirs != 0;
        let by_number = || match both_known(self.number.into(), other.number.into()) {
            true => self.number.cmp(&other.number),
            false => Ordering::Equal,
        };
        match both_known(self.started_at, other.started_at) {
            true => self.started_at.cmp(&other.started_at).then_with(by_number),
            false => by_number(),
        }
    }
}

/// How a request identifies the attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// By its task token: the server rejects the request if the attempt isn't current.
    Token(Bytes),
    /// By ids, which apply to any current attempt. So a Describe fetches the current attempt right before the
    /// request.
    Checked {
        /// The activity.
        ids: Ids,
        /// The attempt.
        attempt: Attempt,
        /// A token derived from them, if there is one. With it, no new attempt can start unnoticed between check and
        /// request.
        token: Option<Bytes>,
    },
}

impl Target {
    /// Returns the same as [`token::activity`].
    pub fn activity(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Target::Token(token) => token::activity(token),
            Target::Checked { ids, .. } => Some(ids.activity()),
        }
    }
}

/// What the first Describe asks for.
#[derive(Debug, PartialEq)]
pub enum Subject {
    /// The activity of this token.
    Token(Bytes),
    /// The activity with these ids.
    Ids {
        /// The ids.
        ids: Ids,
        /// The attempt.
        attempt: Attempt,
        /// Whether there is no token, so that the described attempt is the one to use.
        alone: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_with_the_same_number_differ_by_their_start() {
        let attempt = |number, started_at| Attempt { number, started_at };
        assert!(attempt(2, 7).may_be(attempt(2, 7)) && attempt(2, 0).may_be(attempt(2, 7)));
        assert!(!attempt(2, 7).may_be(attempt(2, 8)) && !attempt(2, 7).may_be(attempt(3, 7)));
        assert!(attempt(0, 0).may_be(attempt(3, 7)));
    }

    #[test]
    fn later_start_means_later_attempt_for_any_number() {
        let attempt = |number, started_at| Attempt { number, started_at };
        for (ours, other, order) in [
            (attempt(1, 8), attempt(2, 7), Ordering::Greater),
            (attempt(2, 7), attempt(1, 8), Ordering::Less),
            (attempt(3, 7), attempt(2, 7), Ordering::Greater),
            (attempt(1, 0), attempt(2, 7), Ordering::Less),
            (attempt(2, 7), attempt(2, 0), Ordering::Equal),
            (attempt(0, 0), attempt(2, 7), Ordering::Equal),
        ] {
            assert_eq!(ours.by_start(other), order, "{ours:?} {other:?}");
        }
    }

    #[test]
    fn ids_match_if_the_known_parts_are_equal() {
        let ids = |workflow_id: &str, run_id: &str| Ids {
            workflow_id: workflow_id.into(),
            run_id: run_id.into(),
            activity_id: "a".into(),
        };
        assert!(ids("w", "r").may_be(&ids("w", "")) && ids("", "r").may_be(&ids("", "r")));
        assert!(!ids("w", "r").may_be(&ids("w", "s")) && !ids("w", "r").may_be(&ids("", "r")));
    }
}
