//! The connection is closed again and again at any point: between requests, within a request, before the answer, or within it. The
//! newest details still reach the server, and no older details arrive after newer ones.

use std::{
    env,
    ops::Range,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::{activity, rpc},
    model::{deadline::Timeout, payload::Encoding},
};

use crate::{
    fake::{Answer, Call, Fake},
    limited_connection::Limits,
};

const HOLDERS: u64 = 4;
const ACTIVITIES_EACH: u64 = 16;
/// Numbers of bytes that suffice for a handshake only, for one beat, or for several beats.
const BYTES_OF_A_CONNECTION: Range<usize> = 0..1500;
const LONG: Timeout = Timeout::Within(Duration::from_secs(30));

/// What the server holds: the last recorded item of each activity, by number.
#[derive(Default)]
struct Landed {
    items: Mutex<Vec<u64>>,
    changed: Condvar,
    /// The number of items that arrived after newer ones.
    late: AtomicUsize,
}

impl Landed {
    fn land(&self, activity: usize, item: u64) {
        let mut items = self.items.lock().unwrap();
        if item < items[activity] {
            self.late.fetch_add(1, Ordering::SeqCst);
        }
        items[activity] = item;
        drop(items);
        self.changed.notify_all();
    }

    fn wait_for(&self, activity: usize, item: u64) {
        let missing = |items: &mut Vec<u64>| items[activity] != item;
        let waited = self.changed.wait_timeout_while(self.items(), Duration::from_secs(30), missing).unwrap();
        assert_eq!(waited.0[activity], item, "of activity {activity}");
    }

    /// Waits briefly for the next item to arrive.
    fn wait_for_any(&self) {
        drop(self.changed.wait_timeout(self.items(), Duration::from_millis(20)).unwrap());
    }

    fn items(&self) -> MutexGuard<'_, Vec<u64>> {
        self.items.lock().unwrap()
    }
}

/// Returns the numbers of details like `{"activity":1,"item":2}` within a request.
fn read(call: &Call) -> (usize, u64) {
    let text = String::from_utf8_lossy(&call.message);
    let from = text.find("{\"activity\"").unwrap();
    let json = &text[from..=from + text[from..].find('}').unwrap()];
    let details: serde_json::Value = serde_json::from_str(json).unwrap();
    (details["activity"].as_u64().unwrap().try_into().unwrap(), details["item"].as_u64().unwrap())
}

/// Holds activities open and records in them until the connection was closed often enough.
fn hold(holder: u64, over: impl Fn() -> bool, landed: &Landed, mut dice: fastrand::Rng) {
    let mut mine: Vec<_> = (holder * ACTIVITIES_EACH..(holder + 1) * ACTIVITIES_EACH)
        .map(|number| {
            // Each activity belongs to a separate workflow.
            let token =
                [b"\x0a\x01n\x1a\x01r\x28\x01\x32\x01a\x12\x05", format!("{number:05}").as_bytes()].concat();
            // The timeout is so short that the backoff doesn't grow. Leases are lost and regained all the time.
            // Half of the activities have no pulse, because a pulse would resend lost details.
            let pulse = number % 2 == 0;
            let options =
                format!("{{\"heartbeat_timeout_ms\":400,\"initial_details\":\"\",\"pulse\":{pulse}}}");
            (number, activity::open(&token, options.as_bytes()).unwrap(), 0)
        })
        .collect();
    while !over() {
        for (number, handle, item) in &mut mine {
            for _ in 0..dice.u32(1..4) {
                if dice.u32(0..8) == 0 {
                    // Waits until beats are in flight, so that the next record is made during a beat.
                    landed.wait_for_any();
                }
                *item += 1;
                let details = format!("{{\"activity\":{number},\"item\":{item}}}");
                activity::record(*handle, Encoding::Json, details.as_bytes()).unwrap();
            }
        }
        for (number, handle, item) in &mine {
            let number = usize::try_from(*number).unwrap();
            if dice.bool() {
                activity::flush(*handle, LONG).and_then(rpc::Call::wait).unwrap();
                assert_eq!(landed.items()[number], *item, "activity {number} was flushed");
            } else {
                landed.wait_for(number, *item);
            }
        }
    }
    for (_, handle, _) in mine {
        activity::close(handle, LONG).and_then(rpc::Call::wait).unwrap();
    }
}

#[test]
fn connection_closed_at_any_point_loses_no_newest_details() {
    let enough = if env::var_os("THB_SLOW").is_some() { 20_000 } else { 300 };
    let seed = env::var("THB_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    let mut dice = fastrand::Rng::with_seed(seed);
    let started = Instant::now();

    let landed = Arc::new(Landed::default());
    landed.items().resize(usize::try_from(HOLDERS * ACTIVITIES_EACH).unwrap(), 0);
    let kills = Arc::new(AtomicUsize::new(0));
    let fake = Fake::with_limits(
        {
            let (landed, dice) = (landed.clone(), Mutex::new(dice.fork()));
            move |call| {
                if call.method != "RecordActivityTaskHeartbeat" {
                    return Answer::ok();
                }
                let (activity, item) = read(call);
                landed.land(activity, item);
                match dice.lock().unwrap().u64(0..20) {
                    late @ 0..10 => Answer::After(Duration::from_millis(late)),
                    _ => Answer::ok(),
                }
            }
        },
        {
            let (kills, dice) = (kills.clone(), Mutex::new(dice.fork()));
            move || {
                let kills = kills.clone();
                let on_end = Box::new(move || {
                    kills.fetch_add(1, Ordering::SeqCst);
                });
                Limits { bytes: dice.lock().unwrap().usize(BYTES_OF_A_CONNECTION), on_end, ..Limits::none() }
            }
        },
    );
    fake.connect(",\"lazy\":true").unwrap();
    thread::scope(|scope| {
        for holder in 0..HOLDERS {
            let (dice, landed, kills, fake) = (dice.fork(), &*landed, &*kills, &fake);
            let over = move || {
                fake.forget();
                kills.load(Ordering::SeqCst) >= enough
            };
            scope.spawn(move || hold(holder, over, landed, dice));
        }
    });
    let (kills, late) = (kills.load(Ordering::SeqCst), landed.late.load(Ordering::SeqCst));
    println!("{kills} kills in {:?}, THB_SEED={seed}", started.elapsed());
    assert_eq!(late, 0, "items that arrived after newer ones, THB_SEED={seed}");
}
