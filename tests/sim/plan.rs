//! What one run does, chosen by its seed. Each run has only some of the faults (swarm testing), and one pace and size of its work.

use std::time::Duration;

use fastrand::Rng;

use super::{faults::Fault, temporal::NEWEST};

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Some minutes with many faults: these runs find most.
    Dense,
    /// One activity that is flushed all the time, for leaks.
    Flood,
    /// Up to a thousand activities, or many hours, or both.
    Long,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub shape: Shape,
    /// For how long there are faults and work.
    pub length: Duration,
    pub activities: usize,
    /// The bounds of the time that bytes take.
    pub latency: (Duration, Duration),
    /// The server's addresses, and whether each is silent.
    pub silent_addresses: Vec<bool>,
    /// How long a usual answer takes at most, as a part of the heartbeat timeout.
    pub longest_answer: f64,
    /// Whether requests may be applied when their answer is sent, and not when they arrive.
    pub applies_late: bool,
    /// How many of its answers are wrong while a fault of the server is active.
    pub wrong_answers: f64,
    /// How long the program's codec takes at most; `None`: there is none.
    pub codec: Option<Duration>,
    /// By weight.
    pub faults: Vec<(u32, Fault)>,
    /// How many faults may be active at once.
    pub faults_at_once: u32,
    /// The minor version of the server.
    pub version: u32,
    /// The bounds of the time between faults.
    pub fault_pause: (Duration, Duration),
    /// The longest fault.
    pub longest_fault: Duration,
    /// How many steps a holder makes in a heartbeat timeout, at most.
    pub steps_per_timeout: u32,
    /// In place of the timeout, where there is none.
    pub usual_timeout: Duration,
    /// The heartbeat timeouts that activities have, in milliseconds; 0: none.
    pub timeouts_ms: Vec<u64>,
    /// How often an activity is opened with a pulse.
    pub pulse: f64,
    /// How often a task is handled with one-call functions only.
    pub one_call: f64,
    /// How often the holder is given ids in place of a token.
    pub by_ids: f64,
    /// How often the holder isn't given the heartbeat timeout, or the details of the attempt before.
    pub unknown: f64,
    /// How often an activity is opened with `follow_server`.
    pub follow: f64,
    /// How often the thread of a call is preempted when it releases a lock.
    pub preemption: f64,
    /// How often a call is submitted, and not waited for in its own thread.
    pub submitted: f64,
    /// How many threads take completions.
    pub takers: usize,
}

/// About how many requests a long run may make.
const REQUESTS_OF_A_LONG_RUN: u64 = 15_000;
/// The longest run. One with few activities is shorter, because the scheduler wakes up each second in any case.
const LONGEST_RUN: Duration = Duration::from_secs(100 * 3600);
const LONGEST_RUN_OF_FEW: Duration = Duration::from_secs(10 * 3600);
const FEW: usize = 30;

/// The library gives a codec up after 30 s, and asks it for so many activities at a time.
const LONGEST_ENCODING: Duration = Duration::from_secs(20);
const MAX_AT_THE_CODEC: usize = 16;

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x5eed);
        let plan = match random.u32(..100) {
            0..=90 => Self::dense(seed, &mut random),
            91..=92 => Self::flood(seed, &mut random),
            _ => Self::long(seed, &mut random),
        };
        plan.with_codec(&mut random).with_following(&mut random)
    }

    /// In half of the runs activities are followed. In a third of these nothing delays news.
    fn with_following(mut self, random: &mut Rng) -> Self {
        self.follow = random.choice([0.0, 0.0, 0.5, 1.0]).unwrap();
        if self.follow > 0.0 && self.shape == Shape::Flood {
            // Each beat of a standalone activity ends a long poll.
            (self.follow, self.version) = (1.0, NEWEST);
        } else if self.follow > 0.0 {
            let is_good = random.u32(..3) == 0;
            let faults = Fault::of_following().map(|(weight, fault)| (random.u32(..=weight), fault));
            self.faults.extend(faults.into_iter().filter(|(weight, _)| *weight > 0));
            if is_good {
                self.faults.retain(|(_, fault)| !fault.delays_news());
                // News must arrive long before the next beat, so that the promise can be broken.
                self.longest_answer = self.longest_answer.min(0.05);
                self.longest_fault = self.longest_fault.min(Duration::from_secs(10));
            }
        }
        self
    }

    /// How many rounds the codec needs for all activities: it works for some at a time.
    pub fn rounds_of_codec(&self) -> u32 {
        u32::try_from(self.activities.div_ceil(MAX_AT_THE_CODEC)).unwrap()
    }

    /// Some programs have a codec. With what waits for its turn, it takes up to half of a heartbeat timeout.
    fn with_codec(mut self, random: &mut Rng) -> Self {
        let shortest =
            self.timeouts_ms.iter().copied().filter(|timeout| *timeout > 0).min().unwrap_or(30_000);
        let half = Duration::from_millis(shortest / 2).min(LONGEST_ENCODING);
        let longest = half / self.rounds_of_codec();
        self.codec = random
            .choice([None, None, None, Some(longest / 1000), Some(longest / 5), Some(longest)])
            .flatten();
        if self.codec.is_some() && self.shape != Shape::Flood {
            if random.u32(..3) == 0 {
                // Without others it must keep all leases.
                self.faults.clear();
            }
            let faults = [(random.u32(0..4), Fault::CodecAway), (random.u32(0..4), Fault::CodecHangs)];
            self.faults.extend(faults.into_iter().filter(|(weight, _)| *weight > 0));
        }
        self
    }

    fn dense(seed: u64, random: &mut Rng) -> Self {
        let mut one_of = |choices: &[u64]| random.choice(choices).copied().unwrap();
        let ms = Duration::from_millis;
        let latency = one_of(&[0, 1, 5, 20, 60]);
        let jitter = one_of(&[1, 2, 4]);
        let length = one_of(&[60, 120, 300]);
        let activities = match one_of(&[1, 1, 2, 3, 6]) {
            6 => one_of(&[6, 12, 24]),
            few => few,
        };
        let silent_addresses = match one_of(&[0, 0, 0, 1, 2]) {
            0 => vec![false],
            1 => vec![true, false],
            _ => vec![false, true, false],
        };
        let longest_answer = one_of(&[0, 1, 1, 10, 30, 43, 43, 80]) as f64 / 100.0;
        let timeouts_ms = match one_of(&[0, 1, 2, 3]) {
            0 => vec![2_000],
            1 => vec![10_000, 30_000],
            2 => vec![1_000, 5_000, 60_000],
            _ => vec![0, 3_000, 20_000, 120_000],
        };
        let part = |percent: u64| percent as f64 / 100.0;
        let (applies_late, one_call, unknown) =
            (one_of(&[0, 1]) == 1, part(one_of(&[0, 0, 20, 50])), part(one_of(&[0, 10, 50])));
        let by_ids = part(one_of(&[0, 0, 0, 30, 80]));
        // By ids a beat takes two requests.
        let longest_answer = if by_ids > 0.0 { longest_answer.min(0.4) } else { longest_answer };
        let (pause, steps) = (one_of(&[300, 2_000, 10_000, 40_000]), one_of(&[1, 4, 20]));
        let longest_fault = ms(one_of(&[500, 3_000, 10_000, 60_000]));
        let preemption = part(one_of(&[0, 0, 5, 30]));
        let submitted = part(one_of(&[0, 0, 30, 100]));
        let pulse = part(one_of(&[80, 80, 100, 30]));
        let wrong_answers = part(one_of(&[30, 70, 100]));
        let faults_at_once = one_of(&[1, 1, 2, 3]);
        Plan {
            seed,
            shape: Shape::Dense,
            length: Duration::from_secs(length),
            activities: usize::try_from(activities).unwrap(),
            latency: (ms(latency), ms(latency * jitter)),
            silent_addresses,
            longest_answer,
            applies_late,
            wrong_answers,
            codec: None,
            faults: faults(random),
            faults_at_once: u32::try_from(faults_at_once).unwrap(),
            version: random.choice([NEWEST, NEWEST, NEWEST, 31, 30, 29]).unwrap(),
            fault_pause: (ms(pause / 10), ms(pause)),
            longest_fault,
            steps_per_timeout: u32::try_from(steps).unwrap(),
            usual_timeout: Duration::from_secs(30),
            timeouts_ms,
            pulse,
            one_call,
            by_ids,
            unknown,
            follow: 0.0,
            preemption,
            submitted,
            takers: 1 + usize::from(seed % 2 == 1),
        }
    }

    fn flood(seed: u64, random: &mut Rng) -> Self {
        let latency = Duration::from_millis(1);
        Plan {
            shape: Shape::Flood,
            activities: 1,
            length: Duration::from_secs(60),
            latency: (latency, latency),
            longest_answer: 0.0,
            faults: Vec::new(),
            steps_per_timeout: 100_000,
            timeouts_ms: vec![60_000],
            one_call: 0.0,
            ..Self::dense(seed, random)
        }
    }

    /// The pulses of long timeouts are a minute apart, so hours cost little.
    fn long(seed: u64, random: &mut Rng) -> Self {
        let activities = random.choice([1, 10, 100, 300, 1000, 1000]).unwrap();
        let timeouts_ms = random.choice([
            &[300_000][..],
            &[600_000, 1_800_000],
            &[0, 3_600_000],
            &[0],
            &[60_000, 120_000, 900_000],
        ]);
        let pulse = random.choice([0.0, 0.1, 0.5, 0.8, 1.0]).unwrap();
        let pause = Duration::from_secs(random.choice([60, 600, 3_600]).unwrap());
        let usual_timeout = Duration::from_secs(1800);
        let plan = Plan {
            shape: Shape::Long,
            activities,
            timeouts_ms: timeouts_ms.unwrap().to_vec(),
            pulse,
            fault_pause: (pause / 10, pause),
            longest_fault: Duration::from_secs(random.choice([3, 60, 300]).unwrap()),
            longest_answer: random.choice([0.0, 0.001, 0.01, 0.1, 0.43]).unwrap(),
            steps_per_timeout: random.choice([1, 2, 4]).unwrap(),
            usual_timeout,
            one_call: random.choice([0.0, 0.2]).unwrap(),
            ..Self::dense(seed, random)
        };
        let shortest = plan.timeouts_ms.iter().map(|timeout| match timeout {
            0 => usual_timeout,
            known => Duration::from_millis(*known),
        });
        let steps = 3600.0 * f64::from(plan.steps_per_timeout) / shortest.min().unwrap().as_secs_f64();
        let beats = pulse * if plan.timeouts_ms.contains(&0) { 120.0 } else { 60.0 };
        let hours = REQUESTS_OF_A_LONG_RUN as f64 / (plan.activities as f64 * (steps + beats));
        let longest = if activities < FEW { LONGEST_RUN_OF_FEW } else { LONGEST_RUN };
        Plan { length: Duration::from_secs_f64(hours * 3600.0).min(longest), ..plan }
    }

    /// Simpler plans, one change each, for a smaller example of a violation.
    pub fn simpler(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for dropped in 0..self.faults.len() {
            let mut plan = self.clone();
            plan.faults.remove(dropped);
            plans.push(plan);
        }
        for activities in [1, self.activities / 10, self.activities / 2] {
            if activities > 0 && activities < self.activities {
                plans.push(Plan { activities, ..self.clone() });
            }
        }
        if self.silent_addresses.len() > 1 {
            plans.push(Plan { silent_addresses: vec![false], ..self.clone() });
        }
        if self.version < NEWEST {
            plans.push(Plan { version: NEWEST, ..self.clone() });
        }
        if self.faults_at_once > 1 {
            plans.push(Plan { faults_at_once: 1, ..self.clone() });
        }
        if self.timeouts_ms.len() > 1 {
            plans.extend(
                self.timeouts_ms.iter().map(|timeout| Plan { timeouts_ms: vec![*timeout], ..self.clone() }),
            );
        }
        if self.applies_late {
            plans.push(Plan { applies_late: false, ..self.clone() });
        }
        let parts: [fn(&mut Plan) -> &mut f64; 7] = [
            |plan| &mut plan.longest_answer,
            |plan| &mut plan.one_call,
            |plan| &mut plan.by_ids,
            |plan| &mut plan.unknown,
            |plan| &mut plan.follow,
            |plan| &mut plan.preemption,
            |plan| &mut plan.submitted,
        ];
        for part in parts {
            let mut plan = self.clone();
            if std::mem::replace(part(&mut plan), 0.0) > 0.0 {
                plans.push(plan);
            }
        }
        plans
    }

    /// Whether all faults of the run leave connections alone: then a slow server costs none.
    pub fn keeps_connections(&self) -> bool {
        self.faults.iter().all(|(_, fault)| fault.keeps_connections())
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.faults.iter().any(|(_, other)| *other == fault)
    }

    /// Returns the time between two checks of the client.
    pub fn look(&self) -> Duration {
        match self.shape {
            Shape::Dense | Shape::Flood => Duration::from_millis(250),
            Shape::Long => Duration::from_secs(5),
        }
    }
}

/// In some runs none, in some a few kinds, in some most.
fn faults(random: &mut Rng) -> Vec<(u32, Fault)> {
    let share = random.choice([0.0, 0.05, 0.1, 0.2, 0.2, 0.35, 0.35, 0.6]).unwrap();
    let mut chosen = Fault::all();
    chosen.retain(|_| random.f64() < share);
    chosen.into_iter().map(|fault| (random.u32(1..5), fault)).collect()
}
