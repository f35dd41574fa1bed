//! A codec of the program encodes what is sent, and decodes what is read.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{
        codec::{Payload, PayloadCodec},
        deadline::Timeout,
        error::{Error, Result},
        payload::{Encoding, Payloads},
        status::Status,
    },
};

use crate::fake::{Answer, Call, Described, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";
const COMPLETED: &str = "RespondActivityTaskCompleted";
const FAILED: &str = "RespondActivityTaskFailed";
const TIMEOUT: Timeout = Timeout::Within(Duration::from_secs(30));
const NAME: &[u8] = b"binary/reversed";

/// Reverses the bytes of values.
#[derive(Default)]
struct Reversing {
    /// Whether it is away: it fails until then.
    is_away: AtomicBool,
    /// Whether it must wait, and the signal that it needn't any more.
    held: (Mutex<bool>, Condvar),
}

impl Reversing {
    fn hold(&self) {
        *self.held.0.lock().unwrap() = true;
    }

    fn release(&self) {
        *self.held.0.lock().unwrap() = false;
        self.held.1.notify_all();
    }
}

fn reversed(payload: &Payload) -> bytes::Bytes {
    payload.data.iter().rev().copied().collect::<Vec<u8>>().into()
}

impl PayloadCodec for Reversing {
    fn encode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>> {
        drop(self.held.1.wait_while(self.held.0.lock().unwrap(), |is_held| *is_held).unwrap());
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::new(Status::Unavailable, "the key server is away").temporary(None));
        }
        let encode = |payload: &Payload| Payload {
            metadata: [("encoding".to_owned(), NAME.into())].into(),
            data: reversed(payload),
        };
        Ok(payloads.iter().map(encode).collect())
    }

    fn decode(&self, payloads: Vec<Payload>) -> Result<Vec<Payload>> {
        let decode = |payload: &Payload| Payload {
            metadata: [("encoding".to_owned(), "json/plain".into())].into(),
            data: reversed(payload),
        };
        Ok(payloads.iter().map(decode).collect())
    }
}

fn connected(script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> (Fake, Arc<Reversing>) {
    let fake = Fake::start(script);
    let codec = Arc::new(Reversing::default());
    let options = format!(r#"{{"address":"{}","compression":"none"}}"#, fake.address);
    rpc::connect_with_codec(options.as_bytes(), codec.clone()).and_then(rpc::Call::wait).unwrap();
    (fake, codec)
}

fn json(text: &str) -> Option<Payloads> {
    Payloads::from_caller("details", Encoding::Json, text.as_bytes()).unwrap()
}

#[test]
fn all_values_pass_through_the_codec() {
    let (fake, _codec) = connected(|call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Described { attempt: 1, ..Described::default() }.pending(),
        _ => Answer::ok(),
    });
    rpc::heartbeat(TOKEN, json("\"planted\""), TIMEOUT).and_then(rpc::Call::wait).unwrap();
    let failure = br#"{"message":"planned","details":["planted"],"heartbeat_details":["planted"]}"#;
    rpc::fail(TOKEN, failure, TIMEOUT).and_then(rpc::Call::wait).unwrap();
    rpc::complete(TOKEN, json("\"planted\""), TIMEOUT).and_then(rpc::Call::wait).unwrap();
    for (method, count) in [(BEAT, 1), (FAILED, 2), (COMPLETED, 1)] {
        let [call] = &fake.calls(method)[..] else { panic!("{method}") };
        let encoded = call.message.windows(NAME.len()).filter(|bytes| *bytes == NAME).count();
        assert_eq!((encoded, call.has(b"planted")), (count, false), "{method}");
        assert!(call.has(b"\"detnalp\""));
    }
}

#[test]
fn details_are_decoded_and_stay_as_they_came() {
    let held = Described { attempt: 1, ..Described::default() }.with_details("\"detnalp\"");
    let (_fake, _codec) = connected(move |call| match call.method.as_str() {
        "DescribeWorkflowExecution" => held.pending(),
        _ => Answer::ok(),
    });
    // Values that no codec has encoded are left alone.
    let details = rpc::get_details(TOKEN, TIMEOUT).and_then(rpc::Call::wait).unwrap();
    assert_eq!(details.values()[0].data, "\"detnalp\"");

    let encoded =
        Payload { metadata: [("encoding".to_owned(), NAME.into())].into(), data: "\"detnalp\"".into() };
    let encoded = Payloads::from_values(vec![encoded]);
    let options =
        activity::OpenOptions { initial_details: Some(encoded.clone()), ..activity::OpenOptions::new() };
    let handle = activity::open_with(TOKEN, options).unwrap();
    let details = activity::details(handle, TIMEOUT).and_then(rpc::Call::wait).unwrap();
    assert_eq!(details.values()[0].data, "\"planted\"");
    assert_eq!(details.payloads(), &encoded);
    activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn beats_continue_while_the_codec_waits_or_fails() {
    let (fake, codec) = connected(|_| Answer::ok());
    let options = br#"{"heartbeat_timeout_ms":1000,"initial_details":""}"#;
    let handle = activity::open(TOKEN, options).unwrap();
    activity::record(handle, Encoding::Json, br#""1""#).unwrap();
    activity::flush(handle, TIMEOUT).and_then(rpc::Call::wait).unwrap();
    codec.hold();
    activity::record(handle, Encoding::Json, br#""23""#).unwrap();
    fake.wait_for(BEAT, fake.calls(BEAT).len() + 3);
    codec.is_away.store(true, Ordering::SeqCst);
    codec.release();
    fake.wait_for(BEAT, fake.calls(BEAT).len() + 3);
    assert!(fake.calls(BEAT).iter().all(|call| call.has(br#""1""#)));
    let failing =
        activity::fail(handle, b"", Timeout::Within(Duration::from_millis(200))).and_then(rpc::Call::wait);
    let error = failing.unwrap_err();
    assert!(error.message().contains("the key server is away"), "{error}");
    assert!(activity::info(handle).unwrap().contains("the key server is away"));
    codec.is_away.store(false, Ordering::SeqCst);
    activity::flush(handle, TIMEOUT).and_then(rpc::Call::wait).unwrap();
    let beats = fake.calls(BEAT);
    assert!(beats.last().unwrap().has(br#""32""#) && !beats.iter().any(|call| call.has(br#""23""#)));
    activity::complete(handle, json("4"), TIMEOUT).and_then(rpc::Call::wait).unwrap();
    assert!(fake.calls(FAILED).is_empty());
    activity::close(handle, Timeout::Zero).and_then(rpc::Call::wait).unwrap();
}

#[test]
fn codec_gets_no_values_of_an_inactive_handle() {
    let (fake, codec) = connected(|_| Answer::ok());
    codec.is_away.store(true, Ordering::SeqCst);
    let handle = activity::open(&[], br#"{"from_env":true,"when_absent":"inactive"}"#).unwrap();
    assert!(!activity::requires_encoded(handle).unwrap());
    activity::record(handle, Encoding::Json, b"41").unwrap();
    activity::flush(handle, TIMEOUT).unwrap().wait().unwrap();
    assert!(activity::details(handle, TIMEOUT).unwrap().wait().unwrap().values().is_empty());
    activity::complete(handle, json("1"), TIMEOUT).unwrap().wait().unwrap();
    activity::close(handle, TIMEOUT).unwrap().wait().unwrap();
    assert!(fake.calls(BEAT).is_empty() && fake.calls(COMPLETED).is_empty());
}

#[test]
fn inactive_connect_does_not_use_the_codec() {
    // Without a connection, and no other test has one until the end.
    let fake = Fake::start(|_| Answer::ok());
    let codec = Arc::new(Reversing::default());
    codec.is_away.store(true, Ordering::SeqCst);
    let options = br#"{"when_absent":"inactive","address":"no-such-host.invalid:1"}"#;
    rpc::connect_with_codec(options, codec).unwrap().wait().unwrap();
    assert_eq!(rpc::heartbeat(TOKEN, None, TIMEOUT).unwrap_err().status(), Status::NotConnected);
    let handle = activity::open(&[], br#"{"from_env":true,"when_absent":"inactive"}"#).unwrap();
    activity::record(handle, Encoding::Json, b"41").unwrap();
    rpc::disconnect(TIMEOUT).unwrap().wait().unwrap();
    assert_eq!(activity::record(handle, Encoding::Json, b"41").unwrap_err().status(), Status::InvalidHandle);
    assert_eq!(fake.connections(), 0);
}
