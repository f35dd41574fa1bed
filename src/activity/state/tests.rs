//! The rules of an open activity. Each test is a sequence of events with their times and the expected next steps.

mod encoder;
mod server_view;
mod stall;

use bytes::Bytes;

use super::*;
use crate::{
    client::{
        Found,
        description::{Description, State},
        rpc_error::{Retry, RpcError},
    },
    model::{
        attempt::{Attempt, Ids},
        conditions::Conditions,
        details::About,
        payload::Encoding,
        status::Status,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const LIMIT: usize = 1 << 20;

/// A task token of the workflow "w" in its run "r", for the first attempt of the activity "a".
const TOKEN: &[u8] = b"\x0a\x01n\x12\x01w\x1a\x01r\x28\x01\x32\x01a";

/// An activity and its current time.
struct Story {
    activity: Activity,
    now: Moment,
}

impl Story {
    /// Opens an activity with heartbeat timeout 10 s, so that a beat is due every 5 s.
    fn begin(options: OpenOptions) -> Self {
        let now = Moment::now();
        let options = OpenOptions { heartbeat_timeout: 10 * SECOND, ..options };
        Story { activity: Activity::open(TOKEN, options, now).unwrap(), now }
    }

    fn with_nothing_to_erase() -> Self {
        Self::begin(OpenOptions {
            pulse: true,
            initial_details: Some(Payloads::default()),
            ..OpenOptions::default()
        })
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now = self.now.later(time);
        // As the scheduler does.
        self.activity.check_stall(self.now);
        self
    }

    fn record(&mut self, json: &str) -> bool {
        self.activity.record(Encoding::Json, json.as_bytes(), LIMIT, self.now).unwrap()
    }

    /// Returns the JSON that a beat carries now, empty without details. Returns `None` when no beat is due.
    fn beat(&mut self) -> Option<String> {
        match self.activity.next_step(self.now) {
            Step::Beat { details, .. } => Some(details.map_or(String::new(), |details| {
                String::from_utf8(details.payloads().values().unwrap()[0].data.to_vec()).unwrap()
            })),
            Step::Describe { .. } => panic!("a describe"),
            Step::At(_) | Step::Nothing => None,
        }
    }

    fn acknowledged(&mut self, asked: Signals) {
        self.acknowledged_with(asked, None);
    }

    fn acknowledged_with(&mut self, signals: Signals, heartbeat_timeout: Option<Duration>) {
        let conditions = heartbeat_timeout.map(|timeout| {
            Box::new(Conditions { heartbeat_timeout: Some(timeout), ..Conditions::default() })
        });
        let answer = Acknowledgement { signals, conditions };
        self.activity.complete(Outcome::Acknowledged(answer), self.now);
    }

    fn failed(&mut self, status: Status, retry: Retry, late: bool) {
        let rpc_error = RpcError { retry, timed_out: late, ..RpcError::permanent(Error::new(status, "why")) };
        self.activity.complete(Outcome::Failed(rpc_error), self.now);
    }

    /// Applies a Describe answer with the details that the server holds.
    fn described(&mut self, held: Option<&str>, ids: Ids, attempt: Attempt, token: Option<&'static [u8]>) {
        let description = Description {
            ids,
            attempt,
            state: State::Running,
            state_in_words: "",
            details: Details::handed_over(Payloads::from_json_values(held)).unwrap(),
            conditions: Conditions::default(),
            last_failure: None,
            changes: None,
            last_identity: String::new(),
        };
        let token = token.map(Bytes::from_static);
        self.activity.complete(Outcome::Described(Box::new(Found { description, token })), self.now);
    }

    fn has(&self, signal: Signals) -> bool {
        self.activity.signals(self.now).contains(signal)
    }
}

/// Opens an activity with a token that can be parsed, but without a heartbeat timeout from the parent.
fn without_timeout(options: OpenOptions) -> Story {
    let now = Moment::now();
    Story { activity: Activity::open(TOKEN, options, now).unwrap(), now }
}

fn handed_nothing() -> OpenOptions {
    OpenOptions { pulse: true, initial_details: Some(Payloads::default()), ..OpenOptions::default() }
}

/// Opens an activity with this heartbeat timeout and nothing to erase.
fn with_timeout(heartbeat_timeout: Duration) -> Story {
    let now = Moment::now();
    let options = OpenOptions { heartbeat_timeout, ..handed_nothing() };
    Story { activity: Activity::open(TOKEN, options, now).unwrap(), now }
}

/// Returns the server's description of it: the first attempt, with a timeout of 10 s.
fn told() -> Found {
    let heartbeat_timeout = Some(10 * SECOND);
    let about = About { attempt: 1, heartbeat_timeout, ..About::default() };
    let description = Description {
        ids: Ids::default(),
        attempt: Attempt { number: 1, started_at: 0 },
        state: State::Running,
        state_in_words: "",
        details: Details::described(None, about).unwrap(),
        conditions: Conditions { heartbeat_timeout, ..Conditions::default() },
        last_failure: None,
        changes: None,
        last_identity: String::new(),
    };
    Found { description, token: None }
}

#[test]
fn unknown_timeout_is_fetched_before_the_first_pulse() {
    let mut story = without_timeout(handed_nothing());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.activity.complete(Outcome::Described(Box::new(told())), story.now);
    assert!(story.activity.due() <= story.now.later(5 * SECOND) && story.beat().is_none());
    assert_eq!(story.after(5 * SECOND).beat().unwrap(), "");
}

#[test]
fn changed_timeout_is_read_from_each_description() {
    let handed = || OpenOptions { heartbeat_timeout: 30 * SECOND, pulse: true, ..OpenOptions::default() };
    let mut story = without_timeout(handed());
    story.after(20 * SECOND);
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.activity.complete(Outcome::Described(Box::new(told())), story.now);
    assert_eq!(story.activity.info(story.now).heartbeat_timeout, 10 * SECOND);
    assert!(story.has(Signals::LEASE_LOST));

    // By ids each beat has a description before it.
    story.beat().unwrap();
    story.acknowledged_with(Signals::default(), Some(2 * SECOND));
    assert!(story.activity.due() <= story.now.later(SECOND));
    assert!(story.after(SECOND).beat().is_some());
    story.acknowledged_with(Signals::default(), Some(Duration::ZERO));
    assert_eq!(story.after(20 * SECOND).beat(), None);
    assert!(!story.has(Signals::LEASE_LOST));
}

#[test]
fn handed_over_details_stay_the_initial_details() {
    let details = Payloads::from_json_values(["41"]);
    let mut story = without_timeout(OpenOptions { initial_details: Some(details), ..handed_nothing() });
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.activity.complete(Outcome::Described(Box::new(told())), story.now);
    let opening = story.activity.initial_details(false, story.now).unwrap().0.unwrap();
    assert_eq!(opening.values().len(), 1);
    assert_eq!(story.after(5 * SECOND).beat().unwrap(), "41");
}

#[test]
fn handed_over_details_name_the_attempt_of_the_token() {
    let mut story = without_timeout(handed_nothing());
    let opening = story.activity.initial_details(false, story.now).unwrap().0.unwrap();
    assert_eq!(opening.about().attempt, 1);
}

#[test]
fn pulse_resends_details_that_came_after_the_hand_off() {
    let mut story = without_timeout(handed_nothing());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.described(Some("2"), Ids::default(), Attempt::default(), None);
    assert!(story.activity.initial_details(false, story.now).unwrap().0.unwrap().values().is_empty());
    assert_eq!(story.after(30 * SECOND).beat().unwrap(), "2");
}

#[test]
fn first_record_is_sent_at_once_after_beats_without_a_record() {
    let mut story = Story::with_nothing_to_erase();
    story.after(8 * SECOND);
    assert_eq!(story.beat(), Some(String::new()));
    story.acknowledged(Signals::default());
    assert_eq!(story.beat(), None);
    assert!(story.record("1"), "it is due earlier");
    assert_eq!(story.beat().as_deref(), Some("1"));
    story.acknowledged(Signals::default());
    story.record("2");
    assert_eq!(story.beat(), None, "only the first one");

    // Also one that is recorded during such a beat.
    let mut story = Story::with_nothing_to_erase();
    story.after(8 * SECOND);
    assert_eq!(story.beat(), Some(String::new()));
    story.record("1");
    story.acknowledged(Signals::default());
    assert_eq!(story.beat().as_deref(), Some("1"));
}

#[test]
fn first_record_is_sent_before_the_timeout_is_fetched() {
    let mut story = without_timeout(handed_nothing());
    story.record("1");
    assert_eq!(story.beat().unwrap(), "1");
    story.acknowledged(Signals::default());
    story.record("2");
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.activity.complete(Outcome::Described(Box::new(told())), story.now);
    assert_eq!(story.beat(), None, "the second one waits for its time");
    assert_eq!(story.after(5 * SECOND).beat().unwrap(), "2");
    assert!(story.activity.initial_details(false, story.now).unwrap().0.unwrap().values().is_empty());
}

#[test]
fn failed_describe_delays_and_refuses_no_beat() {
    let mut story = without_timeout(handed_nothing());
    story.record("1");
    story.beat().unwrap();
    story.acknowledged(Signals::default());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.failed(Status::Unavailable, Retry::Soon, false);
    assert!(story.activity.due() > story.now.later(20 * SECOND), "it isn't asked again and again");
    assert_eq!(story.after(30 * SECOND).beat().unwrap(), "1", "the beat comes first");
    story.acknowledged(Signals::default());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.failed(Status::PermissionDenied, Retry::Never, false);
    assert!(!story.has(Signals::REFUSED));
    story.after(30 * SECOND).beat().unwrap();
    story.acknowledged(Signals::default());
    assert!(story.activity.due() > story.now, "a denied lookup isn't repeated at once");
}

#[test]
fn flush_during_a_failed_describe_is_sent_at_once() {
    let mut story = without_timeout(handed_nothing());
    story.record("1");
    assert_eq!(story.beat().as_deref(), Some("1"));
    story.acknowledged(Signals::default());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.record("2");
    assert!(!story.activity.request_flush(story.now));
    story.failed(Status::Unavailable, Retry::Soon, false);
    assert_eq!(story.beat().as_deref(), Some("2"));
}

#[test]
fn describe_of_the_timeout_never_ends_the_activity() {
    let mut early = without_timeout(handed_nothing());
    assert!(matches!(early.activity.next_step(early.now), Step::Describe { .. }));
    early.failed(Status::NotFound, Retry::Never, false);
    early.record("1");
    assert_eq!(early.beat().unwrap(), "1");

    let mut story = without_timeout(handed_nothing());
    story.record("1");
    story.beat().unwrap();
    story.acknowledged(Signals::default());
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(!story.has(Signals::GONE));
    story.after(30 * SECOND).beat().unwrap();
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(story.has(Signals::GONE));
}

#[test]
fn record_during_a_beat_is_sent_with_the_next_beat() {
    let mut story = Story::with_nothing_to_erase();
    assert!(story.record("1"), "the first record must wake the sender");
    assert_eq!(story.beat().unwrap(), "1");
    assert!(!story.record("2") && !story.record("3"));
    assert_eq!(story.beat(), None, "one at a time");
    story.after(SECOND).acknowledged(Signals::default());
    assert!(!story.activity.is_flushed().unwrap());
    assert_eq!(story.beat(), None, "not before its time");
    assert_eq!(story.after(4 * SECOND).beat().unwrap(), "3", "5 s after the send of the first");
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap());
}

#[test]
fn pulse_resends_the_newest_record_until_a_stall() {
    let mut story = Story::begin(OpenOptions {
        pulse: true,
        stall_timeout: 12 * SECOND,
        initial_details: Some(Payloads::default()),
        ..OpenOptions::default()
    });
    story.record("1");
    for _ in 0..3 {
        assert_eq!(story.beat().unwrap(), "1");
        story.acknowledged(Signals::default());
        story.after(5 * SECOND);
    }
    assert!(story.has(Signals::STALLED), "15 s without progress");
    assert_eq!(story.beat(), None);
    assert!(story.activity.touch(story.now).unwrap());
    assert!(!story.has(Signals::STALLED));
    assert_eq!(story.beat().unwrap(), "1");
}

#[test]
fn pause_is_not_a_stall() {
    let mut story = Story::begin(OpenOptions {
        pulse: true,
        stall_timeout: 6 * SECOND,
        initial_details: Some(Payloads::default()),
        ..OpenOptions::default()
    });
    story.record("1");
    for asked in [Signals::PAUSED, Signals::PAUSED, Signals::default()] {
        assert!(story.beat().is_some());
        story.acknowledged(asked);
        story.after(5 * SECOND);
        assert!(!story.has(Signals::STALLED));
    }
    story.after(2 * SECOND);
    assert!(story.has(Signals::STALLED), "6 s after the pause was over");
}

#[test]
fn without_a_pulse_only_records_are_sent() {
    let mut story = Story::begin(OpenOptions { pulse: false, ..OpenOptions::default() });
    assert_eq!(story.after(60 * SECOND).beat(), None);
    assert!(story.record("1"));
    assert_eq!(story.beat().unwrap(), "1");
    story.acknowledged(Signals::default());
    assert_eq!(story.after(60 * SECOND).beat(), None);
    assert!(story.record("2"), "the sender sleeps, so it must be woken");
    assert_eq!(story.beat().unwrap(), "2");
}

#[test]
fn record_replaces_the_details_of_the_server() {
    let mut story = Story::begin(OpenOptions { pulse: true, ..OpenOptions::default() });
    story.activity.initial_details = InitialDetails::Wanted;
    story.activity.due = story.now;
    assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
    assert!(!story.record("\"mine\""));
    story.described(Some("\"theirs\""), Ids::default(), Attempt::default(), None);
    assert_eq!(story.beat().unwrap(), "\"mine\"");
    let (opening, _) = story.activity.initial_details(false, story.now).unwrap();
    assert_eq!(opening.unwrap().values()[0].data, "\"theirs\"");
}

#[test]
fn failed_try_is_repeated_after_a_pause_and_timed_out_try_at_once() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    story.beat().unwrap();
    story.failed(Status::Unavailable, Retry::Soon, false);
    assert_eq!(story.beat(), None);
    assert_eq!(story.after(SECOND / 10).beat().unwrap(), "1");
    story.failed(Status::Timeout, Retry::Soon, true);
    assert_eq!(story.beat().unwrap(), "1");
    story.failed(Status::ResourceExhausted, Retry::Slowly, false);
    assert_eq!(story.after(SECOND * 9 / 10).beat(), None);
    // The pause is at least one second, plus at most 0.3 s.
    assert_eq!(story.after(SECOND * 4 / 10).beat().unwrap(), "1");
    assert_eq!(story.activity.info(story.now).counts.failed_tries, 3);
}

#[test]
fn lease_counts_from_the_send_of_the_acknowledged_beat() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    story.beat().unwrap();
    story.after(4 * SECOND).acknowledged(Signals::default());
    story.after(6 * SECOND);
    assert!(!story.has(Signals::LEASE_LOST));
    story.after(SECOND / 1000);
    assert!(story.has(Signals::LEASE_LOST), "10 s after the send, not after the answer");
    assert_eq!(story.activity.next_change(story.now), Moment::NEVER);
    story.beat().unwrap();
    story.acknowledged(Signals::default());
    assert!(!story.has(Signals::LEASE_LOST));
    assert_eq!(story.activity.info(story.now).counts.leases_regained, 1);
}

#[test]
fn flush_waits_only_for_the_beat_in_flight() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    story.beat().unwrap();
    story.record("2");
    assert!(!story.activity.request_flush(story.now), "the sender will see it when it is back");
    assert_eq!(story.beat(), None);
    story.acknowledged(Signals::default());
    assert_eq!(story.beat().unwrap(), "2");
}

#[test]
fn ending_call_suspends_beats_and_carries_unsent_details() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    story.beat().unwrap();
    story.record("2");
    story.activity.begin_ending().unwrap();
    assert!(story.activity.may_end(story.now).unwrap().is_none(), "a beat is under way");
    story.acknowledged(Signals::default());
    assert_eq!(story.after(60 * SECOND).beat(), None);
    assert_eq!(
        story.activity.may_end(story.now).unwrap().unwrap().unsent,
        Some(Encoded::without_codec(Payloads::from_json_values(["2"])))
    );
    assert!(story.activity.finish_ending(&Err(Error::new(Status::Unavailable, "away")), story.now));
    assert_eq!(story.beat().unwrap(), "2", "the ending failed, so the beats continue");
    story.acknowledged(Signals::default());
    story.activity.begin_ending().unwrap();
    assert_eq!(story.activity.may_end(story.now).unwrap().unwrap().unsent, None);
    assert!(!story.activity.finish_ending(&Ok(()), story.now));
    assert_eq!(story.activity.begin_ending().unwrap_err().status(), Status::Ended);
}

#[test]
fn not_found_is_final() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    story.beat().unwrap();
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(story.has(Signals::GONE));
    assert_eq!(story.after(60 * SECOND).beat(), None);
    let refused = story.activity.record(Encoding::Json, b"2", LIMIT, story.now).unwrap_err();
    assert_eq!(refused.status(), Status::NotFound);
    assert!(!story.has(Signals::LEASE_LOST), "there is no lease any more");
}

#[test]
fn each_flush_returns_a_new_refusal() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    // The sender already waits for the first record, but must learn of the second request.
    for tell in [false, true] {
        assert_eq!(story.activity.request_flush(story.now), tell);
        story.activity.check_flush().unwrap();
        assert_eq!(story.beat().unwrap(), "1");
        story.failed(Status::PermissionDenied, Retry::Never, false);
        assert_eq!(story.activity.check_flush().unwrap_err().status(), Status::PermissionDenied);
        assert_eq!(story.beat(), None, "no call waits any more");
        story.after(SECOND);
    }
    story.activity.request_flush(story.now);
    assert_eq!(story.beat().unwrap(), "1");
    story.acknowledged(Signals::default());
    story.activity.check_flush().unwrap();
    assert!(story.activity.is_flushed().unwrap() && !story.has(Signals::REFUSED));
}

#[test]
fn refusal_is_returned_to_calls_that_wait_for_the_initial_details() {
    let mut story = Story::begin(OpenOptions { pulse: true, ..OpenOptions::default() });
    for _ in 0..2 {
        assert!(story.activity.initial_details(false, story.now).unwrap().0.is_none());
        assert!(story.activity.initial_details(true, story.now).unwrap().0.is_none());
        assert!(matches!(story.activity.next_step(story.now), Step::Describe { .. }));
        story.failed(Status::PermissionDenied, Retry::Never, false);
        let refused = story.activity.initial_details(true, story.now).unwrap_err();
        assert_eq!(refused.status(), Status::PermissionDenied);
        assert_eq!(story.beat(), None);
        story.after(SECOND);
    }
}

/// Opens an activity by ids, for which the server has reported that the second attempt runs.
fn by_ids(token: Option<&'static [u8]>) -> Story {
    let now = Moment::now();
    let ids = Ids { workflow_id: "w".into(), run_id: String::new(), activity_id: "a".into() };
    let options =
        OpenOptions { pulse: true, heartbeat_timeout: 10 * SECOND, ids: Some(ids), ..OpenOptions::default() };
    let mut story = Story { activity: Activity::open(b"", options, now).unwrap(), now };
    story.record("1");
    assert!(
        matches!(story.activity.next_step(now), Step::Describe { .. }),
        "nothing is sent before the attempt is known"
    );
    let ids = Ids { workflow_id: "w".into(), run_id: "r".into(), activity_id: "a".into() };
    story.described(None, ids, Attempt { number: 2, started_at: 7 }, token);
    story
}

/// Returns where the beat that is due is sent.
fn target(story: &mut Story) -> Target {
    match story.activity.next_step(story.now) {
        Step::Beat { target, .. } => target,
        step => panic!("{step:?}"),
    }
}

#[test]
fn flush_after_a_touch_waits_for_a_beat_unless_one_was_acknowledged_since() {
    let mut story = Story::with_nothing_to_erase();
    let flushes = |story: &mut Story| {
        story.activity.record_touch();
        let waits = !story.activity.is_flushed().unwrap();
        if waits {
            story.activity.request_flush(story.now);
            story.beat().unwrap();
        }
        waits
    };
    assert!(!flushes(&mut story));
    story.activity.touch(story.now).unwrap();
    assert!(!story.activity.info(story.now).pending);
    assert!(flushes(&mut story));
    story.acknowledged(Signals::default());
    assert!(story.activity.is_flushed().unwrap() && !flushes(&mut story));

    story.after(SECOND);
    story.activity.touch(story.now).unwrap();
    story.after(5 * SECOND).beat().unwrap();
    story.acknowledged(Signals::default());
    assert!(!flushes(&mut story));
}

fn addressed_by(story: &Story) -> Option<&'static str> {
    story.activity.info(story.now).addressed_by
}

#[test]
fn without_a_derived_token_each_beat_by_ids_is_checked_first() {
    let mut story = by_ids(None);
    for _ in 0..2 {
        let Target::Checked { ids, attempt, token } = target(&mut story) else { panic!("unchecked") };
        assert_eq!((ids.run_id.as_str(), attempt), ("r", Attempt { number: 2, started_at: 7 }));
        assert_eq!((token, addressed_by(&story)), (None, Some("ids")));
        story.acknowledged(Signals::default());
        story.after(5 * SECOND);
    }
}

#[test]
fn derived_token_is_checked_first_after_the_lease_is_lost() {
    let mut story = by_ids(Some(b"made up"));
    let derived = Bytes::from_static(b"made up");
    assert_eq!(target(&mut story), Target::Token(derived.clone()));
    assert_eq!(addressed_by(&story), None, "perhaps it isn't taken");
    story.acknowledged(Signals::default());
    assert_eq!(addressed_by(&story), Some("derived_token"));
    story.after(11 * SECOND);
    assert!(story.has(Signals::LEASE_LOST));
    assert!(matches!(target(&mut story), Target::Checked { token: Some(token), .. } if token == derived));
    story.acknowledged(Signals::default());
    story.after(5 * SECOND);
    assert_eq!(target(&mut story), Target::Token(derived));
}

#[test]
fn refused_derived_token_is_replaced_by_checks() {
    let mut story = by_ids(Some(b"made up"));
    target(&mut story);
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(!story.has(Signals::GONE), "it may be the token that isn't found");
    assert!(matches!(target(&mut story), Target::Checked { token: None, .. }));
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(story.has(Signals::GONE));
}

#[test]
fn not_found_of_an_accepted_derived_token_ends_the_activity() {
    let mut story = by_ids(Some(b"made up"));
    target(&mut story);
    story.acknowledged(Signals::default());
    story.after(5 * SECOND);
    target(&mut story);
    story.failed(Status::NotFound, Retry::Never, false);
    assert!(story.has(Signals::GONE));
}

#[test]
fn ending_by_ids_uses_a_derived_token_only_after_it_was_accepted() {
    let mut story = by_ids(Some(b"made up"));
    story.activity.begin_ending().unwrap();
    let end = story.activity.may_end(story.now).unwrap().unwrap();
    assert!(matches!(end.target, Target::Checked { token: None, .. }));
    story.activity.finish_ending(&Err(Error::new(Status::Unavailable, "away")), story.now);
    target(&mut story);
    story.acknowledged(Signals::default());
    story.activity.begin_ending().unwrap();
    let end = story.activity.may_end(story.now).unwrap().unwrap();
    assert_eq!(end.target, Target::Token(Bytes::from_static(b"made up")));
}

#[test]
fn require_encoded_refuses_readable_records() {
    let options = OpenOptions { pulse: true, require_encoded: true, ..OpenOptions::default() };
    let mut story = Story::begin(options);
    for (encoding, data) in [(Encoding::Json, &b"41"[..]), (Encoding::Binary, b"x")] {
        let refused = story.activity.record(encoding, data, LIMIT, story.now).unwrap_err();
        assert_eq!(refused.status(), Status::InvalidArgument);
    }
    assert_eq!(story.activity.newest_record(), 0);
    story.activity.record(Encoding::Null, b"", LIMIT, story.now).unwrap();
}

#[test]
fn requested_beat_is_sent_without_a_pulse_and_without_a_new_record() {
    let mut story = Story::begin(OpenOptions {
        initial_details: Some(Payloads::from_json_values(["41"])),
        ..OpenOptions::default()
    });
    assert_eq!(story.beat(), None);
    story.activity.request_beat(story.now).unwrap();
    assert!(story.activity.request_flush(story.now) || story.activity.due() <= story.now);
    assert_eq!(story.beat().as_deref(), Some("41"));
    story.acknowledged(Signals::CANCEL_REQUESTED);
    assert_eq!((story.activity.is_flushed().unwrap(), story.beat()), (true, None));
    assert!(story.has(Signals::CANCEL_REQUESTED));
}

/// Returns how long the try in flight may still last while a call waits for the newest record.
fn left_of_try(story: &mut Story, waiting: WaitingCall) -> Option<Duration> {
    let newest = story.activity.newest_record();
    story.activity.give_up_for_record(newest, waiting, story.now)
}

#[test]
fn try_gets_half_of_the_time_of_the_waiting_call() {
    let mut story = with_timeout(60 * SECOND);
    story.record("0");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    story.record("1");
    let waiting = WaitingCall::new(story.now, 8 * SECOND);
    story.activity.request_flush(story.now);
    assert!(story.beat().is_some());
    assert_eq!(left_of_try(&mut story, waiting), Some(4 * SECOND));
    assert_eq!(left_of_try(story.after(3 * SECOND), waiting), Some(SECOND));
    assert_eq!(left_of_try(story.after(SECOND), waiting), None);
    assert!(story.activity.is_given_up());
    story.activity.complete(Outcome::GivenUp, story.now);
    assert_eq!(story.beat().as_deref(), Some("1"), "it is repeated at once");
    assert!(!story.activity.is_given_up());
    assert_eq!(left_of_try(&mut story, waiting), Some(2 * SECOND));
}

#[test]
fn waiting_call_does_not_cost_the_lease_before_the_first_answer() {
    let mut story = with_timeout(30 * SECOND);
    // The first try gets 10 s. The server needs 12.9 s, and the second try can be the last one in time.
    story.after(5 * SECOND).record("1");
    assert!(story.beat().is_some());
    story.after(10 * SECOND).failed(Status::Timeout, Retry::Soon, true);
    assert!(story.beat().is_some());
    story.activity.request_flush(story.now);
    let waiting = WaitingCall::new(story.now, 7 * SECOND);
    assert_eq!(left_of_try(story.after(7 * SECOND), waiting), Some(8 * SECOND));
    assert!(!story.activity.is_given_up());
}

#[test]
fn waiting_call_does_not_cost_the_lease_when_an_answer_takes_longer_than_all_before() {
    let mut story = with_timeout(5 * SECOND);
    story.record("1");
    assert!(story.beat().is_some());
    story.after(SECOND / 2).acknowledged(Signals::default());
    story.record("2");
    assert!(story.after(2 * SECOND).beat().is_some());
    story.after(SECOND / 2).record("3");
    story.activity.request_flush(story.now);
    // The server needs 2.1 s this time. A repeat after the usual second would be answered after the lease.
    let waiting = WaitingCall::new(story.now, 10 * SECOND);
    assert!(left_of_try(story.after(3 * SECOND / 2), waiting).is_some());
    assert!(!story.activity.is_given_up());
}

#[test]
fn question_for_the_details_leaves_time_for_a_beat_on_the_slowest_server() {
    let now = Moment::now();
    let options = OpenOptions { heartbeat_timeout: 60 * SECOND, pulse: true, ..OpenOptions::default() };
    let mut story = Story { activity: Activity::open(TOKEN, options, now).unwrap(), now };
    assert!(story.activity.due() <= now.later(4 * SECOND));
    story.after(4 * SECOND);
    let Step::Describe { time, .. } = story.activity.next_step(story.now) else { panic!("no question") };
    // A short try before a full one would take too much time.
    assert!(time.answer >= 27 * SECOND, "{time:?}");
    let waiting = WaitingCall::new(story.now, SECOND);
    story.activity.request_beat(story.now).unwrap();
    assert!(left_of_try(story.after(20 * SECOND), waiting).is_some());
    story.described(None, Ids::default(), Attempt::default(), None);
    assert!(story.beat().is_some());
}

/// How many tries are made until one lasts for `takes`, and when it ends, while calls of this length wait one after the other.
fn tries_until_one_lasts(story: &mut Story, takes: Duration, call: Duration) -> (u32, Duration) {
    let start = story.now;
    let (mut began, mut tries, mut newest) = (None, 0, 0);
    for _ in 0..100 {
        newest += 1;
        story.record(&newest.to_string());
        story.activity.request_flush(story.now);
        let waiting = WaitingCall::new(story.now, call);
        for _ in 0..10 {
            if story.beat().is_some() {
                (began, tries) = (Some(story.now), tries + 1);
            }
            story.after(call / 10);
            if began.is_some_and(|began| story.now.since(began) >= takes) {
                return (tries, story.now.since(start));
            }
            if left_of_try(story, waiting).is_none() && story.activity.is_given_up() {
                story.activity.complete(Outcome::GivenUp, story.now);
            }
        }
    }
    panic!("no try lasts long enough");
}

#[test]
fn short_calls_leave_a_slow_server_time_to_answer() {
    let (tries, _) = tries_until_one_lasts(&mut Story::with_nothing_to_erase(), 3 * SECOND, SECOND);
    assert!(tries <= 4, "{tries} tries");
}

#[test]
fn short_calls_leave_a_very_slow_server_time_to_answer() {
    let mut story = with_timeout(60 * SECOND);
    let (tries, took) = tries_until_one_lasts(&mut story, 26 * SECOND, 5 * SECOND);
    assert!(took < 60 * SECOND, "the lease is lost: {tries} tries in {took:?}");
}

#[test]
fn short_calls_leave_a_server_that_is_too_slow_for_the_lease_time_to_answer() {
    let mut story = with_timeout(60 * SECOND);
    let (tries, took) = tries_until_one_lasts(&mut story, 48 * SECOND, 5 * SECOND);
    assert!(took < 240 * SECOND, "{tries} tries in {took:?}");
}

#[test]
fn beat_abandoned_by_a_failed_ending_does_not_count_as_sent() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    assert!(story.beat().is_some());
    story.acknowledged(Signals::default());
    assert!(story.after(5 * SECOND).beat().is_some());
    story.activity.begin_ending().unwrap();
    let waiting = WaitingCall::new(story.now, SECOND);
    assert_eq!(story.activity.give_up_for_ending(waiting, story.now), Some(SECOND / 8));
    story.after(SECOND / 8);
    assert_eq!(story.activity.give_up_for_ending(waiting, story.now), None);
    story.activity.complete(Outcome::GivenUp, story.now);
    assert!(story.activity.may_end(story.now).unwrap().is_some());
    let failed = Err(Error::new(Status::Timeout, "why"));
    story.after(SECOND);
    assert!(story.activity.finish_ending(&failed, story.now));
    assert!(story.beat().is_some(), "half of the lease is over");
}

#[test]
fn late_answer_of_a_stopped_process_does_not_lengthen_later_tries() {
    let mut story = Story::with_nothing_to_erase();
    story.record("1");
    assert!(story.beat().is_some());
    story.after(3600 * SECOND).acknowledged(Signals::default());
    let Step::Beat { time, .. } = story.activity.next_step(story.now) else { panic!("a beat is due") };
    assert!(time.answer <= 20 * SECOND, "{time:?}");
}

/// An activity with a codec, without a pulse, of which the first record was acknowledged a long time ago.
fn with_codec() -> Story {
    let mut story = Story::begin(OpenOptions {
        pulse: false,
        has_codec: true,
        initial_details: Some(Payloads::default()),
        ..OpenOptions::default()
    });
    story.record("1");
    story.encode();
    assert_eq!(story.beat().as_deref(), Some("1"));
    story.acknowledged(Signals::default());
    story.after(60 * SECOND);
    story
}

impl Story {
    /// Encodes what is due at once.
    fn encode(&mut self) {
        let details = self.activity.next_encoding(self.now).unwrap();
        self.activity.encoded(Ok(Encoded::by_codec(details)), self.now);
    }
}

#[test]
fn record_that_is_encoded_at_once_needs_only_one_beat() {
    let mut story = with_codec();
    story.record("2");
    let details = story.activity.next_encoding(story.now).unwrap();
    assert_eq!(story.beat(), None, "it waits for the codec");
    story.after(SECOND);
    story.activity.encoded(Ok(Encoded::by_codec(details)), story.now);
    assert_eq!(story.beat().as_deref(), Some("2"));
    story.acknowledged(Signals::default());
    assert_eq!((story.after(60 * SECOND).beat(), story.activity.info(story.now).pending), (None, false));
}

#[test]
fn record_that_is_encoded_during_a_beat_is_sent_after_it() {
    let mut story = with_codec();
    story.record("2");
    let details = story.activity.next_encoding(story.now).unwrap();
    assert_eq!(story.after(20 * SECOND).beat().as_deref(), Some("1"), "the codec is slow");
    story.activity.encoded(Ok(Encoded::by_codec(details)), story.now);
    story.acknowledged(Signals::default());
    assert_eq!(story.after(8 * SECOND).beat().as_deref(), Some("2"));
    story.acknowledged(Signals::default());
    assert_eq!(story.after(60 * SECOND).beat(), None);
}

#[test]
fn inactive_activity_is_never_due_and_never_changes() {
    let mut now = Moment::now();
    let mut activity = Activity::inactive(1, now).unwrap();
    for _ in 0..3 {
        assert_eq!(activity.record(Encoding::Json, b"41", LIMIT, now), Ok(false));
        assert_eq!(activity.touch(now), Ok(false));
        assert!(!activity.request_flush(now));
        assert_eq!(
            (activity.is_flushed(), activity.due(), activity.next_step(now)),
            (Ok(true), Moment::NEVER, Step::Nothing)
        );
        assert_eq!((activity.signals(now), activity.next_change(now)), (Signals::default(), Moment::NEVER));
        assert_eq!(activity.known_details().unwrap().unwrap().values().len(), 0);
        let info = activity.info(now);
        assert_eq!((info.state, info.pending, info.addressed_by, info.attempt), ("inactive", false, None, 0));
        now = now.later(3600 * SECOND);
    }
    assert!(activity.record(Encoding::Json, b"{", LIMIT, now).is_err());
    assert!(activity.record(Encoding::Binary, &[0; 99], 9, now).is_err());
}

#[test]
fn inactive_activities_have_different_keys() {
    let [one, other] = [1, 2].map(|number| Activity::inactive(number, Moment::now()).unwrap());
    assert_ne!(one.key(), other.key());
}
