//! Tasks of one thread that send heartbeats through tonic alone. See ../../../README.md.
//!
//! With one caller, the thread drives its own connection.

use std::{rc::Rc, time::Instant};

use benches::{Measurement, Task};
use http::uri::PathAndQuery;
use tonic::{
    Request,
    client::Grpc,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Beat {
    #[prost(bytes = "vec", tag = "1")]
    task_token: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    details: Option<Payloads>,
    #[prost(string, tag = "3")]
    identity: String,
    #[prost(string, tag = "4")]
    namespace: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Payloads {
    #[prost(message, repeated, tag = "1")]
    payloads: Vec<Payload>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(map = "string, bytes", tag = "1")]
    metadata: std::collections::HashMap<String, Vec<u8>>,
    #[prost(bytes = "vec", tag = "2")]
    data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(bool, tag = "1")]
    cancel_requested: bool,
}

fn main() {
    let task = Rc::new(Task::asked(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let callers = tokio::task::LocalSet::new();
    callers.block_on(&runtime, async {
        let channel = connect(&task).await;
        let measurement = Rc::new(Measurement::new(task.time));
        let running: Vec<_> = (0..task.callers)
            .map(|caller| {
                let (task, measurement) = (task.clone(), measurement.clone());
                let channel = channel.clone();
                tokio::task::spawn_local(async move { beat(channel, &task, caller, &measurement).await })
            })
            .collect();
        for caller in running {
            caller.await.unwrap();
        }
        Rc::into_inner(measurement).unwrap().report();
    });
}

async fn connect(task: &Task) -> Channel {
    let scheme = if task.ca.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", task.address)).unwrap();
    if let Some(ca) = &task.ca {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(std::fs::read(ca).unwrap()));
        endpoint = endpoint.tls_config(tls).unwrap();
    }
    endpoint.connect().await.unwrap()
}

async fn beat(channel: Channel, task: &Task, caller: usize, measurement: &Measurement) {
    let token = &task.tokens[caller % task.tokens.len()];
    let details = Payload {
        metadata: [("encoding".to_owned(), b"binary/plain".to_vec())].into(),
        data: task.details.clone(),
    };
    let request = Beat {
        task_token: token.clone(),
        details: (!task.details.is_empty()).then(|| Payloads { payloads: vec![details] }),
        identity: "tonic@benches".into(),
        namespace: "default".into(),
    };
    let path = "/temporal.api.workflowservice.v1.WorkflowService/RecordActivityTaskHeartbeat";
    let mut client = Grpc::new(channel);
    loop {
        let before = Instant::now();
        let mut request = Request::new(request.clone());
        request.set_timeout(std::time::Duration::from_secs(10));
        client.ready().await.unwrap();
        let codec = ProstCodec::<Beat, Answer>::default();
        client.unary(request, PathAndQuery::from_static(path), codec).await.unwrap();
        if !measurement.ended(before) {
            return;
        }
    }
}
