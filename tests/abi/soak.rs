//! Load, faults and forks together for a long time: `make soak`. Nothing grows, and no last record is lost.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    built::Program,
    fake::{Answer, Fake},
    limited_connection::Limits,
};

/// The resources of a process, as the kernel reports them.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    resident_kb: usize,
    descriptors: usize,
    threads: usize,
}

impl Size {
    fn of(process: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let descriptors = fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        Some(Size { resident_kb: number("VmRSS:")?, descriptors, threads: number("Threads:")? })
    }

    fn most(sizes: &[Size]) -> Self {
        let most = |part: fn(&Size) -> usize| sizes.iter().map(part).max().unwrap_or_default();
        Size {
            resident_kb: most(|size| size.resident_kb),
            descriptors: most(|size| size.descriptors),
            threads: most(|size| size.threads),
        }
    }
}

/// The server is silent for a third of the time.
const SILENCE_PERIOD_MS: u128 = 3000;
const SILENCE_MS: u128 = 1000;

#[test]
#[ignore = "make soak"]
fn process_does_not_grow_under_load_forks_and_faults() {
    let seconds: u64 = std::env::var("THB_SOAK_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    let delivered: Arc<Mutex<HashMap<u64, u64>>> = Arc::default();
    let kills = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let fake = Fake::with_limits(
        {
            let delivered = delivered.clone();
            move |call| {
                if started.elapsed().as_millis() % SILENCE_PERIOD_MS < SILENCE_MS
                    && started.elapsed() < Duration::from_secs(seconds)
                {
                    return Answer::Silence;
                }
                let text = String::from_utf8_lossy(&call.message);
                if let Some(json) = text
                    .find("{\"activity\"")
                    .map(|from| &text[from..=from + text[from..].find('}').unwrap()])
                {
                    let details: serde_json::Value = serde_json::from_str(json).unwrap();
                    delivered
                        .lock()
                        .unwrap()
                        .insert(details["activity"].as_u64().unwrap(), details["item"].as_u64().unwrap());
                }
                Answer::ok()
            }
        },
        {
            let kills = kills.clone();
            move || {
                let kills = kills.clone();
                let on_end = Box::new(move || {
                    kills.fetch_add(1, Ordering::SeqCst);
                });
                Limits { bytes: fastrand::usize(2_000..200_000), on_end, ..Limits::none() }
            }
        },
    );
    let program = Program::new("soak.c");
    let program =
        program.variable("TEMPORAL_ADDRESS", fake.address.to_string()).argument(&seconds.to_string());
    let began = Instant::now();
    let child = program.start();
    let mut sizes = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds.saturating_sub(1)) {
        thread::sleep(Duration::from_millis(250));
        sizes.extend(Size::of(child.id()));
        fake.forget();
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {said}", output.status);

    let (first, last) = (Size::most(&sizes[..sizes.len() / 3]), Size::most(&sizes[sizes.len() * 2 / 3..]));
    println!("{seconds} s: {}{} connections killed", said, kills.load(Ordering::SeqCst));
    println!("first third at most {first:?}\nlast third at most  {last:?}");
    // Tolerances: a tenth and the allocator's reserve; descriptors of connections that are closing; the thread for name resolution.
    assert!(last.resident_kb <= first.resident_kb * 11 / 10 + 2048, "memory grows");
    assert!(last.descriptors <= first.descriptors + 4, "descriptors grow");
    assert!(last.threads <= first.threads + 1, "threads grow");
    let items: Vec<u64> = String::from_utf8(output.stdout)
        .unwrap()
        .split_whitespace()
        .map(|item| item.parse().unwrap())
        .collect();
    for (activity, item) in items.iter().enumerate() {
        let activity = u64::try_from(activity).unwrap();
        assert_eq!(
            delivered.lock().unwrap().get(&activity),
            Some(item),
            "the last item of activity {activity}"
        );
    }
}
