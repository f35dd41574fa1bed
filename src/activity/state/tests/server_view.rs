//! The conditions that the server describes, and the news of long polls.

use super::*;
use crate::{
    activity::state::{Followed, ServerInfo},
    model::conditions::Reasons,
};

/// The attempt of [`TOKEN`] under these conditions.
fn description(conditions: Conditions) -> Description {
    Description { conditions, ..told().description }
}

fn limit(attempt_limit: Duration) -> Conditions {
    Conditions { attempt_limit: Some(attempt_limit), ..Conditions::default() }
}

fn heartbeat_timeout(timeout: Duration) -> Conditions {
    Conditions { heartbeat_timeout: Some(timeout), ..Conditions::default() }
}

impl Story {
    /// Answers the question that is due now.
    fn answer(&mut self, conditions: Conditions) {
        assert!(matches!(self.activity.next_step(self.now), Step::Describe { .. }), "no question");
        let found = Found { description: description(conditions), token: None };
        self.activity.complete(Outcome::Described(Box::new(found)), self.now);
    }

    /// Applies the answer of a long poll.
    fn observe(&mut self, conditions: Conditions) {
        self.activity.observe(&description(conditions), false, self.now);
    }
}

/// Opens an activity with this deadline, of which a beat was acknowledged.
fn with_deadline(remaining: Duration) -> Story {
    let mut story = Story::begin(OpenOptions { attempt_remaining: Some(remaining), ..handed_nothing() });
    story.record("1");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    story
}

fn followed() -> Story {
    let mut story = Story::begin(OpenOptions { follow_server: true, ..handed_nothing() });
    story.record("1");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    story
}

#[test]
fn passed_deadline_is_confirmed_by_the_server_and_ends_nothing() {
    let mut story = with_deadline(SECOND);
    story.after(SECOND);
    assert!(!story.has(Signals::DEADLINE), "the server wasn't asked");
    story.answer(limit(SECOND));
    assert!(story.has(Signals::DEADLINE) && !story.has(Signals::GONE));
    assert_eq!(story.beat(), None);
    assert!(story.after(SECOND).beat().is_some(), "the server's timer has fired by now");
    story.acknowledged(Signals::default());
    assert_eq!(story.after(4 * SECOND).beat(), None, "back to the usual period");
}

#[test]
fn extended_deadline_is_not_signalled_before_it_has_passed() {
    let mut story = with_deadline(SECOND);
    story.after(SECOND).answer(limit(3 * SECOND));
    assert!(!story.has(Signals::DEADLINE));
    assert!(story.after(SECOND).beat().is_none());
    story.after(SECOND).answer(limit(3 * SECOND));
    assert!(story.has(Signals::DEADLINE));
    // An operator can still move it.
    story.observe(limit(9 * SECOND));
    assert!(!story.has(Signals::DEADLINE));
}

#[test]
fn deadline_is_not_signalled_while_the_server_can_not_be_asked() {
    let mut story = with_deadline(SECOND);
    story.after(SECOND);
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.failed(Status::Unavailable, Retry::Soon, false);
    assert!(!story.has(Signals::DEADLINE));
    assert!(story.after(SECOND).beat().is_some());
    story.acknowledged(Signals::default());
    story.answer(limit(SECOND));
    assert!(story.has(Signals::DEADLINE));
}

#[test]
fn refused_question_for_the_deadline_is_not_repeated() {
    let mut story = with_deadline(SECOND);
    story.after(SECOND);
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.failed(Status::PermissionDenied, Retry::Never, false);
    for _ in 0..20 {
        assert!(!story.has(Signals::DEADLINE) && !story.has(Signals::REFUSED));
        if story.after(SECOND).beat().is_some() {
            story.acknowledged(Signals::default());
        }
    }
}

#[test]
fn deadline_is_checked_without_a_pulse_and_before_the_first_record() {
    let options = OpenOptions { attempt_remaining: Some(SECOND), pulse: false, ..handed_nothing() };
    let mut story = Story::begin(options);
    assert_eq!(story.activity.due(), story.now.later(SECOND));
    story.after(SECOND).answer(Conditions::default());
    assert!(story.has(Signals::DEADLINE), "an old server doesn't describe the timeouts");
    assert_eq!(story.after(60 * SECOND).beat(), None);
}

#[test]
fn deadline_counts_from_the_start_of_the_attempt() {
    let mut story = Story::begin(OpenOptions {
        attempt_remaining: Some(2 * SECOND),
        age: 3 * SECOND,
        ..handed_nothing()
    });
    story.observe(limit(6 * SECOND));
    assert_eq!(story.activity.deadline, story.now.later(3 * SECOND));
}

#[test]
fn shortened_heartbeat_timeout_moves_the_lease_and_makes_a_beat_due_at_once() {
    let mut story = followed();
    story.after(3 * SECOND).observe(heartbeat_timeout(2 * SECOND));
    assert!(story.has(Signals::LEASE_LOST), "another attempt may have begun");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    assert!(!story.has(Signals::LEASE_LOST) && story.activity.due() <= story.now.later(SECOND));
}

#[test]
fn extended_heartbeat_timeout_moves_the_lease_and_the_next_beats() {
    let mut story = followed();
    story.after(SECOND).observe(heartbeat_timeout(60 * SECOND));
    assert!(story.after(4 * SECOND).beat().is_some(), "already scheduled");
    story.acknowledged(Signals::default());
    assert_eq!(story.after(40 * SECOND).beat(), None);
    assert!(!story.has(Signals::LEASE_LOST));
}

#[test]
fn news_is_followed_by_one_beat_even_without_a_pulse() {
    let mut story = Story::begin(OpenOptions { pulse: false, follow_server: true, ..handed_nothing() });
    story.record("1");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    let cancelled = || Conditions { cancel_requested: true, ..Conditions::default() };
    story.after(SECOND).observe(cancelled());
    assert_eq!(story.beat().as_deref(), Some("1"));
    story.acknowledged(Signals::CANCEL_REQUESTED);
    assert!(story.has(Signals::CANCEL_REQUESTED));
    story.after(SECOND).observe(cancelled());
    assert_eq!(story.beat(), None, "the description shows nothing new");
}

#[test]
fn news_during_a_beat_is_followed_by_another_beat() {
    let mut story = followed();
    assert!(story.after(5 * SECOND).beat().is_some());
    story.after(SECOND);
    story.activity.request_signals(story.now);
    story.acknowledged(Signals::default());
    assert!(story.beat().is_some(), "the beat may have arrived before the news");
    story.acknowledged(Signals::default());
    assert_eq!(story.beat(), None);
}

#[test]
fn description_of_another_attempt_causes_a_beat_and_changes_nothing_else() {
    let mut story = followed();
    let attempt = Attempt { number: 2, started_at: 0 };
    let other = Description { attempt, ..description(heartbeat_timeout(SECOND)) };
    story.activity.observe(&other, false, story.now);
    assert!(story.beat().is_some());
    assert_eq!(story.activity.info(story.now).heartbeat_timeout, 10 * SECOND);
}

#[test]
fn following_begins_once_when_the_run_is_known() {
    let mut story = followed();
    let expected = Followed {
        ids: Ids { workflow_id: "w".into(), run_id: "r".into(), activity_id: "a".into() },
        scheduled_event_id: None,
    };
    assert_eq!(story.activity.begin_following(), Some(expected));
    assert_eq!(story.activity.begin_following(), None);
    assert!(!story.activity.info(story.now).server.is_following, "it waits for a long poll");
    story.activity.note_polled(true, story.now);
    assert!(story.activity.info(story.now).server.is_following);
    story.activity.stop_following(story.now);
    assert!(!story.activity.info(story.now).server.is_following);
}

#[test]
fn cancel_poll_that_is_a_fallback_waits_while_the_server_is_followed() {
    let options = OpenOptions {
        follow_server: true,
        cancel_poll: SECOND,
        cancel_poll_is_fallback: true,
        ..handed_nothing()
    };
    let waits = |activity: &mut Activity, now| activity.note_polled(false, now);
    for end in [waits, Activity::stop_following] {
        let mut story = Story::begin(options.clone());
        assert!(story.activity.begin_following().is_some());
        story.activity.note_polled(true, story.now);
        story.record("1");
        assert!(story.beat().is_some());
        story.acknowledged(Signals::default());
        story.after(3 * SECOND);
        assert_eq!(story.beat(), None, "long polls show changes");
        assert!(end(&mut story.activity, story.now), "it is due earlier");
        assert!(story.beat().is_some());
    }
}

#[test]
fn reasons_of_a_description_precede_those_of_the_workflow() {
    let mut story = followed();
    let reasons = |reason: &str| Reasons { cancel_reason: Some(reason.into()), ..Reasons::default() };
    story.activity.note_workflow_reasons(&reasons("workflow"));
    let reason = |story: &Story| story.activity.info(story.now).server.reasons.cancel_reason;
    assert_eq!(reason(&story).as_deref(), Some("workflow"));
    story.observe(Conditions { reasons: reasons("activity"), ..Conditions::default() });
    assert_eq!(reason(&story).as_deref(), Some("activity"));
}

#[test]
fn plain_activity_knows_nothing_of_the_server() {
    let story = Story::with_nothing_to_erase();
    assert_eq!(story.activity.info(story.now).server, ServerInfo::default());
}
