//! What one run does, chosen by its seed. Each run has only some of the faults (swarm testing), and one pace and size of its work.

use std::time::Duration;

use fastrand::Rng;

use super::{faults::Fault, server::Misbehaviour};

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
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
    /// By weight.
    pub faults: Vec<(u32, Fault)>,
    /// The bounds of the time between faults.
    pub fault_pause: (Duration, Duration),
    /// The longest fault.
    pub longest_fault: Duration,
    /// How many steps a holder makes in a heartbeat timeout, at most.
    pub steps_per_timeout: u32,
    /// The heartbeat timeouts that activities have, in milliseconds; 0: none.
    pub timeouts_ms: Vec<u64>,
    /// How often a task is handled with one-call functions only.
    pub one_call: f64,
    /// How often the holder is given ids in place of a token.
    pub by_ids: f64,
    /// How often the holder isn't given the heartbeat timeout, or the details of the attempt before.
    pub unknown: f64,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x5eed);
        let mut one_of = |choices: &[u64]| random.choice(choices).copied().unwrap();
        let ms = Duration::from_millis;
        let latency = one_of(&[0, 1, 5, 20, 60]);
        let jitter = one_of(&[1, 2, 4]);
        let length = one_of(&[60, 120, 300]);
        let activities = match one_of(&[1, 1, 2, 3, 6]) {
            6 => usize::try_from(one_of(&[6, 12, 24])).unwrap(),
            few => usize::try_from(few).unwrap(),
        };
        let silent_addresses = match one_of(&[0, 0, 0, 1, 2]) {
            0 => vec![false],
            1 => vec![true, false],
            _ => vec![false, true, false],
        };
        let longest_answer =
            [0.0, 0.01, 0.1, 0.3, 0.43][usize::try_from(one_of(&[0, 1, 1, 2, 3, 4])).unwrap()];
        let timeouts_ms = match one_of(&[0, 1, 2, 3]) {
            0 => vec![2_000],
            1 => vec![10_000, 30_000],
            2 => vec![1_000, 5_000, 60_000],
            _ => vec![0, 3_000, 20_000, 120_000],
        };
        let (applies_late, one_call, unknown) =
            (one_of(&[0, 1]) == 1, one_of(&[0, 0, 20, 50]), one_of(&[0, 10, 50]));
        let by_ids = one_of(&[0, 0, 0, 30, 80]);
        let (pause, steps) = (one_of(&[300, 2_000, 10_000, 40_000]), one_of(&[1, 4, 20]));
        let longest_fault = one_of(&[500, 3_000, 10_000, 60_000]);
        // In some runs none.
        let share = [0.0, 0.1, 0.2, 0.35, 0.6][usize::try_from(one_of(&[0, 1, 2, 2, 3, 3, 4])).unwrap()];
        let faults = Fault::all().into_iter().filter_map(|fault| {
            let is_in = random.f64() < share;
            is_in.then(|| (random.u32(1..5), fault))
        });
        let faults = faults.collect();
        Plan {
            seed,
            length: Duration::from_secs(length),
            activities,
            latency: (ms(latency), ms(latency * jitter)),
            silent_addresses,
            longest_answer,
            applies_late,
            faults,
            fault_pause: (ms(pause / 10), ms(pause)),
            longest_fault: ms(longest_fault),
            steps_per_timeout: u32::try_from(steps).unwrap(),
            timeouts_ms,
            one_call: one_call as f64 / 100.0,
            by_ids: by_ids as f64 / 100.0,
            unknown: unknown as f64 / 100.0,
        }
    }

    /// Simpler plans, one change each, for a smaller example of a violation.
    pub fn simpler(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for dropped in 0..self.faults.len() {
            let mut plan = self.clone();
            plan.faults.remove(dropped);
            plans.push(plan);
        }
        for activities in [1, self.activities / 2] {
            if activities > 0 && activities < self.activities {
                plans.push(Plan { activities, ..self.clone() });
            }
        }
        if self.silent_addresses.len() > 1 {
            plans.push(Plan { silent_addresses: vec![false], ..self.clone() });
        }
        if self.longest_answer > 0.0 {
            plans.push(Plan { longest_answer: 0.0, ..self.clone() });
        }
        if self.timeouts_ms.len() > 1 {
            plans.extend(
                self.timeouts_ms.iter().map(|timeout| Plan { timeouts_ms: vec![*timeout], ..self.clone() }),
            );
        }
        if self.one_call > 0.0 {
            plans.push(Plan { one_call: 0.0, ..self.clone() });
        }
        if self.by_ids > 0.0 {
            plans.push(Plan { by_ids: 0.0, ..self.clone() });
        }
        if self.applies_late {
            plans.push(Plan { applies_late: false, ..self.clone() });
        }
        if self.unknown > 0.0 {
            plans.push(Plan { unknown: 0.0, ..self.clone() });
        }
        plans
    }

    /// Whether all faults of the run leave connections alone: then a slow server costs none.
    pub fn keeps_connections(&self) -> bool {
        let keeps = |fault: &Fault| {
            matches!(fault, Fault::Server(Misbehaviour::Slow(_)) | Fault::Cancel | Fault::Pause)
        };
        self.faults.iter().all(|(_, fault)| keeps(fault))
    }
}
