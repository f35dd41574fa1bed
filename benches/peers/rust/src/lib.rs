//! Runs the measurements of the Rust programs. See ../../README.md.

pub mod frames;

use std::{
    cell::Cell,
    fs,
    time::{Duration, Instant},
};

/// The warm-up time before the measurement.
pub const WARM_UP: Duration = Duration::from_millis(300);

/// The arguments of a program.
pub struct Task {
    pub address: String,
    pub tokens: Vec<Vec<u8>>,
    pub callers: usize,
    pub details: Vec<u8>,
    pub time: Duration,
    pub ca: Option<String>,
}

impl Task {
    /// Parses the command line, without its first `skipped` arguments.
    pub fn asked(skipped: usize) -> Task {
        let mut arguments = std::env::args().skip(1 + skipped);
        let mut next = || arguments.next().expect("usage: ADDRESS TOKENS CALLERS BYTES SECONDS [CA]");
        Task {
            address: next(),
            tokens: fs::read_to_string(next()).unwrap().lines().map(bytes_of).collect(),
            callers: next().parse().unwrap(),
            details: vec![b'x'; next().parse().unwrap()],
            time: Duration::from_secs_f64(next().parse().unwrap()),
            ca: arguments.next(),
        }
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Records the times of calls that all end on one thread.
pub struct Measurement {
    begun: Instant,
    end: Instant,
    cpu: Cell<Duration>,
    times: Cell<Vec<u32>>,
    counting: Cell<bool>,
}

impl Measurement {
    /// Starts the warm-up; then measures for `time`. If `time` is 0, each caller sends one heartbeat.
    pub fn new(time: Duration) -> Self {
        let begun = Instant::now() + if time.is_zero() { Duration::ZERO } else { WARM_UP };
        Measurement {
            begun,
            end: begun + time,
            cpu: Cell::default(),
            times: Cell::default(),
            counting: Cell::new(false),
        }
    }

    /// Records a call that began at `before` and has ended. Returns whether there is time for another.
    pub fn ended(&self, before: Instant) -> bool {
        let now = Instant::now();
        if !self.counting.get() {
            if now >= self.begun && now < self.end {
                self.counting.set(true);
                self.cpu.set(cpu_time());
            }
            return now < self.end;
        }
        if now < self.end {
            let mut times = self.times.take();
            times.push(u32::try_from((now - before).as_nanos()).unwrap_or(u32::MAX));
            self.times.set(times);
            return true;
        }
        self.counting.set(false);
        self.cpu.set(cpu_time() - self.cpu.get());
        false
    }

    /// Prints the results. Prints nothing if the time was 0.
    pub fn report(self) {
        let mut times = self.times.take();
        if times.is_empty() {
            return;
        }
        times.sort_unstable();
        let quantile = |part: f64| f64::from(times[(times.len() as f64 * part) as usize]) / 1e3;
        println!(
            "{{\"calls\":{},\"seconds\":{:.6},\"cpu_s\":{:.6},\"p50_us\":{:.2},\"p99_us\":{:.2},\"rss_mb\":{:.2}}}",
            times.len(),
            (self.end - self.begun).as_secs_f64(),
            self.cpu.get().as_secs_f64(),
            quantile(0.5),
            quantile(0.99),
            peak_memory_mb()
        );
    }
}

/// Returns the processor time of this process.
pub fn cpu_time() -> Duration {
    let mut used = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: `used` is a valid output, and the call can't fail with these arguments.
    let used = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, used.as_mut_ptr());
        used.assume_init()
    };
    [used.ru_utime, used.ru_stime]
        .iter()
        .map(|time| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64))
        .sum()
}

fn peak_memory_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
