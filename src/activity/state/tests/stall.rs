//! Stalls: when they begin, what they change, and what ends them.

use super::*;
use crate::activity::stall_options::{StallAction, StallOptions};

/// Opens an activity with a stall timeout of 12 s and a record.
fn stalling(action: StallAction) -> Story {
    let stall = StallOptions { action, ..StallOptions::default() };
    let mut story = Story::begin(OpenOptions { stall_timeout: 12 * SECOND, stall, ..handed_nothing() });
    story.record("1");
    story.beat().unwrap();
    story.acknowledged(Signals::default());
    story
}

/// Lets the activity stall, with a beat every 5 s.
fn stalled(action: StallAction) -> Story {
    let mut story = stalling(action);
    for _ in 0..2 {
        story.after(5 * SECOND).beat().unwrap();
        story.acknowledged(Signals::default());
    }
    assert!(!story.has(Signals::STALLED), "10 s without progress");
    story.now = story.now.later(2 * SECOND);
    assert_eq!(story.activity.check_stall(story.now), Some(action));
    assert!(story.has(Signals::STALLED), "12 s without progress");
    assert_eq!(story.activity.check_stall(story.now), None, "once");
    story
}

#[test]
fn warning_keeps_the_pulse() {
    let mut story = stalled(StallAction::Warn);
    for _ in 0..10 {
        story.after(5 * SECOND).beat().unwrap();
        story.acknowledged(Signals::default());
    }
    story.record("2");
    assert!(!story.has(Signals::STALLED));
    assert!(story.activity.stall_due() == story.now.later(12 * SECOND), "it may stall again");
}

#[test]
fn pulse_continues_until_the_failure_cannot_be_reported() {
    let mut story = stalled(StallAction::Fail);
    story.after(5 * SECOND).beat().unwrap();
    story.acknowledged(Signals::default());

    story.activity.begin_stall_ending().unwrap();
    let unreachable = Err(Error::new(Status::Unavailable, "away"));
    story.activity.finish_ending(&unreachable, story.now);
    story.activity.stall_report_failed(story.now);
    assert_eq!(story.after(9 * SECOND).beat(), None, "the server must time the attempt out");
    story.now = story.now.later(SECOND);
    assert_eq!(story.activity.check_stall(story.now), Some(StallAction::Fail), "again");

    story.record("2");
    assert_eq!(story.beat().unwrap(), "2");
    story.acknowledged(Signals::default());
    story.after(5 * SECOND).beat().unwrap();
}

#[test]
fn progress_before_the_ending_prevents_it() {
    let mut story = stalled(StallAction::Fail);
    assert!(story.activity.stall_facts(story.now).is_some());
    story.activity.touch(story.now).unwrap();
    assert!(story.activity.stall_facts(story.now).is_none());
    assert_eq!(story.activity.begin_stall_ending().unwrap_err().status(), Status::FailedPrecondition);
    story.activity.begin_ending().unwrap();
}

#[test]
fn stall_is_reported_after_another_ending_has_failed() {
    let mut story = stalled(StallAction::Fail);
    story.activity.begin_ending().unwrap();
    assert!(story.activity.stall_facts(story.now).is_none());
    let unreachable = Err(Error::new(Status::Unavailable, "away"));
    story.activity.finish_ending(&unreachable, story.now);
    assert_eq!(story.activity.check_stall(story.now), Some(StallAction::Fail));
}

#[test]
fn first_ending_wins() {
    let mut story = stalled(StallAction::Fail);
    story.activity.begin_ending().unwrap();
    assert_eq!(story.activity.begin_stall_ending().unwrap_err().status(), Status::Ended);
    story.activity.finish_ending(&Ok(()), story.now);
    assert!(!story.has(Signals::GONE) && !story.has(Signals::STALLED));

    let mut story = stalled(StallAction::Fail);
    story.activity.begin_stall_ending().unwrap();
    assert_eq!(story.activity.begin_ending().unwrap_err().status(), Status::Ended);
    story.activity.may_end(story.now).unwrap().unwrap();
    assert!(!story.activity.has_lost_record());
    // The hung work continues just now.
    story.record("2");
    story.activity.finish_ending(&Ok(()), story.now);
    let ended = story.activity.record(Encoding::Json, b"3", LIMIT, story.now).unwrap_err();
    assert_eq!(ended.status(), Status::Ended);
    assert!(ended.message().contains("stall_timeout_ms"), "{ended}");
    assert!(story.activity.has_lost_record(), "close reports it");
    assert!(story.has(Signals::GONE), "its other threads must stop");
    assert_eq!(story.activity.stall_due(), Moment::NEVER);
}

#[test]
fn frozen_time_does_not_count() {
    let mut story = stalling(StallAction::Fail);
    for _ in 0..3 {
        story.now = story.now.later(60 * SECOND);
        story.activity.exclude_from_stall(60 * SECOND, story.now);
        assert_eq!(story.activity.check_stall(story.now), None);
    }
    story.now = story.now.later(11 * SECOND);
    assert_eq!(story.activity.check_stall(story.now), None);
    story.now = story.now.later(SECOND);
    assert_eq!(story.activity.check_stall(story.now), Some(StallAction::Fail));
    // Progress after the process runs again, and before the scheduler notices that it was frozen.
    story.record("2");
    story.activity.exclude_from_stall(60 * SECOND, story.now);
    assert_eq!(story.activity.stall_due(), story.now.later(12 * SECOND));
}

#[test]
fn pause_that_the_next_answer_brings_clears_a_stall() {
    let mut story = stalled(StallAction::Fail);
    story.after(5 * SECOND).beat().unwrap();
    story.acknowledged(Signals::PAUSED);
    assert!(!story.has(Signals::STALLED));
    assert!(story.activity.begin_stall_ending().is_err());
    story.after(60 * SECOND);
    assert!(!story.has(Signals::STALLED));
}

#[test]
fn status_is_kept_and_limited() {
    let mut story = stalled(StallAction::Fail);
    story.activity.set_status("loading", 0).unwrap();
    assert!(story.has(Signals::STALLED), "a status is no progress");
    assert_eq!(story.activity.stall_facts(story.now).unwrap().status, "loading");
    let refused = story.activity.set_status(&"x".repeat(4097), 0).unwrap_err();
    assert_eq!(refused.status(), Status::TooLarge);
    assert_eq!(story.activity.info(story.now).status, "loading");
    story.activity.set_status("", 0).unwrap();
    assert_eq!(story.activity.info(story.now).status, "");
}
