//! The calls of Temporal's API that heartbeats need.
//!
//! | file | what it does |
//! |---|---|
//! | here | checks the namespace, sends heartbeats |
//! | `admit` | decides whether a request may be sent for the attempt that the server has, and whether that is over |
//! | `describe` | asks what the server holds of an activity |
//! | `order` | keeps the requests of one activity in order |
//! | `codec`, `encoding` | encode the values that are sent, and decode those that are read |
//! | `long_poll` | waits for news of an activity or of a workflow |
//! | `task_queue` | the calls of a worker |
//! | `end` | ends an activity, and reports when the outcome is in doubt |
//! | `rounds` | retries what must not be retried without a new check of the activity |
//! | `verify` | checks the outcome of an ending in doubt |

pub mod admit;
pub mod backoff;
mod codec;
mod describe;
pub mod description;
mod encoding;
mod end;
pub mod in_doubt;
pub mod long_poll;
mod order;
pub mod payload_policy;
mod retry;
mod rounds;
pub mod rpc_error;
pub mod task_queue;
mod verify;

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use prost::Message;
use tokio::{sync::Notify, time::Instant};

use crate::{
    client::{in_doubt::InDoubt, payload_policy::PayloadPolicy, rpc_error::RpcError},
    config::{Options, RetryPolicy},
    model::{
        attempt::{Ids, Target},
        conditions::Conditions,
        deadline::Deadline,
        encoded::Encoded,
        error::Error,
        method::{Call, Method},
        payload::{Payloads, is_large},
        signals::Signals,
        status::Status,
        token::Token,
    },
    proto::temporal::api::workflowservice::v1 as api,
    runtime::IoThread,
    telemetry::{
        Telemetry,
        log_record::{Event, Value},
    },
    transport::{Frame, Predecessor, Transport, TryLimits},
};
use admit::{Admitted, Way};
use codec::Codec;
pub use describe::Found;
pub use encoding::EncodedEnding;
pub use end::Ending;
use order::{InOrder, Order, Permit};
use rounds::Rounds;
use task_queue::Capabilities;

/// The client name in the server's logs and metrics. Servers check versions only for the names of the official SDKs.
const CLIENT_NAME: &str = "temporal-heartbeat";
const CLIENT_VERSION: &str = env!("CARGO_PKG_VERSION");
const USER_AGENT: &str = concat!("temporal-heartbeat/", env!("CARGO_PKG_VERSION"));

/// For a client without a handshake: how long it tries to fetch the limits at a time, and how long it pauses after
/// that.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
const GREETING_PAUSE: Duration = Duration::from_secs(30);

/// How long and how often to try.
#[derive(Clone, Copy, Debug)]
pub enum Effort<'a> {
    /// Retry until the deadline, while that can help.
    Until(&'a Deadline),
    /// Try once, within these limits.
    Once(TryLimits),
}

impl Effort<'_> {
    /// Runs `work` until it ends. Returns `None` if the call is cancelled first.
    async fn unless_cancelled<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self {
            Effort::Until(deadline) => deadline.unless_cancelled(work).await,
            Effort::Once(_) => Some(work.await),
        }
    }

    /// Returns the time that is left.
    fn remaining(self) -> Duration {
        match self {
            Effort::Until(deadline) => deadline.remaining(),
            Effort::Once(limits) => limits.end.saturating_duration_since(Instant::now()),
        }
    }
}

/// The server's answer to a heartbeat.
#[derive(Debug, Default)]
pub struct Acknowledgement {
    /// What the server asks of the activity.
    pub signals: Signals,
    /// The conditions in force, if the activity was described first. On the heap because that is rare.
    pub conditions: Option<Box<Conditions>>,
}

/// A client of one namespace of one server.
pub struct Client {
    transport: Transport,
    namespace: String,
    identity: String,
    retry: RetryPolicy,
    /// The namespace's id, which task tokens contain, once the server has reported it.
    namespace_id: OnceLock<String>,
    rules: Arc<PayloadPolicy>,
    codec: Option<Codec>,
    encodes_common_attributes: bool,
    capabilities: Capabilities,
    /// Wakes the task that fetches the limits, if connect didn't do that.
    used: Notify,
    order: Order,
    in_doubt: Arc<InDoubt>,
}

impl Client {
    /// Creates a client for the server of `options`; sends nothing yet.
    pub fn new(
        options: &Options,
        rules: Arc<PayloadPolicy>,
        in_doubt: Arc<InDoubt>,
        io_thread: IoThread,
        telemetry: Arc<Telemetry>,
    ) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("client-name", CLIENT_NAME),
            ("client-version", CLIENT_VERSION),
            ("user-agent", USER_AGENT),
            // Routes the request if one address serves many namespaces.
            ("temporal-namespace", &options.namespace),
        ] {
            let value = HeaderValue::from_str(value)
                .map_err(|_| Error::new(Status::Internal, format!("the header {name} is invalid")))?;
            headers.insert(HeaderName::from_static(name), value);
        }
        telemetry.metrics.begin(&options.namespace);
        telemetry.log.begin();
        let codec = Codec::new(options, io_thread.clone(), telemetry.clone())?;
        rules.begin(options.require_encoded, codec.is_some().then_some(options.max_message_bytes));
        Ok(Client {
            codec,
            encodes_common_attributes: options.encode_common_attributes,
            transport: Transport::new(options, headers, io_thread, telemetry)?,
            namespace: options.namespace.clone(),
            identity: options.identity.resolve(),
            retry: options.retry,
            namespace_id: OnceLock::new(),
            capabilities: Capabilities::default(),
            rules,
            used: Notify::new(),
            order: Order::default(),
            in_doubt,
        })
    }

    /// Returns the transport of all requests.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Puts the credentials of `options` in force. Returns whether the server must be connected again.
    pub fn secure(&self, options: &Options) -> Result<bool, Error> {
        // All are read first, because nothing changes if one can't be read.
        let of_codec =
            self.codec.as_ref().map(|codec| codec.read_credentials(options)).transpose()?.flatten();
        let replaces_connection = self.transport.secure(options)?;
        if let (Some(codec), Some(credentials)) = (&self.codec, of_codec) {
            codec.secure(credentials);
        }
        Ok(replaces_connection)
    }

    /// Rereads the files with credentials.
    pub async fn reload_credentials(&self) {
        self.transport.reload_credentials().await;
        if let Some(codec) = &self.codec {
            codec.reload_credentials().await;
        }
    }

    /// Checks that a Temporal server answers and has the namespace, and fetches its limits.
    pub async fn handshake(&self, effort: Effort<'_>) -> Result<(), RpcError> {
        self.ask(&api::GET_SYSTEM_INFO, &api::GetSystemInfoRequest {}, effort).await?;
        self.describe_namespace(effort).await
    }

    /// Fetches the namespace's id and limits, if the credentials allow it.
    async fn describe_namespace(&self, effort: Effort<'_>) -> Result<(), RpcError> {
        let request = api::DescribeNamespaceRequest { namespace: self.namespace.clone() };
        let info = match self.ask(&api::DESCRIBE_NAMESPACE, &request, effort).await {
            Ok(answer) => answer.namespace_info.unwrap_or_default(),
            // Heartbeats may still be allowed, and their answers will show it.
            Err(rpc_error)
                if matches!(rpc_error.error.status(), Status::PermissionDenied | Status::Unauthenticated) =>
            {
                return Ok(());
            }
            Err(rpc_error) => return Err(rpc_error),
        };
        self.capabilities.set(info.capabilities);
        let limit = info.limits.map_or(0, |limits| limits.blob_size_limit_error);
        if let Some(limit) = usize::try_from(limit).ok().filter(|limit| *limit > 0) {
            self.rules.set_size_limit(limit);
        }
        if !info.id.is_empty() {
            // A second answer contains the same id.
            let _ = self.namespace_id.set(info.id);
        }
        Ok(())
    }

    /// For a client that didn't handshake: fetches the limits from the first use on, until it has them.
    pub async fn handshake_when_used(&self) {
        self.used.notified().await;
        while self.describe_namespace(Effort::Until(&Deadline::within(GREETING_TIMEOUT))).await.is_err() {
            tokio::time::sleep(GREETING_PAUSE).await;
        }
    }

    /// Returns what the server can do for workers.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Returns which payloads may be sent.
    pub fn rules(&self) -> &PayloadPolicy {
        &self.rules
    }

    /// Records one heartbeat. By token, `None` erases the details that the server holds.
    pub async fn heartbeat(
        &self,
        target: &Target,
        details: Option<Payloads>,
        effort: Effort<'_>,
    ) -> Result<Acknowledgement, RpcError> {
        // In this order: a codec must not let a later heartbeat overtake this one.
        let permit = self.in_order(target, effort).await?;
        let details = self.encode("details", details, effort).await?;
        self.beat_in_order(target, details, effort, permit).await
    }

    /// Does the same with details that may be sent. The answer has the conditions in force if the activity was described
    /// first.
    pub async fn beat(
        &self,
        target: &Target,
        details: Option<Encoded>,
        effort: Effort<'_>,
    ) -> Result<Acknowledgement, RpcError> {
        let permit = self.in_order(target, effort).await?;
        self.beat_in_order(target, details, effort, permit).await
    }

    async fn beat_in_order(
        &self,
        target: &Target,
        details: Option<Encoded>,
        effort: Effort<'_>,
        permit: Permit<'_>,
    ) -> Result<Acknowledgement, RpcError> {
        self.look_at_size("details", details.as_ref().map(Encoded::payloads));
        let metrics = &self.transport.telemetry().metrics;
        metrics.beats_sent.one();
        let answered = self.beat_in_rounds(target, details, effort, permit).await;
        answered.inspect_err(|rpc_error| {
            metrics.beat_failed(rpc_error.error.status(), rpc_error.error.is_retryable());
        })
    }

    async fn beat_in_rounds(
        &self,
        target: &Target,
        details: Option<Encoded>,
        effort: Effort<'_>,
        mut permit: Permit<'_>,
    ) -> Result<Acknowledgement, RpcError> {
        let mut rounds = Rounds::new(self.retry, effort);
        loop {
            let mut order = permit.in_order_unless_awaited();
            match self.beat_if_admitted(target, details.clone(), effort, &mut order).await {
                Err(failed) if !order.is_awaited() => rounds.next(failed).await?,
                outcome => return outcome,
            }
        }
    }

    async fn beat_if_admitted(
        &self,
        target: &Target,
        details: Option<Encoded>,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Acknowledgement, RpcError> {
        let Admitted { way, conditions, held } = self.admit(target, effort).await?;
        // By ids, a late beat of an earlier attempt may have arrived since. Its details are kept.
        let details = details.map(Encoded::into_payloads).or(held);
        let by_ids = way.is_by_ids();
        match self.send_beat(way, details, effort, order).await {
            Ok(signals) => Ok(Acknowledgement { signals, conditions }),
            Err(failed) => Err(self.confirm(target, by_ids, failed, effort).await),
        }
    }

    async fn send_beat(
        &self,
        way: Way,
        details: Option<Payloads>,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Signals, RpcError> {
        let (identity, namespace) = (self.identity.clone(), self.namespace.clone());
        let resource_id = way.resource_id();
        let (cancel_requested, paused, reset) = match way {
            Way::Token(token) => {
                let request = api::RecordActivityTaskHeartbeatRequest {
                    task_token: token.clone(),
                    details,
                    identity,
                    namespace,
                    resource_id,
                };
                let method = &api::RECORD_ACTIVITY_TASK_HEARTBEAT;
                let answer = self.send(method, &request, effort, order).await;
                let answer = answer.map_err(|rpc_error| self.explained(rpc_error, &token))?;
                (answer.cancel_requested, answer.activity_paused, answer.activity_reset)
            }
            Way::Ids(Ids { workflow_id, run_id, activity_id }) => {
                let request = api::RecordActivityTaskHeartbeatByIdRequest {
                    namespace,
                    workflow_id,
                    run_id,
                    activity_id,
                    details,
                    identity,
                    resource_id,
                };
                let method = &api::RECORD_ACTIVITY_TASK_HEARTBEAT_BY_ID;
                let answer = self.send(method, &request, effort, order).await?;
                (answer.cancel_requested, answer.activity_paused, answer.activity_reset)
            }
        };
        Ok(Signals::CANCEL_REQUESTED.when(cancel_requested)
            | Signals::PAUSED.when(paused)
            | Signals::RESET.when(reset))
    }

    /// Warns of payloads near the limit above which the server fails the activity.
    fn look_at_size(&self, name: &str, payloads: Option<&Payloads>) {
        let (size, limit) =
            (payloads.map_or(0, |payloads| payloads.encoded().len()), self.rules.size_limit());
        if is_large(size, limit) {
            let fields = &[("bytes", Value::Number(size as u64)), ("limit", Value::Number(limit as u64))];
            self.transport.telemetry().log.write(Event::Large, fields, || {
                format!(
                    "{name} is {size} bytes as an encoded Payloads; the server logs a warning, and fails the activity above {limit}. \
                     Keep large state elsewhere and record where"
                )
            });
        }
    }

    /// Waits until requests for the target's activity may be sent.
    async fn in_order(&self, target: &Target, effort: Effort<'_>) -> Result<Permit<'_>, RpcError> {
        let permit = self.order.acquire(target, effort).await;
        permit.ok_or_else(|| {
            let why = "another call for this activity is still in flight; nothing was sent";
            // A beat of an open activity is retried soon, not after the pause of a refused one.
            RpcError::temporary(Error::new(Status::Timeout, why))
        })
    }

    /// Makes a read-only call, which needs no order.
    async fn ask<Request, Response>(
        &self,
        method: &Method<Request, Response>,
        request: &Request,
        effort: Effort<'_>,
    ) -> Result<Response, RpcError>
    where
        Request: Message,
        Response: Message + Default,
    {
        let mut predecessor = Predecessor::default();
        self.send(method, request, effort, &mut InOrder::alone(&mut predecessor)).await
    }

    async fn send<Request, Response>(
        &self,
        method: &Method<Request, Response>,
        request: &Request,
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Response, RpcError>
    where
        Request: Message,
        Response: Message + Default,
    {
        let answer = self.send_frame((method.call, Frame::plain(request)), effort, order).await?;
        Response::decode(answer).map_err(|why| RpcError::undecodable(method.call.name, &why))
    }

    /// Does the same without the types of the messages, so that there is only one copy of this code.
    async fn send_frame(
        &self,
        request: (Call, Frame),
        effort: Effort<'_>,
        order: &mut InOrder<'_>,
    ) -> Result<Bytes, RpcError> {
        self.used.notify_one();
        match effort {
            Effort::Until(deadline) => {
                retry::call(&self.transport, request, &self.retry, deadline, order).await
            }
            Effort::Once(limits) => retry::once(&self.transport, request, limits, order).await,
        }
    }

    fn explained(&self, rpc_error: RpcError, token: &[u8]) -> RpcError {
        RpcError { error: self.explain(rpc_error.error, token), ..rpc_error }
    }

    /// Adds the probable cause to the server's refusal of a token.
    fn explain(&self, error: Error, token: &[u8]) -> Error {
        match (error.status(), Token::read(token)) {
            (Status::InvalidArgument | Status::NamespaceNotFound, None) => {
                error.as_status(Status::TokenUnreadable).with_context(unreadable(token))
            }
            (Status::InvalidArgument, Some(read)) if self.is_foreign(&read) => {
                error.with_context(self.foreign())
            }
            _ => error,
        }
    }

    fn is_foreign(&self, token: &Token) -> bool {
        self.namespace_id.get().is_some_and(|ours| *ours != token.namespace_id)
    }

    fn foreign(&self) -> String {
        format!("the task token is from another namespace than the client's, {:?}", self.namespace)
    }
}

fn unreadable(token: &[u8]) -> String {
    let base64 = token.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_\n".contains(byte));
    let hint = if base64 { ": it looks like base64, decode it first" } else { "" };
    format!("these {} bytes aren't the task token of an activity{hint}", token.len())
}
