//! With a server that answers late, the library keeps a lease as long as possible and closes no connection.
//!
//! A process has one client, so each cell of the table is a separate process: this test binary, started again with the ignored test
//! `one_cell`.

use std::{
    env,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use temporal_heartbeat::{
    api::activity,
    model::{payload::Encoding, signals::Signals},
};

use crate::fake::{Answer, Fake, TOKEN};

const BEAT: &str = "RecordActivityTaskHeartbeat";

/// The server's answer times, in hundredths of the heartbeat timeout.
const QUICK: [u32; 2] = [35, 45];
const ALL: [u32; 10] = [10, 20, 30, 35, 40, 45, 50, 60, 75, 90];
/// The largest answer time at which the library keeps the lease.
const KEEPS_LEASE_PERCENT: u32 = 45;
/// The number of tries that may fail before the library knows the server's answer time.
const MOST_WASTED_TRIES: u64 = 2;

/// The duration of a cell, in heartbeat timeouts.
const TIMEOUTS: u32 = 3;
/// The interval at which a cell checks its lease.
const LOOK: Duration = Duration::from_millis(5);

/// One cell: the heartbeat timeout, and each answer's time as a part of it.
#[derive(Clone, Copy, Debug)]
struct Cell {
    timeout: Duration,
    percent: u32,
    /// Whether the server reports the expiry of a request before the client's own timer does.
    server_reports: bool,
}

/// The measurements of a cell's process.
#[derive(Debug)]
struct Outcome {
    cell: Cell,
    wasted_tries: u64,
    without_lease: Duration,
    connections: u64,
}

impl Cell {
    fn from_env() -> Option<Self> {
        let text = env::var("THB_CELL").ok()?;
        let [timeout_ms, percent, server_reports] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        Some(Cell {
            timeout: Duration::from_millis(timeout_ms.parse().unwrap()),
            percent: percent.parse().unwrap(),
            server_reports: server_reports.parse().unwrap(),
        })
    }

    fn start(self) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "slow_server::one_cell", "--ignored", "--nocapture"])
            .env("THB_CELL", format!("{} {} {}", self.timeout.as_millis(), self.percent, self.server_reports))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn finish(self, child: Child) -> Outcome {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{self:?}: {text}");
        let line =
            text.lines().find_map(|line| line.split_once("cell: ")).unwrap_or_else(|| panic!("{text}")).1;
        let [wasted_tries, without_lease_ms, connections] =
            line.split(' ').map(|number| number.parse().unwrap()).collect::<Vec<u64>>()[..]
        else {
            panic!("{line}")
        };
        Outcome {
            cell: self,
            wasted_tries,
            without_lease: Duration::from_millis(without_lease_ms),
            connections,
        }
    }
}

/// Runs the cells in parallel.
fn run(cells: &[Cell]) -> Vec<Outcome> {
    let children: Vec<_> = cells.iter().map(|cell| (*cell, cell.start())).collect();
    children.into_iter().map(|(cell, child)| cell.finish(child)).collect()
}

fn cells(timeout_seconds: u64, percents: &[u32]) -> Vec<Cell> {
    let timeout = Duration::from_secs(timeout_seconds);
    let reporters = [true, false];
    reporters
        .into_iter()
        .flat_map(|server_reports| {
            percents.iter().map(move |&percent| Cell { timeout, percent, server_reports })
        })
        .collect()
}

#[test]
#[ignore = "a separate process, started by the tests below"]
fn one_cell() {
    let Some(cell) = Cell::from_env() else { return };
    let answer_time = cell.timeout * cell.percent / 100;
    let fake = Fake::connected(move |call| match (call.method.as_str(), cell.server_reports) {
        (BEAT, true) => Answer::WithinDeadline(answer_time),
        (BEAT, false) => Answer::After(answer_time),
        _ => Answer::ok(),
    });
    let options =
        format!("{{\"heartbeat_timeout_ms\":{},\"initial_details\":\"\"}}", cell.timeout.as_millis());
    let began = Instant::now();
    let handle = activity::open(TOKEN, options.as_bytes()).unwrap();
    activity::record(handle, Encoding::Json, b"1").unwrap();
    let (mut without_lease, mut looked) = (Duration::ZERO, Instant::now());
    while began.elapsed() < cell.timeout * TIMEOUTS {
        thread::sleep(LOOK);
        let lost = activity::signals(handle).unwrap().contains(Signals::LEASE_LOST);
        let now = Instant::now();
        if lost {
            without_lease += now - looked;
        }
        looked = now;
    }
    let info: serde_json::Value = serde_json::from_str(&activity::info(handle).unwrap()).unwrap();
    assert!(info["beats"].as_u64().unwrap() + info["failed_tries"].as_u64().unwrap() > 0);
    println!("cell: {} {} {}", info["failed_tries"], without_lease.as_millis(), fake.connections());
}

fn check(outcomes: &[Outcome]) {
    for outcome in outcomes {
        assert_eq!(outcome.connections, 1, "{outcome:?}: the server was alive all the time");
        if outcome.cell.percent <= KEEPS_LEASE_PERCENT {
            assert_eq!(outcome.without_lease, Duration::ZERO, "{outcome:?}");
            assert!(outcome.wasted_tries <= MOST_WASTED_TRIES, "{outcome:?}");
        }
    }
}

#[test]
fn answers_within_half_of_the_timeout_keep_the_lease() {
    let outcomes = run(&cells(2, &QUICK));
    println!("{outcomes:#?}");
    check(&outcomes);
}

/// Writes the table. Run by `make lease-table`; takes two and a half minutes.
#[test]
#[ignore = "make lease-table"]
fn answer_time_table() {
    println!("| T | answer after | expiry reported by | tries wasted | time without lease | connections |");
    println!("|---|---|---|---|---|---|");
    let mut all = Vec::new();
    for timeout in [2, 5, 10, 30] {
        let outcomes = run(&cells(timeout, &ALL));
        for Outcome { cell, wasted_tries, without_lease, connections } in &outcomes {
            println!(
                "| {timeout} s | {:.2} T | {} | {wasted_tries} | {:.1} s | {connections} |",
                f64::from(cell.percent) / 100.0,
                if cell.server_reports { "server" } else { "client" },
                without_lease.as_secs_f64()
            );
        }
        all.extend(outcomes);
    }
    check(&all);
}
