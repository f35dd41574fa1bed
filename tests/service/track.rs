//! The iteration over the items of an activity.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};

use temporal_heartbeat::{
    api::{
        activity,
        track::{TrackError, track, track_by_key},
    },
    model::{
        deadline::Timeout,
        error::{Error, Result},
        payload::Payloads,
        signals::Signals,
        status::Status,
    },
};

use crate::fake::{Answer, Call, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";

fn beats(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Fake {
    Fake::connected(move |call| if call.method == BEAT { answer(call) } else { Answer::ok() })
}

/// Opens an activity whose previous attempt has recorded these values.
fn open(details: &[&str]) -> u64 {
    let details = BASE64_STANDARD.encode(Payloads::from_json_values(details.iter().copied()).encoded());
    let options = serde_json::json!({
        "heartbeat_timeout_ms": 30_000, "cancel_poll_ms": 100, "initial_details": details,
    });
    activity::open(TOKEN, options.to_string().as_bytes()).unwrap()
}

fn close(handle: u64) {
    let _ = activity::close(handle, Timeout::Zero).unwrap().wait();
}

fn info(handle: u64) -> serde_json::Value {
    serde_json::from_str(&activity::info(handle).unwrap()).unwrap()
}

fn all<T>(items: impl Iterator<Item = std::result::Result<T, TrackError>>) -> Vec<T> {
    items.collect::<std::result::Result<_, _>>().unwrap()
}

fn refusal<T>(iteration: Result<T>) -> Error {
    iteration.err().expect("the iteration begins")
}

#[test]
fn item_is_recorded_when_the_next_one_is_requested() {
    let _fake = beats(|_| Answer::ok());
    let handle = open(&[]);
    for (count, item) in track(handle, ["a", "b", "c"]).unwrap().enumerate() {
        item.unwrap();
        assert_eq!(info(handle)["records"], count);
    }
    assert_eq!(info(handle)["records"], 3);
}

#[test]
fn items_that_are_done_are_skipped() {
    let _fake = beats(|_| Answer::ok());
    for (details, expected) in [(&[][..], "abcde"), (&["2"], "de"), (&["4"], "")] {
        let handle = open(details);
        assert_eq!(all(track(handle, "abcde".chars()).unwrap()).into_iter().collect::<String>(), expected);
        assert_eq!(info(handle)["records"], expected.len());
        close(handle);
    }
    let many = 1_000_000_000_000_000_u64;
    let handle = open(&[&(many - 3).to_string()]);
    assert_eq!(all(track(handle, 0..many).unwrap()), [many - 2, many - 1]);
}

#[test]
fn item_of_a_broken_loop_is_not_recorded() {
    fn fail_at_two(handle: u64) -> std::result::Result<(), TrackError> {
        for item in track(handle, 0..5)? {
            if item? == 2 {
                return Err(Error::argument("of the body").into());
            }
        }
        Ok(())
    }
    let fake = beats(|_| Answer::ok());
    let handle = open(&[]);
    fail_at_two(handle).unwrap_err();
    assert_eq!(info(handle)["records"], 2);
    activity::close(handle, Timeout::Forever).unwrap().wait().unwrap();
    assert!(fake.calls(BEAT).last().unwrap().has(b"1"));
}

#[test]
fn details_of_another_form_are_refused() {
    let _fake = beats(|_| Answer::ok());
    for details in
        [&["-1"][..], &["1.5"], &["1.0"], &["\"1\""], &["true"], &["null"], &["{\"item\":1}"], &["1", "2"]]
    {
        let handle = open(details);
        let error = refusal(track(handle, 0..3));
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains("aren't the index of an item, but "), "{}", error.message());
        assert!(error.message().contains(details[0]), "{}", error.message());
        close(handle);
    }
    for beyond in ["3", "18446744073709551615"] {
        let handle = open(&[beyond]);
        let error = refusal(track(handle, 0..3));
        assert_eq!(error.status(), Status::InvalidArgument);
        assert!(error.message().contains(&format!("item {beyond} was the last one")), "{}", error.message());
        close(handle);
    }
}

#[test]
fn keys_are_recorded_and_found_again() {
    let fake = beats(|_| Answer::ok());
    let handle = open(&["[\"b\", 2]"]);
    let files = BTreeMap::from([("a", 1), ("b", 2), ("c", 3)]);
    let iteration = track_by_key(handle, &files, |(name, size)| (name.to_string(), **size)).unwrap();
    assert_eq!(all(iteration), [(&"c", &3)]);
    activity::close(handle, Timeout::Forever).unwrap().wait().unwrap();
    assert!(fake.calls(BEAT).last().unwrap().has(b"[\"c\",3]"));

    let handle = open(&["\"x\""]);
    let error = refusal(track_by_key(handle, &files, |(name, _)| name.to_string()));
    assert_eq!(error.status(), Status::InvalidArgument);
    assert!(error.message().contains("no item has the key \"x\""), "{}", error.message());
    assert!(error.message().contains("there are 3 items"), "{}", error.message());
}

#[test]
fn second_iteration_is_refused() {
    let _fake = beats(|_| Answer::ok());
    let handle = open(&[]);
    assert_eq!(all(track(handle, 0..2).unwrap()), [0, 1]);
    assert_eq!(refusal(track(handle, 0..2)).status(), Status::FailedPrecondition);
}

#[test]
fn stop_signal_ends_the_iteration_after_the_record() {
    let _fake = beats(|_| Answer::Message(vec![1 << 3, 1]));
    let handle = open(&[]);
    let (mut handed_out, mut stopped) = (0, None);
    for item in track(handle, 0..u64::MAX).unwrap() {
        match item {
            Ok(_) => handed_out += 1,
            Err(error) => stopped = Some(error),
        }
    }
    assert_eq!(stopped, Some(TrackError::Stopped(Signals::CANCEL_REQUESTED)));
    assert_eq!(stopped.unwrap().to_string(), "the work should stop: cancel_requested");
    assert_eq!(info(handle)["records"], handed_out);
}

#[test]
fn iteration_of_an_ended_attempt_is_stopped() {
    let _fake = beats(|_| Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true });
    let handle = open(&[]);
    let last = track(handle, 0..u64::MAX).unwrap().last().unwrap();
    assert_eq!(last, Err(TrackError::Stopped(Signals::GONE)));
}

#[test]
fn iteration_waits_while_the_activity_is_paused() {
    let paused = AtomicUsize::new(0);
    let _fake = beats(move |_| {
        let is_paused = paused.fetch_add(1, Ordering::Relaxed) < 3;
        if is_paused { Answer::Message(vec![2 << 3, 1]) } else { Answer::ok() }
    });
    let handle = open(&[]);
    let mut while_paused = 0;
    for item in track(handle, 0..u64::MAX).unwrap() {
        item.unwrap();
        // The answer may have arrived after the record.
        while_paused += u32::from(activity::signals(handle).unwrap().contains(Signals::PAUSED));
        if info(handle)["beats"].as_u64().unwrap() > 3 {
            break;
        }
    }
    assert!(while_paused <= 1, "{while_paused}");
}

#[test]
fn records_are_flushed_as_often_as_requested() {
    let _fake = beats(|_| Answer::ok());
    for (interval, beats) in [(Duration::ZERO, 4), (Duration::from_secs(3600), 1)] {
        let handle = open(&[]);
        let iteration = track(handle, 0..4).unwrap().flush_every(interval);
        for (count, item) in iteration.enumerate() {
            item.unwrap();
            assert!(!interval.is_zero() || info(handle)["beats"] == count);
        }
        let info = info(handle);
        assert!(info["pending"] == false && info["beats"].as_u64().unwrap() >= beats, "{info}");
        close(handle);
    }
}
