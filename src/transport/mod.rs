//! Calls over one HTTP/2 connection: bytes out, bytes back. Nothing above this knows of connections, nothing below it
//! of Temporal.

mod connector;
mod exchange;
mod link;
mod socket;

use std::{marker::PhantomData, sync::Arc, time::Instant};

use bytes::Bytes;
use http::HeaderMap;

use crate::{error::Error, options::Address, telemetry::Telemetry};
use link::Link;

/// A call of the service, with the types of its request and response. Made by the build from `proto/`.
pub struct Method<Request, Response> {
    /// The call.
    pub call: Call,
    types: PhantomData<fn(Request) -> Response>,
}

/// A call of the service, whatever its types.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number among all calls, by which it is counted.
    pub number: usize,
    /// Its name in the service.
    pub name: &'static str,
    /// Its HTTP path.
    pub path: &'static str,
}

impl<Request, Response> Method<Request, Response> {
    /// The call `name` at `path`.
    pub const fn new(number: usize, name: &'static str, path: &'static str) -> Self {
        Method { call: Call { number, name, path }, types: PhantomData }
    }
}

/// A try that brought no response.
#[derive(Debug)]
pub enum Miss {
    /// The server answered with an error.
    Refused(Box<tonic::Status>),
    /// The request was never sent.
    Unsent(Error),
    /// The request may have arrived; the answer didn't.
    Lost(Error),
    /// The try's time ran out; `sent` when the request may have arrived.
    Late {
        /// Whether the request may have arrived.
        sent: bool,
    },
}

impl Miss {
    /// Its code, also where it isn't the server who says it.
    fn code(&self) -> tonic::Code {
        match self {
            Miss::Refused(status) => status.code(),
            Miss::Unsent(_) | Miss::Lost(_) => tonic::Code::Unavailable,
            Miss::Late { .. } => tonic::Code::DeadlineExceeded,
        }
    }
}

/// A server to call.
pub struct Transport {
    link: Link,
    headers: HeaderMap,
    telemetry: Arc<Telemetry>,
}

impl Transport {
    /// For the server at `address`; connects when first called. `headers` go with every request.
    pub fn new(address: Address, headers: HeaderMap, telemetry: Arc<Telemetry>) -> Self {
        let link = Link::new(address, telemetry.clone());
        Transport { link, headers: exchange::with_grpc_headers(headers), telemetry }
    }

    /// Sends one request and waits for its response, until `end`.
    pub async fn unary(&self, call: Call, request: Bytes, end: Instant) -> Result<Bytes, Miss> {
        let begun = Instant::now();
        let outcome = self.exchange(call.path, request, end).await;
        self.telemetry.metrics.tried(call, begun.elapsed(), outcome.as_ref().err().map(Miss::code));
        outcome
    }

    /// Who counts, and is told what happened.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    async fn exchange(&self, path: &'static str, request: Bytes, end: Instant) -> Result<Bytes, Miss> {
        let end = tokio::time::Instant::from_std(end);
        let connection = match tokio::time::timeout_at(end, self.link.connection()).await {
            Ok(connection) => connection.map_err(Miss::Unsent)?,
            Err(_) => return Err(Miss::Late { sent: false }),
        };
        let number = connection.number;
        let exchange = exchange::run(connection, path, self.headers.clone(), request, end);
        match tokio::time::timeout_at(end, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => {
                // A peer that went silent isn't noticed otherwise for a long time: the next try has a fresh connection.
                self.link.abandon(number);
                Err(Miss::Late { sent: true })
            }
        }
    }

    /// The server's address, as it was given.
    pub fn peer(&self) -> &str {
        self.link.peer()
    }
}

/// An error with all that stands behind it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
