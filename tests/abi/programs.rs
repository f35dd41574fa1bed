//! The rules of the ABI, checked by C programs against the built library.

use std::{
    ffi::OsStr,
    fs,
    net::TcpListener,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use prost::Message;
use temporal_heartbeat::model::payload::Payloads;

use crate::{
    built::{Program, build_dir, instrumented, repetitions, sanitized, valgrind},
    fake::{Answer, Call, Fake, task},
};

const BEAT: &str = "RecordActivityTaskHeartbeat";
/// The same token as in `c/check.h`: a task with the fields that identify a workflow's activity.
const TOKEN: &[u8] = b"\x0a\x02ns\x12\x02wf\x1a\x03run\x32\x015";

/// Returns a program that finds its server in the environment.
fn connecting(source: &str, fake: &Fake) -> Program {
    Program::new(source).variable("TEMPORAL_ADDRESS", fake.address.to_string())
}

fn well(_: &Call) -> Answer {
    Answer::ok()
}

fn no_beat(call: &Call) -> Answer {
    if call.method == BEAT { Answer::Silence } else { Answer::ok() }
}

#[test]
fn process_that_is_stopped_while_its_activity_ends_does_not_lose_the_result() {
    let fake = Fake::start(|call| {
        let earlier = SEEN.lock().unwrap().contains(&call.message);
        match call.method.as_str() {
            "RespondActivityTaskCompleted" if earlier => {
                Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true }
            }
            "RespondActivityTaskCompleted" => {
                SEEN.lock().unwrap().push(call.message.clone());
                stop_beyond_the_timeout(pid_in(&call.message));
                Answer::ok()
            }
            _ => Answer::ok(),
        }
    });
    static SEEN: Mutex<Vec<Bytes>> = Mutex::new(Vec::new());
    connecting("frozen_ending.c", &fake).run();
}

/// Returns the process id in the identity of a request, `pid@host`.
fn pid_in(message: &[u8]) -> i32 {
    let text = String::from_utf8_lossy(message);
    let before = text.split('@').next().unwrap();
    let digits = before.trim_start_matches(|last: char| !last.is_ascii_digit());
    digits[digits.rfind(|digit: char| !digit.is_ascii_digit()).map_or(0, |at| at + 1)..].parse().unwrap()
}

/// Stops a process, and lets it continue after more than the 200 ms of its call.
fn stop_beyond_the_timeout(pid: i32) {
    // SAFETY: no pointers are passed.
    let signal = move |signal| assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    signal(libc::SIGSTOP);
    let is_stopped = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ");
    while !is_stopped() {
        thread::yield_now();
    }
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        signal(libc::SIGCONT);
    });
}

#[test]
fn failure_sets_pointers_to_null_keeps_scalars_and_returns_an_error_on_request() {
    Program::new("outputs.c").run();
}

#[test]
fn invalid_bytes_and_timeouts_are_refused() {
    Program::new("arguments.c").run();
}

#[test]
fn objects_may_be_null() {
    Program::new("nulls.c").run();
}

#[test]
fn json_is_parsed_strictly_and_within_limits() {
    Program::new("json.c").run();
}

#[test]
fn no_input_costs_disproportionate_time_or_memory() {
    // The instrumentation itself costs too much time and memory.
    if instrumented() {
        return;
    }
    Program::new("slow_input.c").run();
}

#[test]
fn header_and_library_agree_on_their_version() {
    Program::new("versions.c").run();
}

#[test]
fn strings_are_utf8_and_end_with_nul() {
    #[derive(Clone, PartialEq, Message)]
    struct Description {
        #[prost(message, repeated, tag = "3")]
        pending_activities: Vec<Pending>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Pending {
        #[prost(string, tag = "1")]
        activity_id: String,
        #[prost(message, optional, tag = "4")]
        heartbeat_details: Option<Payloads>,
    }
    // Three payloads. The first names the encoding "a\0b", the second one that isn't UTF-8. The third has no metadata.
    let payloads = b"\x0a\x11\x0a\x0f\x0a\x08encoding\x12\x03a\0b\x0a\x10\x0a\x0e\x0a\x08encoding\x12\x02\xff\xfe\x0a\x04\x12\x0241";
    let activity = Pending {
        activity_id: "5".into(),
        heartbeat_details: Some(Payloads::from_encoded("payloads", payloads).unwrap()),
    };
    let description = Description { pending_activities: vec![activity] }.encode_to_vec();
    let fake = Fake::start(move |call| match call.method.as_str() {
        "DescribeWorkflowExecution" => Answer::Message(description.clone()),
        _ => Answer::ok(),
    });
    let no_utf8 = OsStr::from_bytes(b"/no/such/\xff\xfe");
    connecting("strings.c", &fake).variable("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", no_utf8).run();
}

#[test]
fn token_from_the_environment_ends_with_nul() {
    Program::new("text.c").variable("TEMPORAL_ACTIVITY_TASK_TOKEN", BASE64_STANDARD.encode(TOKEN)).run();
}

#[test]
fn pipe_without_a_writer_times_out() {
    Program::new("pipe.c").variable("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", build_dir().join("pipe")).run();
}

#[test]
fn timeout_bounds_the_call_and_zero_sends_nothing() {
    let fake = Fake::start(no_beat);
    let program = connecting("timeouts.c", &fake);
    program.run();
    // The tries of the call with a timeout, and of the call without one.
    assert!((2..=6).contains(&fake.calls(BEAT).len()), "{}", fake.calls(BEAT).len());
    for method in ["DescribeWorkflowExecution", "RespondActivityTaskCompleted", "RespondActivityTaskFailed"] {
        assert!(fake.calls(method).is_empty(), "{method}");
    }
}

#[test]
fn calls_in_static_destructors_and_at_exit_return_a_status() {
    let fake = Fake::start(well);
    for before in ["connected", "disconnected", "unused"] {
        let program = connecting("late_calls.cpp", &fake);
        assert_eq!(program.argument(before).run(), "all late calls were made\n", "{before}");
    }
}

#[test]
fn worker_takes_a_task_that_its_child_can_read_and_the_program_may_end_during_polls() {
    let fake = Fake::start(|call| match (call.method.as_str(), call.nth) {
        ("PollActivityTaskQueue", 0) => task(1, 60),
        ("PollActivityTaskQueue", _) => Answer::Silence,
        _ => Answer::ok(),
    });
    let began = Instant::now();
    // valgrind and AddressSanitizer report what threads of the parent hold as leaks of the child.
    connecting("worker.c", &fake).argument(if instrumented() { "" } else { "forks" }).run();
    assert!(instrumented() || began.elapsed() < Duration::from_secs(10));
    assert_eq!(fake.calls("RespondActivityTaskCompleted").len(), 1);
}

#[test]
fn program_ends_at_once_after_a_failed_connect() {
    Program::new("failed_connect.c").run();
}

#[test]
fn program_may_end_during_calls() {
    let fake = Fake::start(no_beat);
    let program = connecting("exit_in_call.c", &fake);
    let began = Instant::now();
    program.run();
    assert!(instrumented() || began.elapsed() < Duration::from_secs(10));
}

#[test]
fn program_without_an_activity_opens_no_connection() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::new("inactive.c");
    program.variable("TEMPORAL_ADDRESS", server.local_addr().unwrap().to_string()).run();
    server.set_nonblocking(true).unwrap();
    assert_eq!(server.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn child_of_an_inactive_process_is_inactive() {
    // In the child of a process with threads, valgrind reports leaks, and AddressSanitizer may hang.
    if !instrumented() {
        Program::new("inactive.c").argument("forked").run();
    }
}

#[test]
fn connected_program_without_an_activity_sends_nothing_for_it() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = sent.clone();
    let fake = Fake::start(move |call| {
        seen.lock().unwrap().push(call.method.clone());
        Answer::ok()
    });
    connecting("inactive.c", &fake).argument("connected").run();
    let of_connect = ["GetSystemInfo", "DescribeNamespace"];
    assert!(sent.lock().unwrap().iter().all(|method| of_connect.contains(&method.as_str())), "{sent:?}");
}

#[test]
fn environment_chooses_no_address_and_no_file_for_a_set_user_id_program() {
    // Neither valgrind nor the sanitizer runs in such a program.
    if instrumented() {
        return;
    }
    // SAFETY: no arguments are passed.
    if unsafe { libc::geteuid() } != 0 {
        assert_ne!(std::env::var("THB_REQUIRE_ALL").as_deref(), Ok("1"), "needs root");
        eprintln!("SKIPPED: needs root");
        return;
    }
    let home = build_dir().join("home");
    let profile = home.join(".config/temporalio/temporal.toml");
    fs::create_dir_all(profile.parent().unwrap()).unwrap();
    fs::write(&profile, "not TOML").unwrap();
    let (token, token_file) = (BASE64_STANDARD.encode(TOKEN), build_dir().join("token"));
    fs::write(&token_file, &token).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let own = Program::new("environment.c");
    let privileged = Program::new("environment.c").set_user_id();
    const OK: &str = "THB_OK";
    const NO: &str = "THB_CONFIG";
    for (variable, value, read, ignored) in [
        ("TEMPORAL_ADDRESS", "none".to_owned(), [NO, NO, NO], [OK, NO, OK]),
        ("TEMPORAL_CONFIG_FILE", path(&profile), [NO, NO, NO], [OK, NO, OK]),
        ("XDG_CONFIG_HOME", path(&home.join(".config")), [NO, NO, NO], [OK, NO, OK]),
        ("HOME", path(&home), [NO, NO, NO], [OK, NO, OK]),
        ("TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", path(&token_file), [OK, OK, OK], [OK, NO, OK]),
        ("TEMPORAL_ACTIVITY_TASK_TOKEN", token, [OK, OK, OK], [OK, OK, OK]),
        ("SSL_CERT_FILE", path(&token_file), [OK, NO, NO], [OK, NO, NO]),
    ] {
        for (program, statuses) in [(&own, read), (&privileged, ignored)] {
            let program = program.again().variable("XDG_CONFIG_HOME", "").variable(variable, &value);
            assert_eq!(program.run().trim(), statuses.join(" "), "{variable}");
        }
    }
}

#[test]
fn dlclose_keeps_the_library_loaded() {
    let fake = Fake::start(no_beat);
    Program::unlinked("unload.c").variable("TEMPORAL_ADDRESS", fake.address.to_string()).run();
}

#[test]
fn closed_descriptors_cause_neither_stray_writes_nor_a_crash() {
    let fake = Fake::start(well);
    let program = connecting("descriptors.c", &fake);
    // If the program closes the library's own descriptors, the library leaks what would close them again.
    let ways = if instrumented() { &["standard"][..] } else { &["standard", "all", "disconnect"] };
    for way in ways {
        let output = program.again().argument(way).output();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && (said.is_empty() || instrumented()),
            "{way}: {} {said}",
            output.status
        );
    }
}

#[test]
fn host_signals_stay_on_host_threads_and_interrupt_no_call() {
    let fake = Fake::start(|call| match call.method.as_str() {
        BEAT => Answer::After(Duration::from_secs(1)),
        _ => Answer::ok(),
    });
    connecting("interrupted.c", &fake).run();
}

#[test]
fn cancelled_thread_finishes_its_call() {
    let fake = Fake::start(well);
    connecting("cancelled_thread.c", &fake)
        .variable("TEMPORAL_ACTIVITY_TASK_TOKEN", BASE64_STANDARD.encode(TOKEN))
        .run();
}

#[test]
fn every_call_works_on_a_small_stack() {
    // The sanitizer adds red zones around each object on the stack.
    if sanitized() {
        return;
    }
    let fake = Fake::start(well);
    connecting("small_stack.c", &fake).run();
}

#[test]
fn thread_that_drives_the_connection_survives_signals_and_closed_connections() {
    let fake = Fake::start(|call| match (call.method.as_str(), call.nth % 20) {
        (BEAT, 19) => Answer::Close,
        _ => Answer::ok(),
    });
    // A name, so that each connection needs the resolver's thread.
    let address = format!("localhost:{}", fake.address.port());
    connecting("driving_thread.c", &fake).variable("TEMPORAL_ADDRESS", address).run();
    assert!(fake.connections() > 10);
}

#[test]
fn invalid_handles_are_refused_and_valid_ones_work() {
    let fake = Fake::start(well);
    connecting("handles.c", &fake).run();
}

/// Makes 40 calls that time out: in 4 s, or in 20 s with THB_SLOW=1.
fn timed_out_calls(program: Program) -> Program {
    let timeout_ms = repetitions(100, 500);
    program.argument("40").argument(&timeout_ms.to_string())
}

#[test]
fn calls_to_a_silent_server_leak_no_descriptors() {
    let fake = Fake::start(|call| match call.method.as_str() {
        BEAT => Answer::Silence,
        _ => Answer::ok(),
    });
    let program = connecting("silent_server.c", &fake);
    println!("{}", timed_out_calls(program).run());
}

#[test]
fn calls_to_a_silent_listener_leak_no_descriptors() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let program = Program::new("silent_server.c");
    // The kernel accepts the connections.
    println!("{}", timed_out_calls(program.variable("TEMPORAL_ADDRESS", address)).run());
    drop(listener);
}

#[test]
fn call_without_free_descriptors_returns_a_status() {
    // valgrind takes descriptors from the program's limit.
    if instrumented() {
        return;
    }
    let fake = Fake::start(well);
    connecting("no_descriptors.c", &fake).run();
}

#[test]
fn call_without_memory_for_a_value_or_a_thread_returns_a_status() {
    // Neither valgrind nor the sanitizer can run with little memory.
    if instrumented() {
        return;
    }
    let fake = Fake::start(well);
    let key = build_dir().join("key");
    connecting("no_memory.c", &fake).argument("values").run();
    connecting("no_memory.c", &fake).argument("rereads").argument(key.to_str().unwrap()).run();
    let with_new_key = |call: &Call| call.headers.get("authorization").is_some_and(|key| key == "Bearer two");
    assert!(fake.calls(BEAT).iter().any(with_new_key));
}

/// Returns a server that answers NOT_FOUND to tokens with "gone", nothing to tokens with "silent", and acknowledges the
/// others.
pub fn answering_by_token() -> Fake {
    let token = |call: &Call, text: &[u8]| call.message.windows(text.len()).any(|part| part == text);
    Fake::start(move |call| {
        if token(call, b"silent") {
            Answer::Silence
        } else if token(call, b"gone") {
            Answer::Error { code: 5, detail: "NotFoundFailure", trailers_only: true }
        } else {
            Answer::ok()
        }
    })
}

/// Runs a case of `c/queue.c`, and returns how long it took.
fn queue(case: &str) -> Duration {
    let fake = answering_by_token();
    // valgrind is much slower.
    let calls = if instrumented() { "200" } else { "10000" };
    let began = Instant::now();
    connecting("queue.c", &fake).argument(case).argument(calls).run();
    began.elapsed()
}

#[test]
fn calls_in_flight_have_their_own_results() {
    queue("results");
}

#[test]
fn four_threads_take_each_completion_once() {
    queue("threads");
}

#[test]
fn connect_and_disconnect_are_submitted_too() {
    queue("connect");
}

#[test]
fn submission_refuses_what_needs_no_server() {
    queue("refused");
}

#[test]
fn descriptor_of_a_queue_is_readable_while_completions_wait() {
    queue("descriptor");
}

#[test]
fn submitted_calls_of_a_handle_run_in_order() {
    queue("activity");
}

#[test]
fn cancelled_calls_end_at_once() {
    queue("cancel");
}

#[test]
fn disconnect_completes_submitted_calls_before_it_returns() {
    queue("disconnect");
}

#[test]
fn closing_a_queue_wakes_its_threads_and_drops_results() {
    queue("close");
}

#[test]
fn child_has_no_submitted_calls_of_its_parent() {
    // In the child of a process with threads, valgrind reports leaks, and AddressSanitizer may hang.
    if !instrumented() {
        queue("fork");
    }
}

#[test]
fn outstanding_calls_are_limited() {
    // Takes minutes under valgrind.
    if !instrumented() {
        queue("limit");
    }
}

#[test]
fn refused_submissions_and_untaken_completions_use_limited_memory() {
    if repetitions(0, 1) == 1 && !instrumented() {
        queue("flood");
    }
}

#[test]
fn inputs_of_outstanding_calls_are_limited() {
    queue("inputs");
}

#[test]
fn submission_of_a_connect_that_is_refused_leaves_no_connection() {
    queue("refused_connect");
}

#[test]
fn exit_completes_submitted_calls_but_waits_for_a_limited_time() {
    queue("exit");
    let took = queue("silent_exit");
    assert!((Duration::from_secs(2)..Duration::from_secs(20)).contains(&took), "{took:?}");
}

#[test]
fn queue_survives_threads_that_submit_take_cancel_and_fork() {
    let fake = answering_by_token();
    // valgrind is much slower. In the child of a process with threads, it reports leaks, and AddressSanitizer may hang.
    let calls = if instrumented() { 1_000 } else { repetitions(5_000, 100_000) };
    let children = if instrumented() { 0 } else { calls / 50 };
    let program = connecting("queue_races.c", &fake);
    program.argument(&calls.to_string()).argument(&children.to_string()).run();
}

#[test]
fn library_changes_nothing_of_the_host_process() {
    // valgrind and the sanitizer have threads and signals of their own.
    if instrumented() {
        return;
    }
    let fake = Fake::start(well);
    // For the C library's function that returns the rounding mode.
    let program = Program::built_with("host_process.c", &["-lm"]);
    program.variable("TEMPORAL_ADDRESS", fake.address.to_string()).run();
}

#[test]
fn no_copy_of_a_token_stays_in_memory() {
    // These tools keep freed memory, to detect its use.
    if instrumented() {
        return;
    }
    let fake = Fake::start(well);
    let program = connecting("token_copies.c", &fake);
    program.variable("TEMPORAL_ACTIVITY_TASK_TOKEN", BASE64_STANDARD.encode("S3cR3T-hErE!")).run();
}

#[test]
fn leak_is_detected() {
    if !instrumented() {
        return;
    }
    let program = Program::new("leaky.c");
    let output = program.output();
    let (said, leak) =
        (String::from_utf8_lossy(&output.stderr), ["definitely lost", "detected memory leaks"]);
    assert!(leak.iter().any(|leak| said.contains(leak)), "{said}");
    assert!(!output.status.success());
}

#[test]
fn read_behind_a_value_is_detected() {
    if !instrumented() {
        return;
    }
    let program = Program::new("overflow.c");
    let output = program.output();
    let (said, read) = (String::from_utf8_lossy(&output.stderr), ["Invalid read", "heap-buffer-overflow"]);
    assert!(read.iter().any(|read| said.contains(read)), "{said}");
    assert!(!output.status.success() && sanitized() != valgrind());
}
