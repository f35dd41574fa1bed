//! The rules of records that wait for the codec.

use super::*;

/// Opens an activity with a codec, a heartbeat timeout of 10 s, and nothing to erase.
fn with_codec(options: OpenOptions) -> Story {
    Story::begin(OpenOptions { has_codec: true, ..options })
}

/// Opens one whose first record, 1, is acknowledged.
fn after_first_record() -> Story {
    let mut story = with_codec(handed_nothing());
    story.record("1");
    assert_eq!(story.encoding().as_deref(), Some("1"));
    story.encoded("-1");
    assert_eq!(story.beat().as_deref(), Some("-1"));
    story.acknowledged(Signals::default());
    story
}

fn text(payloads: &Payloads) -> String {
    String::from_utf8(payloads.values().unwrap()[0].data.to_vec()).unwrap()
}

impl Story {
    /// Returns the JSON that the scheduler must encode now.
    fn encoding(&mut self) -> Option<String> {
        self.activity.next_encoding(self.now).as_ref().map(text)
    }

    fn encoded(&mut self, json: &str) {
        self.activity.encoded(Ok(Encoded::by_codec(Payloads::from_json_values([json]))), self.now);
    }

    fn not_encoded(&mut self, status: Status, retry: Retry) {
        let failed = RpcError { retry, ..RpcError::permanent(Error::new(status, "why")) };
        self.activity.encoded(Err(failed), self.now);
    }

    /// Advances the time until the activity is due.
    fn until_due(&mut self) -> &mut Self {
        assert_ne!(self.activity.due(), Moment::NEVER);
        self.now = self.activity.due().max(self.now);
        self
    }

    fn waits(&self) -> bool {
        self.activity.info(self.now).unencoded.is_some()
    }

    fn last_error(&self) -> Option<Status> {
        self.activity.info(self.now).last_error.map(|error| error.status())
    }
}

#[test]
fn first_record_is_encoded_and_sent_at_once() {
    let mut story = with_codec(handed_nothing());
    assert!(story.record("1"), "the scheduler must wake up");
    assert!(story.waits());
    assert_eq!(story.encoding().as_deref(), Some("1"));
    assert_eq!(
        (story.encoding(), story.beat()),
        (None, None),
        "one try at a time, and nothing is sent unencoded"
    );
    story.after(SECOND).encoded("-1");
    assert!(!story.waits());
    assert_eq!(story.beat().as_deref(), Some("-1"));
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());
}

#[test]
fn pulse_resends_the_last_encoded_details_while_the_codec_is_away() {
    let mut story = after_first_record();
    story.record("2");
    for _ in 0..10 {
        story.until_due();
        if story.encoding().is_some() {
            story.not_encoded(Status::Unavailable, Retry::Soon);
        }
        if let Some(details) = story.beat() {
            assert_eq!(details, "-1");
            story.acknowledged(Signals::default());
        }
        assert!(!story.has(Signals::LEASE_LOST) && !story.has(Signals::REFUSED));
        assert!(story.waits() && story.activity.info(story.now).pending);
    }
    assert_eq!(story.last_error(), Some(Status::Unavailable));
    story.record("3");
    while story.encoding().is_none() {
        story.until_due();
        if story.beat().is_some() {
            story.acknowledged(Signals::default());
        }
    }
    story.encoded("-3");
    assert_eq!((story.waits(), story.last_error()), (false, None));
    while !story.activity.is_flushed().unwrap() {
        assert!(story.until_due().beat().is_none_or(|details| details == "-3"));
        story.acknowledged(Signals::default());
    }
}

#[test]
fn encoding_begins_early_enough_for_the_next_beat() {
    let mut story = after_first_record();
    let due = story.activity.due();
    story.record("2");
    assert_eq!(story.encoding(), None, "a newer record may replace it");
    story.until_due();
    assert!(story.now < due && due.since(story.now) <= SECOND);
    assert_eq!(story.encoding().as_deref(), Some("2"));
    story.encoded("-2");
    story.now = due;
    assert_eq!(story.beat().as_deref(), Some("-2"));
}

#[test]
fn due_beat_is_postponed_for_the_codec_as_long_as_the_lease_allows() {
    for is_in_time in [true, false] {
        let mut story = after_first_record();
        let due = story.activity.due();
        story.record("2");
        story.until_due();
        assert!(story.encoding().is_some());
        story.now = due;
        assert_eq!(story.beat(), None, "it waits for the codec");
        if is_in_time {
            story.after(SECOND / 10).encoded("-2");
            assert_eq!(story.beat().as_deref(), Some("-2"));
        } else {
            story.until_due();
            assert!(story.now.since(due) < SECOND, "the lease is more important");
            assert_eq!(story.beat().as_deref(), Some("-1"));
        }
    }
}

#[test]
fn due_beat_does_not_wait_for_a_codec_that_has_failed() {
    let mut story = after_first_record();
    let due = story.activity.due();
    story.record("2");
    story.until_due();
    assert!(story.encoding().is_some());
    story.now = due;
    assert_eq!(story.beat(), None);
    story.not_encoded(Status::Unavailable, Retry::Soon);
    assert_eq!(story.beat().as_deref(), Some("-1"), "the postponed beat is sent at once");
}

#[test]
fn beat_after_news_does_not_wait_for_the_codec() {
    let mut story = after_first_record();
    story.record("2");
    assert!(story.until_due().encoding().is_some(), "the codec hangs");
    story.activity.request_signals(story.now);
    assert_eq!(story.beat().as_deref(), Some("-1"));
}

#[test]
fn newest_record_wins() {
    let mut story = with_codec(handed_nothing());
    story.record("1");
    assert!(story.encoding().is_some());
    story.record("2");
    story.record("3");
    story.encoded("-1");
    assert!(story.waits());
    assert_eq!(story.beat().as_deref(), Some("-1"));
    story.acknowledged(Signals::default());
    assert!(!story.activity.is_flushed().unwrap(), "record 3 isn't sent");
    story.until_due();
    assert_eq!(story.encoding().as_deref(), Some("3"));
    story.encoded("-3");
    while story.beat().is_none() {
        story.until_due();
    }
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());
}

#[test]
fn flush_of_a_touch_waits_for_the_record_that_waits() {
    let mut story = after_first_record();
    story.record("2");
    story.activity.touch(story.now).unwrap();
    story.activity.record_touch();
    assert!(story.activity.request_flush(story.now), "the codec is asked at once");
    assert_eq!(story.encoding().as_deref(), Some("2"));
    assert!(!story.activity.is_flushed().unwrap());
    story.encoded("-2");
    assert_eq!(story.beat().as_deref(), Some("-2"));
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());

    // Without a record that waits, it needs no codec.
    story.activity.touch(story.now).unwrap();
    story.activity.record_touch();
    story.activity.request_flush(story.now);
    assert_eq!((story.encoding(), story.beat().as_deref()), (None, Some("-2")));
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());
}

#[test]
fn without_a_pulse_each_record_and_touch_renews_the_lease_while_the_codec_is_away() {
    let mut story = with_codec(OpenOptions { pulse: false, ..handed_nothing() });
    story.record("1");
    assert!(story.encoding().is_some());
    story.encoded("-1");
    assert_eq!(story.beat().as_deref(), Some("-1"));
    story.acknowledged(Signals::default());
    for is_touch in [false, true, false] {
        if is_touch {
            story.activity.touch(story.now).unwrap();
        } else {
            story.record("2");
        }
        let details = loop {
            story.until_due();
            if story.encoding().is_some() {
                story.not_encoded(Status::Unavailable, Retry::Soon);
            }
            if let Some(details) = story.beat() {
                break details;
            }
        };
        assert_eq!(details, "-1");
        story.acknowledged(Signals::default());
        assert!(!story.has(Signals::LEASE_LOST));
    }
    // There is nothing new to beat for, but the codec is still asked.
    while story.encoding().is_none() {
        assert_eq!(story.until_due().beat(), None);
    }
    story.encoded("-2");
    assert_eq!(story.until_due().beat().as_deref(), Some("-2"));
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap() && story.activity.due() == Moment::NEVER);
}

#[test]
fn refusing_codec_is_asked_at_the_usual_interval_and_at_once_if_a_call_waits() {
    for pulse in [true, false] {
        let mut story = with_codec(OpenOptions { pulse, ..handed_nothing() });
        story.record("1");
        assert!(story.encoding().is_some());
        story.not_encoded(Status::Unauthenticated, Retry::WithOtherCredentials);
        assert!(story.has(Signals::REFUSED));
        assert_eq!(story.last_error(), Some(Status::Unauthenticated));
        story.record("2");
        assert_eq!(story.encoding(), None, "it would answer the same");
        story.after(4 * SECOND);
        assert_eq!(story.encoding(), None);
        story.after(SECOND);
        assert_eq!(story.encoding().as_deref(), Some("2"));
        story.not_encoded(Status::Unauthenticated, Retry::WithOtherCredentials);

        story.activity.request_flush(story.now);
        story.activity.check_flush().unwrap();
        assert_eq!(story.encoding().as_deref(), Some("2"));
        story.not_encoded(Status::Unauthenticated, Retry::WithOtherCredentials);
        assert_eq!(story.activity.check_flush().unwrap_err().status(), Status::Unauthenticated);
        assert_eq!(story.encoding(), None);

        story.activity.request_flush(story.now);
        assert!(story.encoding().is_some());
        story.encoded("-2");
        assert!(!story.has(Signals::REFUSED));
        assert_eq!(story.beat().as_deref(), Some("-2"));
    }
}

#[test]
fn too_large_details_are_refused_until_a_smaller_record() {
    let mut story = after_first_record();
    story.record("2");
    story.until_due();
    assert!(story.encoding().is_some());
    story.not_encoded(Status::TooLarge, Retry::Never);
    assert!(story.has(Signals::REFUSED) && story.waits());
    assert_eq!(story.last_error(), Some(Status::TooLarge));
    for _ in 0..3 {
        assert_eq!(story.until_due().beat().as_deref(), Some("-1"), "the last good details are resent");
        story.acknowledged(Signals::default());
        assert_eq!(story.encoding(), None, "the same details stay too large");
    }
    story.record("3");
    while story.encoding().is_none() {
        assert_eq!(story.until_due().beat(), None, "the smaller record is in time for the next beat");
    }
    story.encoded("-3");
    assert!(!story.has(Signals::REFUSED));
    while story.beat().is_none() {
        story.until_due();
    }
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());
}

#[test]
fn record_made_while_the_codec_refuses_a_larger_one_is_encoded_for_the_next_beat() {
    let mut story = after_first_record();
    story.record("2");
    story.until_due();
    assert!(story.encoding().is_some());
    story.record("3");
    story.not_encoded(Status::TooLarge, Retry::Never);
    while story.encoding().is_none() {
        assert_eq!(story.until_due().beat(), None);
    }
    story.encoded("-3");
    assert!(!story.has(Signals::REFUSED));
}

#[test]
fn readable_answer_is_refused_if_the_activity_requires_encoded_values() {
    let mut story = with_codec(OpenOptions { require_encoded: true, ..handed_nothing() });
    story.record("1");
    assert!(story.encoding().is_some());
    story.encoded("1");
    assert!(story.has(Signals::REFUSED));
    assert_eq!(story.last_error(), Some(Status::InvalidArgument));
    while story.activity.due() < story.now.later(SECOND) {
        assert_eq!((story.encoding(), story.beat()), (None, None));
    }
}

#[test]
fn activity_that_is_over_needs_no_codec() {
    for is_encoding in [true, false] {
        let mut story = after_first_record();
        story.record("2");
        story.activity.request_flush(story.now);
        assert!(story.encoding().is_some());
        if !is_encoding {
            story.not_encoded(Status::Unavailable, Retry::Soon);
        }
        story.after(6 * SECOND);
        assert_eq!(story.beat().as_deref(), Some("-1"), "the beat doesn't wait longer for the codec");
        story.failed(Status::NotFound, Retry::Never, false);
        assert!(story.has(Signals::GONE));
        assert_eq!((story.activity.due(), story.encoding()), (Moment::NEVER, None));
        if is_encoding {
            story.encoded("-2");
        }
        // The scheduler would examine the activity again and again.
        assert_eq!((story.activity.due(), story.activity.encoding_due()), (Moment::NEVER, Moment::NEVER));
        assert_eq!(story.after(60 * SECOND).encoding(), None);
    }
}

#[test]
fn handed_over_details_are_encoded_and_resent() {
    let details = Payloads::from_json_values(["41"]);
    let mut story =
        with_codec(OpenOptions { initial_details: Some(details), pulse: true, ..OpenOptions::default() });
    assert_eq!(story.encoding().as_deref(), Some("41"));
    let opening = story.activity.initial_details(false, story.now).unwrap().0.unwrap();
    assert_eq!(text(opening.payloads()), "41");
    story.encoded("-41");
    assert_eq!(story.until_due().beat().as_deref(), Some("-41"));
}

#[test]
fn details_that_the_server_holds_replace_those_that_were_handed_over_and_wait() {
    for is_encoding in [true, false] {
        let details = Payloads::from_json_values(["1"]);
        let options = OpenOptions { has_codec: true, initial_details: Some(details), ..handed_nothing() };
        let mut story = without_timeout(options);
        assert!(story.encoding().is_some());
        if !is_encoding {
            story.not_encoded(Status::Unavailable, Retry::Soon);
        }
        assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
        story.described(Some("-2"), Ids::default(), Attempt::default(), None);
        if is_encoding {
            story.encoded("-1");
        }
        assert_eq!((story.after(SECOND).encoding(), story.waits()), (None, false));
        assert_eq!(story.after(30 * SECOND).beat().as_deref(), Some("-2"));
    }
}

#[test]
fn unknown_timeout_is_fetched_while_the_codec_is_slow() {
    let mut story = without_timeout(OpenOptions { has_codec: true, ..handed_nothing() });
    story.record("1");
    assert!(story.encoding().is_some());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }), "it may be short");
    story.activity.complete(Outcome::Described(Box::new(told())), story.now);
    story.encoded("-1");
    assert_eq!(story.beat().as_deref(), Some("-1"));
}
