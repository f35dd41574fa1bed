//! A thread that works on an attempt with one-call functions.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::sleep;

use super::{
    calls::{Make, call},
    invariants::{self, End},
    process::Process,
    submissions::submit,
    workload::{Next, Records, SEVERAL, Task, after_ending, call_timeout, pause},
    world::World,
};
use crate::{
    client::{Effort, Ending},
    model::{attempt::Target, deadline::Start, payload::Payloads, status::Status},
    process::call::Call,
};

/// Works on an attempt with one-call functions.
pub async fn beat_one_by_one(world: &Arc<World>, process: &Arc<Process>, task: &Task, records: &mut Records) {
    let (number, attempt) = (task.number, task.activity.identity());
    let token = task.activity.token();
    while !process.is_stopping() {
        sleep(pause(world, task)).await;
        if process.session().is_err() {
            continue;
        }
        let timeout = call_timeout(world);
        if world.chance(0.05) {
            let what = format!("one-call complete a{number}");
            let ended = call(world, process, what, timeout, complete(token.clone())).await;
            invariants::ending_returned(world, number, attempt, End::Completed, &ended);
            if matches!(after_ending(ended), Next::Over) {
                return;
            }
            continue;
        }
        let beat = |records: &mut Records| {
            records.newest += 1;
            let record = records.newest;
            (record, format!("one-call beat {record} for a{number}"), heartbeat(token.clone(), record))
        };
        let (mut submitted, mut outcomes) = (Vec::new(), Vec::new());
        while world.chance(world.plan.submitted * SEVERAL) {
            let (record, what, make) = beat(records);
            let call = submit(world, process, what, call_timeout(world), make).await;
            submitted.extend(call.map(|call| (record, call)));
        }
        let (record, what, make) = beat(records);
        outcomes.push((record, call(world, process, what, timeout, make).await));
        for (record, call) in submitted {
            outcomes.push((record, call.outcome(world, process).await));
        }
        for (record, outcome) in outcomes {
            match outcome {
                Ok(()) => invariants::has_record(world, number, attempt, record, "heartbeat"),
                Err(error) => {
                    invariants::check_gone(world, number, attempt, &error);
                    if error.status() == Status::NotFound {
                        return;
                    }
                }
            }
        }
    }
}

/// As `api::rpc::heartbeat`.
fn heartbeat(token: Bytes, record: u64) -> impl Make {
    move |process, deadline| {
        let details = Payloads::from_json_values([record.to_string().as_str()]);
        let target = Target::Token(token);
        Ok(Call::new(process.session()?, deadline, |client, deadline| async move {
            client.heartbeat(&target, Some(details), Effort::Until(&deadline)).await?;
            Ok(())
        }))
    }
}

/// As `api::rpc::complete`.
fn complete(token: Bytes) -> impl Make {
    move |process, deadline| {
        let session = process.session()?;
        let (doubting, target) = (session.client().clone(), Target::Token(token));
        let (sent, start) = (target.clone(), Arc::<Start>::default());
        let abandoned = start.clone();
        let call = Call::new(session, deadline, |client, deadline| async move {
            let ending = client.encode_ending(Ending::Complete(None), Effort::Until(&deadline)).await?;
            client.end(&target, &ending, false, &deadline, &start).await
        });
        Ok(call.or(move |without| {
            if !abandoned.prevent() {
                doubting.note_doubt(&sent);
            }
            Err(without)
        }))
    }
}
