//! The C++ wrapper, in each supported build mode.

use std::{
    env,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    built::{Program, build_dir, instrumented, output, repetitions, root, sanitized},
    fake::{Answer, Fake, field, task},
    programs::answering_by_token,
};

/// The same token as in `c/check.h`.
const TOKEN: &[u8] = b"\x0a\x02ns\x12\x02wf\x1a\x03run\x32\x015";

const WITHOUT_EXCEPTIONS: &[&str] = &["-fno-exceptions", "-fno-rtti"];

fn wrapper(flags: &[&str], fake: &Fake) -> Program {
    Program::built_with("wrapper.cpp", flags)
        .variable("TEMPORAL_ADDRESS", fake.address.to_string())
        .variable("TEMPORAL_ACTIVITY_TASK_TOKEN", BASE64_STANDARD.encode(TOKEN))
        .variable("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", "")
}

#[test]
fn wrapper_works_with_and_without_exceptions() {
    for flags in [&[], WITHOUT_EXCEPTIONS] {
        let fake = Fake::start(|_| Answer::ok());
        wrapper(flags, &fake).run();
    }
}

#[test]
fn wrapper_encodes_all_values_with_the_codec() {
    // One program may contain code of both build modes.
    let other = build_dir().join("codec_of_other_build.o");
    output(
        Command::new("c++")
            .args(["-std=c++17", "-D_GNU_SOURCE", "-DOTHER_BUILD", "-c", "-o"])
            .arg(&other)
            .args(WITHOUT_EXCEPTIONS)
            .args(sanitized().then_some("-fsanitize=address"))
            .arg(format!("-I{}", root().join("include").display()))
            .arg(root().join("tests/abi/c/codec.cpp")),
    );
    for flags in [&[], WITHOUT_EXCEPTIONS] {
        let fake = Fake::start(|_| Answer::ok());
        let program = Program::built_with("codec.cpp", &[&[other.to_str().unwrap()], flags].concat());
        program
            .variable("TEMPORAL_ADDRESS", fake.address.to_string())
            .variable("TEMPORAL_ACTIVITY_TASK_TOKEN", BASE64_STANDARD.encode(TOKEN))
            .run();
        for (method, fewest) in [
            ("RecordActivityTaskHeartbeat", 12),
            ("RespondActivityTaskCompleted", 4),
            ("RespondActivityTaskFailed", 4),
            ("RespondActivityTaskCanceled", 2),
        ] {
            let calls = fake.calls(method);
            assert!(calls.len() >= fewest, "{method}: {}", calls.len());
            assert!(!calls.iter().any(|call| call.has(b"planted")), "{method}");
            assert!(calls.iter().any(|call| call.has(b"detnalp")), "{method}");
        }
        let failures = fake.calls("RespondActivityTaskFailed");
        assert!(failures.iter().any(|call| call.has(b"Encoded failure") && call.has(b"\x0a\x01T")));
        assert!(failures.iter().any(|call| call.has(b"a message")));
    }
}

#[test]
fn wrapper_tracks_the_items_of_an_activity() {
    let paused = AtomicUsize::new(0);
    let fake = Fake::start(move |call| {
        if call.has(b"cancelled") {
            Answer::Message(vec![1 << 3, 1])
        } else if call.has(b"paused") && paused.fetch_add(1, Ordering::Relaxed) < 3 {
            Answer::Message(vec![2 << 3, 1])
        } else {
            Answer::ok()
        }
    });
    let program = Program::built_with("track.cpp", &["-std=c++20", "-O0"]);
    program.variable("TEMPORAL_ADDRESS", fake.address.to_string()).run();
}

#[test]
fn wrapper_takes_results_as_callbacks_futures_and_in_coroutines() {
    for (flags, calls) in [(&["-std=c++20"][..], 10_000), (WITHOUT_EXCEPTIONS, 1_000)] {
        let fake = answering_by_token();
        let program = Program::built_with("queue.cpp", flags);
        // valgrind is much slower. In the child of a process with threads, it reports leaks, and AddressSanitizer may hang.
        let (calls, children) = if instrumented() { (200, 0) } else { (calls, 20) };
        let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
        program.argument(&calls.to_string()).argument(&children.to_string()).run();
    }
}

#[test]
fn wrapper_ends_each_task_of_a_worker_whatever_its_function_does() {
    let fake = Fake::start(|call| match call.method.as_str() {
        "PollActivityTaskQueue" => task(call.nth, 60),
        _ => Answer::ok(),
    });
    let program = Program::built_with("worker.cpp", &["-O0"]);
    let program = program.variable("TEMPORAL_ADDRESS", fake.address.to_string());
    // valgrind and AddressSanitizer report what threads of the parent hold as leaks of the child.
    program.argument(if instrumented() { "" } else { "forks" }).run();

    let (failed, completed) =
        (fake.calls("RespondActivityTaskFailed"), fake.calls("RespondActivityTaskCompleted"));
    for number in 0..12 {
        let token = [b"\x1a\x01r\x28\x01", &field(6, number.to_string().as_bytes())[..]].concat();
        assert!(failed.iter().chain(&completed).any(|call| call.has(&token)), "{number}");
    }
    for text in [
        "not UTF-8: \u{fffd}",
        "[...]",
        "isn't a std::exception",
        "an error",
        "isn't valid UTF-8",
        "isn't valid JSON",
    ] {
        assert!(failed.iter().any(|call| call.has(text.as_bytes())), "{text}");
    }
}

#[test]
fn wrapper_compiles_without_warnings() {
    let on_path = |name: &&str| {
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|path| path.join(name).is_file())
    };
    let strict = "-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor";
    // Each standard and each set of options. With THB_SLOW=1 all combinations of them.
    let modes: &[(&str, &[&str])] = &[
        ("-std=c++17", &[]),
        ("-std=c++17", WITHOUT_EXCEPTIONS),
        ("-std=c++20", &["-fno-rtti"]),
        ("-std=c++20", &[]),
        ("-std=c++20", WITHOUT_EXCEPTIONS),
        ("-std=c++17", &["-fno-rtti"]),
    ];
    for compiler in ["g++", "clang++"].into_iter().filter(on_path) {
        for (standard, flags) in &modes[..repetitions(3, modes.len())] {
            let with_exceptions = flags.is_empty().then_some("track.cpp");
            output(
                Command::new(compiler)
                    .args(["-fsyntax-only", "-Werror", "-D_GNU_SOURCE", standard])
                    .args(strict.split(' '))
                    .args(*flags)
                    .arg(format!("-I{}", root().join("include").display()))
                    .args(
                        ["wrapper.cpp", "queue.cpp", "codec.cpp"]
                            .into_iter()
                            .chain(with_exceptions)
                            .map(|source| root().join("tests/abi/c").join(source)),
                    ),
            );
        }
    }
}
