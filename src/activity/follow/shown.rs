//! Compares the descriptions of a standalone activity that long polls return.

use crate::{
    client::description::{Description, State},
    model::{attempt::Attempt, conditions::Conditions},
};

/// What a description shows of a standalone activity.
#[derive(PartialEq)]
pub struct Shown {
    state: State,
    attempt: Attempt,
    conditions: Conditions,
    changes: Option<i64>,
    recorded_at_unix_ms: i64,
}

impl Shown {
    /// Returns what this description shows.
    pub fn of(description: &Description) -> Self {
        Shown {
            state: description.state,
            attempt: description.attempt,
            conditions: description.conditions.clone(),
            changes: description.changes,
            recorded_at_unix_ms: description.details.about().recorded_at_unix_ms,
        }
    }

    /// Returns whether something else than a heartbeat has changed. The fields don't show a reset.
    pub fn has_news_since(&self, last: &Shown) -> bool {
        let fields = |shown: &Shown| (shown.state, shown.attempt, shown.conditions.clone());
        let has_changed_otherwise = match (self.changes, last.changes) {
            (Some(changes), Some(before)) => changes != before,
            // Otherwise the long poll wouldn't have ended.
            _ => self.recorded_at_unix_ms == last.recorded_at_unix_ms,
        };
        fields(self) != fields(last) || has_changed_otherwise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(changes: Option<i64>, recorded_at_unix_ms: i64) -> Shown {
        let (attempt, conditions) = (Attempt::default(), Conditions::default());
        Shown { state: State::Running, attempt, conditions, changes, recorded_at_unix_ms }
    }

    #[test]
    fn heartbeat_alone_is_no_news() {
        assert!(!shown(Some(2), 8).has_news_since(&shown(Some(2), 7)));
        assert!(!shown(None, 8).has_news_since(&shown(None, 7)), "an older server");
    }

    #[test]
    fn reset_is_news_even_together_with_a_heartbeat() {
        assert!(shown(Some(3), 8).has_news_since(&shown(Some(2), 7)));
        assert!(shown(None, 7).has_news_since(&shown(None, 7)), "an older server");
    }
}
