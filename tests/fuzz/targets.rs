//! The fuzz targets. Each checks what must hold for any input. No target may reach a network: the client's server is a port of this
//! machine on which nothing listens.
#![allow(dead_code, reason = "each program has one of them")]

use std::{
    ffi::{CStr, c_void},
    ptr,
    sync::Once,
};

use arbitrary::{Arbitrary, Unstructured};
use temporal_heartbeat::{
    abi::{
        about::*, activity::*, client::*, details::*, errors::*, queue::*, rpc::*, telemetry::*, types::*,
        watch::*, worker::*,
    },
    api::{activity, rpc, worker},
    config::Options,
    model::{
        deadline::Timeout,
        error::Error,
        payload::{Encoding, Payloads},
        payload_json,
        status::Status,
    },
};

const OPTIONS: &[u8] = br#"{"address":"127.0.0.1:1","lazy":true}"#;
/// The value of a handle before a call that may fail.
const UNTOUCHED: u64 = 7;

fn connected() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| rpc::connect(OPTIONS).and_then(rpc::Call::wait).unwrap());
}

/// Checks every error: it isn't THB_INTERNAL, and its message doesn't contain the input that was passed as a secret.
fn check(error: &Error, secret: &[u8]) {
    assert!(error.status() != Status::Internal, "{error}");
    assert!(!error.message().is_empty());
    let told = error.message().as_bytes();
    // Plain text may also be a word of the message itself, and a fuzzer finds such words.
    let is_text = secret.len() < 4 || secret.is_ascii();
    assert!(is_text || !told.windows(secret.len()).any(|part| part == secret), "{error}");
}

/// Decodes task tokens, and opens activities by them.
pub fn tokens(data: &[u8]) {
    connected();
    #[cfg(feature = "planted")]
    assert!(!data.starts_with(b"\x0a\x01n\x12"), "planted");
    let options = br#"{"pulse":false,"initial_details":"","heartbeat_timeout_ms":60000}"#;
    for options in [&options[..], b"{\"heartbeat_timeout_ms\":60000}"] {
        match activity::open(data, options) {
            Ok(handle) => {
                assert_eq!(activity::open(data, options).unwrap_err().status(), Status::AlreadyOpen);
                assert!(activity::info(handle).unwrap().starts_with('{'));
                let _ = activity::close(handle, Timeout::Zero);
                assert_eq!(activity::touch(handle).unwrap_err().status(), Status::InvalidHandle);
            }
            Err(error) => check(&error, data),
        }
    }
    for error in [
        rpc::heartbeat(data, None, Timeout::Zero).err(),
        rpc::get_details(data, Timeout::Zero).err(),
        rpc::complete(data, None, Timeout::Zero).err(),
    ] {
        check(&error.unwrap(), data);
    }
}

/// Parses the options of connect and of open.
pub fn options(data: &[u8]) {
    #[cfg(feature = "planted")]
    assert!(!data.starts_with(b"{\"na"), "planted");
    if let Err(error) = Options::read(data) {
        check(&error, b"");
    }
    if let Err(error) = activity::OpenOptions::read(data) {
        check(&error, b"");
    }
    if let Err(error) = worker::WorkerOptions::read(data) {
        check(&error, b"");
    }
}

/// Reads the answers to the polls of a worker.
pub fn poll_answers(data: &[u8]) {
    let Some(task) = worker::Facts::decode(data) else { return };
    #[cfg(feature = "planted")]
    assert!(task.ids.activity_id.is_empty(), "planted");
    let info = task.json();
    assert!(info.starts_with('{') && info.ends_with("]}"), "{info}");
    assert!(info.contains(&format!("\"attempt\":{},", task.attempt)), "{info}");
}

/// Parses failures in JSON.
pub fn failures(data: &[u8]) {
    connected();
    #[cfg(feature = "planted")]
    assert!(!data.starts_with(b"{\"me"), "planted");
    check(&rpc::fail(b"token", data, Timeout::Zero).unwrap_err(), b"");
}

/// Encodes the values of a caller, and decodes them again.
pub fn payloads(data: &[u8]) {
    let Some((encoding, data)) = data.split_first() else { return };
    let encoding = Encoding::ALL[usize::from(*encoding) % Encoding::ALL.len()];
    let taken = match Payloads::from_caller("details", encoding, data) {
        Ok(taken) => taken,
        Err(error) => return check(&error, b""),
    };
    let Some(taken) = taken else { return assert_eq!(encoding, Encoding::None) };
    let again = Payloads::from_encoded("details", taken.encoded()).unwrap();
    assert_eq!(again.encoded(), taken.encoded());
    match encoding {
        Encoding::Json | Encoding::Binary => {
            let values = taken.values().unwrap();
            #[cfg(feature = "planted")]
            assert!(data.len() < 5, "planted");
            assert!(values.len() == 1 && values[0].data == data);
        }
        Encoding::Null => assert_eq!(taken.values().unwrap().len(), 1),
        // The caller's own payloads may hold data that can't be decoded. They are passed on unchanged.
        Encoding::Payloads | Encoding::None => {}
    }
}

/// Reads the answers of a codec server.
pub fn codec_answers(data: &[u8]) {
    match payload_json::from_json(data) {
        Ok(values) => {
            #[cfg(feature = "planted")]
            assert!(values.len() < 2, "planted");
            let again = payload_json::from_json(&payload_json::to_json(values.clone())).unwrap();
            assert_eq!(again, values);
        }
        // The message shows nothing of the answer.
        Err(why) => assert_eq!(
            why.replace(|one: char| one.is_ascii_digit(), ""),
            "it isn't the JSON of a Payloads, at byte  of line "
        ),
    }
}

/// Calls every function of the header, in any order and with any arguments that C allows.
pub fn functions(data: &[u8]) {
    keep_panic_hook();
    connected();
    let mut bytes = Unstructured::new(data);
    let mut world = World::default();
    for _ in 0..LONGEST {
        match Step::arbitrary(&mut bytes) {
            Ok(step) if !bytes.is_empty() => world.take(step),
            _ => break,
        }
    }
    world.end();
}

/// Keeps the fuzzer's panic hook, which prints the message. The library replaces it once, by one that prints nothing.
fn keep_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        let options = b"not JSON";
        // SAFETY: the options have this length, and no error is requested.
        assert_ne!(unsafe { thb_connect(options.as_ptr().cast(), options.len(), ptr::null_mut()) }, 0);
        std::panic::set_hook(hook);
    });
}

/// The largest number of calls for one input.
const LONGEST: usize = 24;

/// Bytes in the form in which C passes them.
#[derive(Arbitrary, Debug)]
enum Bytes<'a> {
    These(&'a [u8]),
    Null,
    NullWith(u64),
    TooMany(u64),
}

impl Bytes<'_> {
    fn pair(&self) -> (*const c_void, usize) {
        match self {
            Bytes::These(bytes) => (bytes.as_ptr().cast(), bytes.len()),
            Bytes::Null => (ptr::null(), 0),
            Bytes::NullWith(len) => (ptr::null(), *len as usize),
            Bytes::TooMany(len) => (ptr::dangling(), *len as usize | 1 << 63),
        }
    }
}

/// An open handle, or any number.
#[derive(Arbitrary, Debug)]
enum Handle {
    Known(u8),
    Any(u64),
}

/// A valid encoding, or any number.
#[derive(Arbitrary, Debug)]
enum Encoded {
    Known(u8),
    Any(i32),
}

impl Encoded {
    fn code(&self) -> i32 {
        match self {
            Encoded::Known(at) => i32::from(*at) % Encoding::ALL.len() as i32,
            Encoded::Any(number) => *number,
        }
    }
}

/// A timeout, shortened so that no call waits long.
#[derive(Arbitrary, Debug)]
struct Wait(u32);

impl Wait {
    fn ms(&self) -> u32 {
        match self.0 {
            u32::MAX => 1,
            out_of_range if out_of_range > i32::MAX as u32 => out_of_range,
            other => u32::from(other % 64 == 1),
        }
    }
}

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Connect(Bytes<'a>),
    Reconnect(u8),
    Heartbeat(Bytes<'a>, Encoded, Bytes<'a>, Wait),
    GetDetails(Bytes<'a>, Wait),
    Complete(Bytes<'a>, Encoded, Bytes<'a>, Wait),
    Fail(Bytes<'a>, Bytes<'a>, Wait),
    ReportCancelled(Bytes<'a>, Encoded, Bytes<'a>, Wait),
    Open(Bytes<'a>, Bytes<'a>),
    OpenWell(u8, bool),
    Record(Handle, Encoded, Bytes<'a>),
    Touch(Handle),
    SetStatus(Handle, Bytes<'a>),
    GetSignals(Handle),
    WaitFor(Handle, u32, u32, Wait),
    Opening(Handle, Wait),
    GetInfo(Handle),
    Flush(Handle, Wait),
    CompleteOpen(Handle, Encoded, Bytes<'a>, Wait),
    FailOpen(Handle, Bytes<'a>, Wait),
    ReportOpen(Handle, Encoded, Bytes<'a>, Wait),
    Close(Handle, Wait),
    OpenWatch,
    AddToWatch(Handle, Handle, u32, u64),
    NextOfWatch(Handle, Wait),
    OpenDescriptor(Handle),
    CloseWatch(Handle),
    NewDetails,
    Add(u8, Encoded, Bytes<'a>),
    Read(u8, u64),
    Free(u8),
    Metrics,
    Log(Wait),
    TokenFromEnv,
    About(u32, i32),
    WithoutOutputs(Bytes<'a>),
    Reconfigure(Bytes<'a>),
    TokenFromIds(Bytes<'a>, Wait),
    OpenQueue,
    Submit(Handle, u64, Submission<'a>, Wait),
    Cancel(Handle, u64),
    NextOfQueue(Handle, u8, Wait),
    OpenDescriptorOfQueue(Handle),
    CloseQueue(Handle),
    OpenWorker(Bytes<'a>),
    OpenWorkerWell,
    NextOfWorker(Handle, Wait),
    OpenDescriptorOfWorker(Handle),
    ShutdownWorker(Handle, Wait),
    CloseWorker(Handle, Wait),
}

/// A call for a queue.
#[derive(Arbitrary, Debug)]
enum Submission<'a> {
    Connect(Bytes<'a>),
    Disconnect,
    Heartbeat(Bytes<'a>, Encoded, Bytes<'a>),
    GetDetails(Bytes<'a>),
    Complete(Bytes<'a>, Encoded, Bytes<'a>),
    Fail(Bytes<'a>, Bytes<'a>),
    ReportCancelled(Bytes<'a>, Encoded, Bytes<'a>),
    Opening(Handle),
    Flush(Handle),
    CompleteOpen(Handle, Encoded, Bytes<'a>),
    FailOpen(Handle, Bytes<'a>),
    ReportOpen(Handle, Encoded, Bytes<'a>),
    Close(Handle),
    ShutdownWorker(Handle),
}

#[derive(Default)]
struct World {
    handles: Vec<u64>,
    details: Vec<*mut thb_details_t>,
}

/// Makes a call that requests an error object, and checks the result.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let mut error = ptr::dangling_mut::<thb_error_t>();
        // SAFETY: every pointer is NULL, owned by this program, or passed with a length that is refused before it is read.
        let status = unsafe { $function($($argument,)* &mut error) };
        look_at(status, error);
        status
    }};
}

fn look_at(status: i32, error: *mut thb_error_t) {
    assert_eq!(status == 0, error.is_null());
    assert!(status != Status::Internal.code() && (0..=26).contains(&status));
    // SAFETY: the error is NULL or owned by this program, and its text lives as long as the error.
    unsafe {
        assert_eq!(thb_error_code(error), status);
        assert!(CStr::from_ptr(thb_error_message(error)).to_str().is_ok());
        assert!(thb_error_grpc_code(error) >= -1 && thb_error_retry_after_ms(error) >= -1);
        assert!([0, 1].contains(&thb_error_is_retryable(error)));
        thb_error_free(error);
    }
}

fn look_at_text(text: *mut thb_text_t) {
    let mut len = 0;
    // SAFETY: the text is NULL or owned by this program.
    unsafe {
        let bytes = thb_text_data(text, &mut len);
        assert_eq!(*bytes.add(len), 0);
        thb_text_free(text);
    }
}

impl World {
    fn handle(&self, handle: &Handle) -> u64 {
        match handle {
            Handle::Known(at) if !self.handles.is_empty() => {
                self.handles[usize::from(*at) % self.handles.len()]
            }
            Handle::Known(at) => u64::from(*at),
            Handle::Any(number) => *number,
        }
    }

    fn some_details(&self, at: u8) -> *mut thb_details_t {
        if self.details.is_empty() {
            ptr::null_mut()
        } else {
            self.details[usize::from(at) % self.details.len()]
        }
    }

    fn take(&mut self, step: Step) {
        let mut signals = 0;
        match step {
            Step::Connect(options) => {
                // There already is a client, so the library doesn't connect to the fuzzed address.
                let (options, len) = options.pair();
                assert!(call!(thb_connect(options.cast(), len)) != 0);
            }
            Step::Reconnect(7) => {
                assert_eq!(call!(thb_disconnect(0)), 0);
                assert_eq!(call!(thb_connect(OPTIONS.as_ptr().cast(), OPTIONS.len())), 0);
            }
            Step::Reconnect(_) => {}
            Step::Heartbeat(token, encoding, details, wait) => {
                let ((token, token_len), (details, len)) = (token.pair(), details.pair());
                call!(thb_heartbeat(
                    token,
                    token_len,
                    encoding.code(),
                    details,
                    len,
                    wait.ms(),
                    &mut signals
                ));
            }
            Step::GetDetails(token, wait) => {
                let (token, len) = token.pair();
                let mut details = ptr::dangling_mut();
                call!(thb_get_details(token, len, wait.ms(), &mut details));
                assert!(details.is_null());
            }
            Step::Complete(token, encoding, result, wait) => {
                let ((token, token_len), (result, len)) = (token.pair(), result.pair());
                call!(thb_complete(token, token_len, encoding.code(), result, len, wait.ms()));
            }
            Step::Fail(token, failure, wait) => {
                let ((token, token_len), (failure, len)) = (token.pair(), failure.pair());
                call!(thb_fail(token, token_len, failure.cast(), len, wait.ms()));
            }
            Step::ReportCancelled(token, encoding, details, wait) => {
                let ((token, token_len), (details, len)) = (token.pair(), details.pair());
                call!(thb_report_cancelled(token, token_len, encoding.code(), details, len, wait.ms()));
            }
            Step::Open(token, options) => {
                let ((token, token_len), (options, len)) = (token.pair(), options.pair());
                self.open(token, token_len, options, len);
            }
            Step::OpenWell(number, pulse) => {
                let options =
                    format!("{{\"initial_details\":\"\",\"pulse\":{pulse},\"heartbeat_timeout_ms\":9000}}");
                self.open((&raw const number).cast(), 1, options.as_ptr().cast(), options.len());
            }
            Step::Record(handle, encoding, details) => {
                let (details, len) = details.pair();
                call!(thb_activity_heartbeat(
                    self.handle(&handle),
                    encoding.code(),
                    details,
                    len,
                    &mut signals
                ));
            }
            Step::Touch(handle) => {
                let _ = call!(thb_activity_touch(self.handle(&handle), &mut signals));
            }
            Step::SetStatus(handle, text) => {
                let (text, len) = text.pair();
                let _ = call!(thb_activity_set_status(self.handle(&handle), text.cast(), len));
            }
            Step::GetSignals(handle) => {
                let _ = call!(thb_activity_get_signals(self.handle(&handle), &mut signals));
            }
            Step::WaitFor(handle, mask, known, wait) => {
                call!(thb_activity_wait(self.handle(&handle), mask, known, wait.ms(), &mut signals));
            }
            Step::Opening(handle, wait) => {
                let mut details = ptr::dangling_mut();
                call!(thb_activity_get_details(self.handle(&handle), wait.ms(), &mut details));
                // SAFETY: NULL or owned by this program.
                unsafe { thb_details_free(details) };
            }
            Step::GetInfo(handle) => {
                let mut info = ptr::dangling_mut();
                call!(thb_activity_get_info(self.handle(&handle), &mut info));
                look_at_text(info);
            }
            Step::Flush(handle, wait) => {
                let _ = call!(thb_activity_flush(self.handle(&handle), wait.ms()));
            }
            Step::CompleteOpen(handle, encoding, result, wait) => {
                let (result, len) = result.pair();
                call!(thb_activity_complete(self.handle(&handle), encoding.code(), result, len, wait.ms()));
            }
            Step::FailOpen(handle, failure, wait) => {
                let (failure, len) = failure.pair();
                call!(thb_activity_fail(self.handle(&handle), failure.cast(), len, wait.ms()));
            }
            Step::ReportOpen(handle, encoding, details, wait) => {
                let (details, len) = details.pair();
                call!(thb_activity_report_cancelled(
                    self.handle(&handle),
                    encoding.code(),
                    details,
                    len,
                    wait.ms()
                ));
            }
            Step::Close(handle, wait) => {
                let _ = call!(thb_activity_close(self.handle(&handle), wait.ms()));
            }
            Step::OpenWatch => {
                let mut watch = 0;
                if call!(thb_watch_open(&mut watch)) == 0 {
                    self.handles.push(watch);
                }
            }
            Step::AddToWatch(watch, activity, mask, user_data) => {
                call!(thb_watch_add(self.handle(&watch), self.handle(&activity), mask, user_data));
            }
            Step::NextOfWatch(watch, wait) => {
                let (mut activity, mut user_data) = (UNTOUCHED, 0);
                let status = call!(thb_watch_next(
                    self.handle(&watch),
                    wait.ms(),
                    &mut activity,
                    &mut user_data,
                    &mut signals
                ));
                if status == 0 {
                    assert!(activity == 0 || self.handles.contains(&activity));
                } else {
                    assert_eq!(activity, UNTOUCHED);
                }
            }
            Step::OpenDescriptor(watch) => {
                let mut descriptor = -1;
                if call!(thb_watch_open_fd(self.handle(&watch), &mut descriptor)) == 0 {
                    close(descriptor);
                }
            }
            Step::CloseWatch(watch) => {
                let _ = call!(thb_watch_close(self.handle(&watch)));
            }
            Step::NewDetails => {
                let mut details = ptr::dangling_mut();
                assert_eq!(call!(thb_details_new(&mut details)), 0);
                self.details.push(details);
            }
            Step::Add(at, encoding, data) => {
                let (data, len) = data.pair();
                call!(thb_details_add(self.some_details(at), encoding.code(), data, len));
            }
            Step::Read(at, index) => read(self.some_details(at), index as usize),
            Step::Free(at) => {
                let details = self.some_details(at);
                self.details.retain(|other| *other != details);
                // SAFETY: NULL, or owned by this program, which has just dropped its other reference.
                unsafe { thb_details_free(details) };
            }
            Step::Metrics => {
                let mut text = ptr::dangling_mut();
                assert_eq!(call!(thb_get_metrics(&mut text)), 0);
                look_at_text(text);
            }
            Step::Log(wait) => {
                let mut text = ptr::dangling_mut();
                call!(thb_log_next(wait.ms(), &mut text));
                look_at_text(text);
            }
            Step::TokenFromEnv => {
                let mut text = ptr::dangling_mut();
                assert_eq!(call!(thb_token_from_env(&mut text)), Status::Config.code());
                look_at_text(text);
            }
            Step::TokenFromIds(ids, wait) => {
                let (ids, len) = ids.pair();
                let mut text = ptr::dangling_mut();
                call!(thb_token_from_ids(ids.cast(), len, wait.ms(), &mut text));
                look_at_text(text);
            }
            Step::OpenQueue => {
                let mut queue = UNTOUCHED;
                if call!(thb_queue_open(&mut queue)) == 0 {
                    self.handles.push(queue);
                }
            }
            Step::Submit(queue, user_data, submission, wait) => {
                self.submit(self.handle(&queue), user_data, &submission, wait.ms());
            }
            Step::Cancel(queue, user_data) => {
                call!(thb_queue_cancel(self.handle(&queue), user_data));
            }
            Step::NextOfQueue(queue, max, wait) => {
                let mut taken = ptr::dangling_mut();
                call!(thb_queue_next(self.handle(&queue), max.into(), wait.ms(), &mut taken));
                self.look_at_completions(taken);
            }
            Step::OpenDescriptorOfQueue(queue) => {
                let mut descriptor = -1;
                if call!(thb_queue_open_fd(self.handle(&queue), &mut descriptor)) == 0 {
                    close(descriptor);
                }
            }
            Step::CloseQueue(queue) => {
                call!(thb_queue_close(self.handle(&queue)));
            }
            Step::OpenWorker(options) => {
                let (options, len) = options.pair();
                self.open_worker(options, len);
            }
            Step::OpenWorkerWell => {
                let options = br#"{"task_queue":"q","max_concurrent":2}"#;
                self.open_worker(options.as_ptr().cast(), options.len());
            }
            Step::NextOfWorker(worker, wait) => {
                let mut task = ptr::null_mut();
                call!(thb_worker_next(self.handle(&worker), wait.ms(), &mut task));
                // No server answers.
                assert!(task.is_null());
                read_no_task();
            }
            Step::OpenDescriptorOfWorker(worker) => {
                let mut descriptor = -1;
                if call!(thb_worker_open_fd(self.handle(&worker), &mut descriptor)) == 0 {
                    close(descriptor);
                }
            }
            Step::ShutdownWorker(worker, wait) => {
                call!(thb_worker_shutdown(self.handle(&worker), wait.ms()));
            }
            Step::CloseWorker(worker, wait) => {
                call!(thb_worker_close(self.handle(&worker), wait.ms()));
            }
            Step::About(abi, status) => about(abi, status),
            Step::WithoutOutputs(bytes) => without_outputs(&bytes),
            Step::Reconfigure(options) => {
                let (data, len) = options.pair();
                call!(thb_reconfigure(data.cast(), len));
            }
        }
    }

    fn submit(&self, queue: u64, user_data: u64, submission: &Submission, ms: u32) {
        let (number, code) = (|handle| self.handle(handle), Encoded::code);
        match submission {
            Submission::Connect(options) => {
                let (options, len) = options.pair();
                // There already is a client, so the library doesn't connect to the fuzzed address.
                assert!(call!(thb_queue_submit_connect(queue, user_data, options.cast(), len)) != 0);
            }
            // What follows needs a client, so this disconnects only from the wrong queue.
            Submission::Disconnect => {
                assert!(call!(thb_queue_submit_disconnect(0, user_data, ms)) != 0);
            }
            Submission::Heartbeat(token, encoding, details) => {
                let ((token, token_len), (data, len)) = (token.pair(), details.pair());
                let encoding = code(encoding);
                call!(thb_queue_submit_heartbeat(
                    queue, user_data, token, token_len, encoding, data, len, ms
                ));
            }
            Submission::GetDetails(token) => {
                let (token, len) = token.pair();
                call!(thb_queue_submit_get_details(queue, user_data, token, len, ms));
            }
            Submission::Complete(token, encoding, result) => {
                let ((token, token_len), (data, len)) = (token.pair(), result.pair());
                let encoding = code(encoding);
                call!(thb_queue_submit_complete(queue, user_data, token, token_len, encoding, data, len, ms));
            }
            Submission::Fail(token, failure) => {
                let ((token, token_len), (failure, len)) = (token.pair(), failure.pair());
                call!(thb_queue_submit_fail(queue, user_data, token, token_len, failure.cast(), len, ms));
            }
            Submission::ReportCancelled(token, encoding, details) => {
                let ((token, token_len), (data, len)) = (token.pair(), details.pair());
                let encoding = code(encoding);
                call!(thb_queue_submit_report_cancelled(
                    queue, user_data, token, token_len, encoding, data, len, ms
                ));
            }
            Submission::Opening(handle) => {
                call!(thb_queue_submit_activity_get_details(queue, user_data, number(handle), ms));
            }
            Submission::Flush(handle) => {
                call!(thb_queue_submit_activity_flush(queue, user_data, number(handle), ms));
            }
            Submission::CompleteOpen(handle, encoding, result) => {
                let ((data, len), encoding) = (result.pair(), code(encoding));
                call!(thb_queue_submit_activity_complete(
                    queue,
                    user_data,
                    number(handle),
                    encoding,
                    data,
                    len,
                    ms
                ));
            }
            Submission::FailOpen(handle, failure) => {
                let (failure, len) = failure.pair();
                call!(thb_queue_submit_activity_fail(
                    queue,
                    user_data,
                    number(handle),
                    failure.cast(),
                    len,
                    ms
                ));
            }
            Submission::ReportOpen(handle, encoding, details) => {
                let ((data, len), encoding) = (details.pair(), code(encoding));
                call!(thb_queue_submit_activity_report_cancelled(
                    queue,
                    user_data,
                    number(handle),
                    encoding,
                    data,
                    len,
                    ms
                ));
            }
            Submission::Close(handle) => {
                call!(thb_queue_submit_activity_close(queue, user_data, number(handle), ms));
            }
            Submission::ShutdownWorker(worker) => {
                call!(thb_queue_submit_worker_shutdown(queue, user_data, number(worker), ms));
            }
        }
    }

    fn look_at_completions(&mut self, taken: *mut thb_completions_t) {
        // SAFETY: NULL or owned by this program. Only entries below the count are read.
        unsafe {
            let count = thb_completions_count(taken);
            assert_eq!(thb_completions_user_data(taken).is_null(), taken.is_null());
            for index in 0..count {
                let status = *thb_completions_statuses(taken).add(index);
                std::hint::black_box(*thb_completions_signals(taken).add(index));
                let error = thb_completions_error(taken, index);
                assert_eq!((status, status == 0), (thb_error_code(error), error.is_null()));
                let details = thb_completions_details(taken, index).cast_mut();
                assert_eq!(thb_completions_take_details(taken, index), details);
                if !details.is_null() {
                    self.details.push(details);
                }
            }
            assert!(thb_completions_error(taken, count).is_null());
            assert!(thb_completions_take_details(taken, count).is_null());
            thb_completions_free(taken);
        }
    }

    fn open(&mut self, token: *const c_void, token_len: usize, options: *const c_void, len: usize) {
        let mut activity = UNTOUCHED;
        if call!(thb_activity_open(token, token_len, options.cast(), len, &mut activity)) == 0 {
            assert!(activity > 0 && activity < 1 << 53);
            self.handles.push(activity);
        } else {
            assert_eq!(activity, UNTOUCHED);
        }
    }

    fn open_worker(&mut self, options: *const c_void, len: usize) {
        let mut worker = UNTOUCHED;
        if call!(thb_worker_open(options.cast(), len, &mut worker)) == 0 {
            assert!(worker > 0 && worker < 1 << 53);
            self.handles.push(worker);
        } else {
            assert_eq!(worker, UNTOUCHED);
        }
    }

    fn end(&mut self) {
        for handle in self.handles.drain(..) {
            call!(thb_activity_close(handle, 0));
            call!(thb_watch_close(handle));
            call!(thb_queue_close(handle));
            call!(thb_worker_close(handle, 0));
            assert_eq!(call!(thb_activity_touch(handle, ptr::null_mut())), Status::InvalidHandle.code());
        }
        // SAFETY: owned by this program.
        self.details.drain(..).for_each(|details| unsafe { thb_details_free(details) });
    }
}

fn close(descriptor: i32) {
    // SAFETY: it is new, and this program must close it.
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(descriptor) });
}

fn read(details: *mut thb_details_t, index: usize) {
    let mut len = 7;
    // SAFETY: NULL or owned by this program. Only the reported length is read.
    unsafe {
        let count = thb_details_count(details);
        #[cfg(feature = "planted")]
        assert!(details.is_null(), "planted");
        for index in [index, index % (count + 1)] {
            let data = thb_details_data(details, index, &mut len);
            assert!(if index < count { !data.is_null() } else { data.is_null() && len == 0 });
            let sum = |sum: u8, at| sum.wrapping_add(*data.cast::<u8>().add(at));
            std::hint::black_box((0..len).fold(0, sum));
            assert!(CStr::from_ptr(thb_details_encoding(details, index)).to_str().is_ok());
        }
        let payloads = thb_details_payloads(details, &mut len);
        assert!(payloads.is_null() == details.is_null());
        let decoded = thb_details_decoded_payloads(details, &mut len);
        assert!(decoded.is_null() == details.is_null());
        assert_eq!((thb_details_attempt(details), thb_details_recorded_at_unix_ms(details)), (0, 0));
        assert_eq!(thb_details_heartbeat_timeout_ms(details), -1);
    }
}

fn read_no_task() {
    let (none, mut len) = (ptr::null(), 7);
    // SAFETY: the header allows NULL.
    unsafe {
        assert_eq!(thb_task_activity(none), 0);
        assert!(thb_task_token(none, &mut len).is_null() && len == 0);
        assert!(CStr::from_ptr(thb_task_activity_type(none)).is_empty());
        assert!(CStr::from_ptr(thb_task_info(none)).is_empty());
        assert!(thb_task_input(none).is_null() && thb_task_details(none).is_null());
        thb_task_free(ptr::null_mut());
    }
}

fn about(abi: u32, status: i32) {
    // SAFETY: the functions return static strings.
    unsafe {
        assert!(CStr::from_ptr(thb_status_name(status)).to_bytes().starts_with(b"THB_"));
        assert!(!CStr::from_ptr(thb_version()).is_empty());
    }
    assert_eq!(thb_check_abi(abi) == 0, abi >> 16 == thb_abi_version() >> 16 && abi <= thb_abi_version());
}

/// Passes NULL for outputs: allowed where the header says so, refused elsewhere.
fn without_outputs(bytes: &Bytes) {
    let (data, len) = bytes.pair();
    let none = ptr::null_mut;
    // SAFETY: every pointer is NULL, owned by this program, or passed with a length that is refused before it is read.
    unsafe {
        for refused in [
            thb_get_details(data, len, 0, none(), ptr::null_mut()),
            thb_activity_open(data, len, ptr::null(), 0, ptr::null_mut(), ptr::null_mut()),
            thb_watch_open(ptr::null_mut(), ptr::null_mut()),
            thb_queue_open(ptr::null_mut(), ptr::null_mut()),
            thb_worker_open(data.cast(), len, ptr::null_mut(), ptr::null_mut()),
            thb_worker_next(len as u64, 0, ptr::null_mut(), ptr::null_mut()),
            thb_queue_next(len as u64, 1, 0, ptr::null_mut(), ptr::null_mut()),
            thb_details_new(none(), ptr::null_mut()),
            thb_get_metrics(ptr::null_mut(), ptr::null_mut()),
            thb_log_next(0, ptr::null_mut(), ptr::null_mut()),
            thb_token_from_env(ptr::null_mut(), ptr::null_mut()),
            thb_token_from_ids(data.cast(), len, 0, ptr::null_mut(), ptr::null_mut()),
            thb_heartbeat(data, len, 0, ptr::null(), 0, 0, ptr::null_mut(), ptr::null_mut()),
        ] {
            assert!(refused != 0 && refused != Status::Internal.code());
        }
    }
}
