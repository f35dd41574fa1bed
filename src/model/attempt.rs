//! Which activity, which attempt of it, and how a request says so.

use std::cmp::Ordering;

use bytes::Bytes;

/// The ids by which the server finds an activity. They say nothing of its attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ids {
    /// The workflow's id; empty for a standalone activity.
    pub workflow_id: String,
    /// The workflow's run, or the standalone activity's. Empty: the current one.
    pub run_id: String,
    /// The activity's id.
    pub activity_id: String,
}

impl Ids {
    /// Whether both may mean the same activity: where both say something, they say the same.
    pub fn may_be(&self, other: &Ids) -> bool {
        let agree = |ours: &str, theirs: &str| ours.is_empty() || theirs.is_empty() || ours == theirs;
        self.workflow_id == other.workflow_id
            && agree(&self.run_id, &other.run_id)
            && self.activity_id == other.activity_id
    }
}

/// One start of an activity. A reset sets the number back to 1, so the time belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// Its number, from 1; 0 when unknown.
    pub number: i32,
    /// When the server started it, in nanoseconds since 1970; 0 when unknown.
    pub started_at: i64,
}

impl Attempt {
    /// Whether both may be the same: what is known of both agrees.
    pub fn may_be(self, other: Attempt) -> bool {
        (self.number == 0 || other.number == 0 || self.number == other.number)
            && (self.started_at == 0 || other.started_at == 0 || self.started_at == other.started_at)
    }

    /// Which of both was started later: by their starts where both are known, else by their numbers. `Equal` where nothing tells
    /// them apart.
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

/// How a request says which attempt it is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// By its task token, with which the server lets nobody touch another attempt.
    Token(Bytes),
    /// By ids, which would touch whatever attempt there is: the server is asked right before whether it is still this one.
    Checked {
        /// The activity.
        ids: Ids,
        /// The attempt.
        attempt: Attempt,
        /// A task token made up from them, where there is one: then nothing can come in between the question and the request.
        token: Option<Bytes>,
    },
}

/// What the server is asked of at the start.
#[derive(Debug, PartialEq)]
pub enum Subject {
    /// The activity of a token.
    Token(Bytes),
    /// The activity of these ids.
    Ids {
        /// Its ids.
        ids: Ids,
        /// Which attempt.
        attempt: Attempt,
        /// There is no token beside, so that everything goes by what is found.
        alone: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_told_from_another_of_its_number_by_its_start() {
        let attempt = |number, started_at| Attempt { number, started_at };
        assert!(attempt(2, 7).may_be(attempt(2, 7)) && attempt(2, 0).may_be(attempt(2, 7)));
        assert!(!attempt(2, 7).may_be(attempt(2, 8)) && !attempt(2, 7).may_be(attempt(3, 7)));
        assert!(attempt(0, 0).may_be(attempt(3, 7)));
    }

    #[test]
    fn the_later_attempt_is_the_one_that_was_started_later_whatever_its_number() {
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
    fn ids_are_of_one_activity_when_they_agree_in_what_both_say() {
        let ids = |workflow_id: &str, run_id: &str| Ids {
            workflow_id: workflow_id.into(),
            run_id: run_id.into(),
            activity_id: "a".into(),
        };
        assert!(ids("w", "r").may_be(&ids("w", "")) && ids("", "r").may_be(&ids("", "r")));
        assert!(!ids("w", "r").may_be(&ids("w", "s")) && !ids("w", "r").may_be(&ids("", "r")));
    }
}
