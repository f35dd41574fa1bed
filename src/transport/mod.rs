//! Calls over one HTTP/2 connection: bytes out, bytes back. Nothing above this knows of connections, nothing below it
//! of Temporal.

mod connector;
mod exchange;
mod frame;
mod http2;
mod link;
mod proxy;
mod socket;
mod stream;
pub mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    credentials::{Credentials, Renewed, Vault},
    error::{self, Error},
    method::Call,
    options::Options,
    status::Status,
    telemetry::{
        Telemetry,
        record::{Event, Value},
    },
};
use connector::Target;
use exchange::{Answer, Message};
pub use frame::Frame;
use link::Link;

/// A try that brought no response.
#[derive(Debug)]
pub enum Miss {
    /// The server answered with an error.
    Refused(Box<tonic::Status>),
    /// The request was never sent.
    Unsent(Error),
    /// The connection ended before the server took the request.
    Unseen(Error),
    /// The request may have arrived; the answer didn't.
    Lost(Error),
    /// The server can't decompress the request, and didn't look at it.
    Compressed,
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
            Miss::Unsent(_) | Miss::Unseen(_) | Miss::Lost(_) => tonic::Code::Unavailable,
            Miss::Compressed => tonic::Code::Unimplemented,
            Miss::Late { .. } => tonic::Code::DeadlineExceeded,
        }
    }
}

/// A server to call.
pub struct Transport {
    link: Link,
    vault: Arc<Vault>,
    max_message_bytes: usize,
    gzip: AtomicU8,
    telemetry: Arc<Telemetry>,
}

/// What is known of whether the server takes requests that gzip has compressed.
mod gzip {
    /// Nothing yet: requests go as they are.
    pub const UNKNOWN: u8 = 0;
    /// It does.
    pub const YES: u8 = 1;
    /// It doesn't, or we aren't to.
    pub const NO: u8 = 2;
}

impl Transport {
    /// For the server that `options` name; connects when first called. `headers` go with every request.
    pub fn new(options: &Options, headers: HeaderMap, telemetry: Arc<Telemetry>) -> error::Result<Self> {
        let headers = exchange::with_grpc_headers(headers);
        let vault = Arc::new(Vault::open(options.security.clone(), headers)?);
        let target = Target {
            address: options.address.clone(),
            authority: options.authority.clone(),
            proxy: options.proxy.clone(),
            keepalive: options.keepalive,
        };
        Ok(Transport {
            link: Link::new(target, vault.clone(), telemetry.clone()),
            vault,
            max_message_bytes: options.max_message_bytes,
            gzip: AtomicU8::new(if options.gzip { gzip::UNKNOWN } else { gzip::NO }),
            telemetry,
        })
    }

    /// Sends one request and waits for its response, until `end`.
    pub async fn unary(&self, call: Call, request: Frame, end: Instant) -> Result<Bytes, Miss> {
        if request.message_bytes() > self.max_message_bytes {
            let (length, limit) = (request.message_bytes(), self.max_message_bytes);
            return Err(Miss::Unsent(Error::new(
                Status::TooLarge,
                format!("the request has {length} bytes, and max_message_bytes is {limit}"),
            )));
        }
        let end = tokio::time::Instant::from_std(end);
        let credentials = self.vault.current();
        let outcome = self.attempt(call, &request, &credentials, end).await;
        match &outcome {
            Err(Miss::Compressed) => self.gzip.store(gzip::NO, Ordering::Relaxed),
            // Perhaps the key in the file is a new one: it needn't cost a beat.
            Err(Miss::Refused(status)) if status.code() == tonic::Code::Unauthenticated => {
                let _ = tokio::time::timeout_at(end, self.look_again()).await;
                if Arc::ptr_eq(&credentials, &self.vault.current()) {
                    return outcome;
                }
            }
            _ => return outcome,
        }
        self.attempt(call, &request, &self.vault.current(), end).await
    }

    /// Who counts, and is told what happened.
    pub fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Reads the files anew that credentials stand in, and puts what is new there in force.
    pub async fn look_again(&self) {
        if !self.vault.has_files() {
            return;
        }
        let vault = self.vault.clone();
        // A disk may be slow.
        let Ok(looked) = tokio::task::spawn_blocking(move || vault.look_again()).await else { return };
        let peer = &[("peer", Value::Text(self.peer()))];
        match looked {
            Ok(Renewed::Nothing) => return,
            Ok(Renewed::Headers) => {}
            Ok(Renewed::Tls) => self.link.replace(),
            // It is looked at again.
            Err(error) => {
                self.telemetry.journal.tell(Event::RenewalFailed, peer, || error.to_string());
                return;
            }
        }
        self.telemetry.journal.tell(Event::CredentialsRenewed, peer, || {
            "the files that credentials stand in have changed, and were read again".to_owned()
        });
    }

    /// Puts other credentials in force. Tells whether [`Transport::replace_connection`] is to be called then.
    pub fn secure(&self, options: &Options) -> error::Result<bool> {
        self.vault.change(options.security.clone())
    }

    /// Makes a connection with the credentials in force, which takes the place of the one that there is.
    pub fn replace_connection(&self) {
        self.link.replace();
    }

    /// The server's address, as it was given.
    pub fn peer(&self) -> &str {
        &self.link.target().address.authority
    }

    async fn attempt(
        &self,
        call: Call,
        request: &Frame,
        credentials: &Credentials,
        end: tokio::time::Instant,
    ) -> Result<Bytes, Miss> {
        let begun = Instant::now();
        let outcome = self.exchange(call.path, request, credentials, end).await;
        self.telemetry.metrics.tried(call, begun.elapsed(), outcome.as_ref().err().map(Miss::code));
        outcome
    }

    async fn exchange(
        &self,
        path: &'static str,
        request: &Frame,
        credentials: &Credentials,
        end: tokio::time::Instant,
    ) -> Result<Bytes, Miss> {
        let link = self.link.connection(credentials.tls.is_some());
        let connection = match tokio::time::timeout_at(end, link).await {
            Ok(connection) => connection.map_err(Miss::Unsent)?,
            Err(_) => {
                self.link.abandon_silence();
                return Err(Miss::Late { sent: false });
            }
        };
        let number = connection.number;
        let message = Message {
            path,
            headers: credentials.headers.clone(),
            authority: &self.link.target().authority,
            frame: request.clone(),
            gzip: self.gzip.load(Ordering::Relaxed) == gzip::YES,
            limit: self.max_message_bytes,
            end,
        };
        match tokio::time::timeout_at(end, exchange::run(connection, message)).await {
            Ok(Ok(Answer { message, takes_gzip })) => {
                if takes_gzip == Some(true) {
                    let (unknown, yes) = (gzip::UNKNOWN, gzip::YES);
                    // Another has learned it at the same time, or it isn't wanted.
                    let _ = self.gzip.compare_exchange(unknown, yes, Ordering::Relaxed, Ordering::Relaxed);
                }
                Ok(message)
            }
            Ok(Err(miss)) => Err(miss),
            Err(_) => {
                // A peer that went silent isn't noticed otherwise for a long time: the next try has a fresh connection.
                self.link.abandon(number);
                Err(Miss::Late { sent: true })
            }
        }
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
