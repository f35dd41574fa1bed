//! The server's process: HTTP/2, the answers of the model, and the server's own faults.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request as HttpRequest, Response};
use tokio::{sync::Notify, task::AbortHandle, time::sleep};

use super::{
    invariants,
    network::{Pipes, ServerEnd},
    temporal::{Answer, Refusal, Request, Temporal},
    trace::Lane,
    world::{World, lock},
};
use crate::sys::clock::Moment;

/// How late a heartbeat timer of the server fires.
const LONGEST_TIMER_DELAY: Duration = Duration::from_millis(1000);
/// The slack of the schedule of a long timeout (`activity::schedule`), less what the network takes.
const SLACK: Duration = Duration::from_secs(9);
/// How long a server takes for a request that concerns no activity with a timeout.
const USUAL_ANSWER: Duration = Duration::from_millis(500);

/// The server, whose processes may be frozen or down while its database lives.
#[derive(Default)]
pub struct Server {
    pub temporal: Mutex<Temporal>,
    state: Mutex<State>,
    /// Wakes the task that fires timers.
    pub changed: Notify,
    thawed: Notify,
    in_flight: Mutex<Vec<Arc<InFlight>>>,
}

#[derive(Default)]
struct State {
    is_frozen: bool,
    is_down: bool,
    misbehaviour: Option<Misbehaviour>,
    tasks: Vec<AbortHandle>,
}

/// What the server does to some of the requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Misbehaviour {
    /// Answers late, by up to this many heartbeat timeouts.
    Slow(f64),
    /// Never answers, and applies nothing.
    Loses,
    /// Applies the request, and never answers.
    LosesAnswers,
    /// Asks for fewer requests.
    RateLimited,
    /// Answers UNAVAILABLE without having applied the request.
    Unavailable,
    /// Answers UNAVAILABLE after having applied the request.
    UnavailableThoughApplied,
    /// Answers NOT_FOUND as something between client and server does, without Temporal's detail.
    NotFoundOfAGateway,
}

/// A heartbeat or an ending that the server has and hasn't answered.
struct InFlight {
    activity: usize,
    words: String,
    pipes: Arc<Pipes>,
    respond: Arc<Mutex<SendResponse<Bytes>>>,
    /// Has the task that answers look again whether the client has cancelled.
    recheck: Notify,
}

impl Server {
    pub fn is_frozen(&self) -> bool {
        lock(&self.state).is_frozen
    }

    pub fn is_down(&self) -> bool {
        lock(&self.state).is_down
    }

    pub fn misbehave(&self, misbehaviour: Option<Misbehaviour>) {
        lock(&self.state).misbehaviour = misbehaviour;
    }

    pub fn freeze(&self) {
        lock(&self.state).is_frozen = true;
    }

    async fn until_thawed(&self) {
        loop {
            let thawed = self.thawed.notified();
            if !self.is_frozen() {
                return;
            }
            thawed.await;
        }
    }

    /// Ends the process. All connections end with it.
    pub fn crash(&self) {
        let mut state = lock(&self.state);
        state.is_down = true;
        state.tasks.drain(..).for_each(|task| task.abort());
        lock(&self.in_flight).clear();
    }

    pub fn restart(&self) {
        lock(&self.state).is_down = false;
    }
}

impl World {
    /// The server's process continues.
    pub fn thaw(&self) {
        lock(&self.server.state).is_frozen = false;
        self.server.thawed.notify_waiters();
        self.network.wake_server();
        self.server.changed.notify_one();
    }

    pub fn timer_delay(&self) -> Duration {
        self.time_between(Duration::from_millis(1), LONGEST_TIMER_DELAY)
    }
}

/// Serves a connection in a task of its own.
pub fn accept(world: &Arc<World>, end: ServerEnd) {
    spawn(world, serve(world.clone(), end));
}

/// Runs a task that ends with the server's process.
fn spawn(world: &World, work: impl Future<Output = ()> + Send + 'static) {
    let mut state = lock(&world.server.state);
    state.tasks.retain(|task| !task.is_finished());
    state.tasks.push(tokio::spawn(work).abort_handle());
}

async fn serve(world: Arc<World>, end: ServerEnd) {
    let pipes = end.pipes.clone();
    world.server.until_thawed().await;
    let Ok(mut connection) = h2::server::handshake(end).await else { return };
    let mut going_away = pin!(pipes.go_away.notified());
    let mut is_leaving = false;
    loop {
        let next = poll_fn(|context| {
            if !is_leaving && going_away.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            connection.poll_accept(context).map(Some)
        });
        match next.await {
            None => {
                is_leaving = true;
                world.log(Lane::Server, || format!("GOAWAY on #{}", pipes.number));
                connection.graceful_shutdown();
            }
            Some(Some(Ok((request, respond)))) => {
                // A request that has arrived is applied although its connection ends.
                spawn(&world, answer(world.clone(), pipes.clone(), request, respond));
            }
            Some(Some(Err(_)) | None) => return,
        }
    }
}

async fn answer(
    world: Arc<World>,
    pipes: Arc<Pipes>,
    request: HttpRequest<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return };
        message.extend_from_slice(&piece);
        let _ = body.flow_control().release_capacity(piece.len());
    }
    world.count_request();
    let method = head.uri.path().rsplit('/').next().unwrap_or_default();
    let request = Request::read(method, message.get(5..).unwrap_or_default());
    world.log(Lane::Server, || format!("#{} {}", pipes.number, request.words()));

    let respond = Arc::new(Mutex::new(respond));
    let in_flight = Arc::new(InFlight {
        activity: request.ordered().map_or(usize::MAX, |subject| subject.activity),
        words: request.words(),
        pipes: pipes.clone(),
        respond: respond.clone(),
        recheck: Notify::new(),
    });
    if request.ordered().is_some() {
        check_order(&world, &in_flight);
        lock(&world.server.in_flight).push(in_flight.clone());
    }
    let answered = within_cancellation(&in_flight, reply(&world, &pipes, &request)).await;
    lock(&world.server.in_flight).retain(|other| !Arc::ptr_eq(other, &in_flight));
    match answered {
        None => world.log(Lane::Server, || format!("#{} cancelled: {}", pipes.number, request.words())),
        Some(reply) => {
            let outcome = reply.as_ref().map_or_else(|refusal| refusal.message, |_| "ok");
            world.log(Lane::Server, || format!("#{} answers {outcome} to {}", pipes.number, request.words()));
            // The client may have gone.
            let _ = send(&mut lock(&respond), reply);
        }
    }
}

/// Waits until the request is answered; `None`: the client has cancelled it.
async fn within_cancellation(in_flight: &InFlight, reply: impl Future<Output = Answer>) -> Option<Answer> {
    let (mut reply, mut recheck) = (pin!(reply), pin!(in_flight.recheck.notified()));
    poll_fn(|context| {
        while recheck.as_mut().poll(context).is_ready() {
            recheck.set(in_flight.recheck.notified());
        }
        if lock(&in_flight.respond).poll_reset(context).is_ready() {
            return Poll::Ready(None);
        }
        reply.as_mut().poll(context).map(Some)
    })
    .await
}

/// Applies the request at once or later, and returns the answer when it is time.
async fn reply(world: &World, pipes: &Pipes, request: &Request) -> Answer {
    let temporal = &world.server.temporal;
    let timeout = request.activity().and_then(|number| {
        lock(temporal)
            .activities
            .get(number)
            .map(|activity| activity.timeout)
            .filter(|timeout| !timeout.is_zero())
    });
    let timeout = timeout.unwrap_or(USUAL_ANSWER);
    let misbehaviour = lock(&world.server.state).misbehaviour.filter(|_| world.chance(0.7));
    match misbehaviour {
        Some(Misbehaviour::RateLimited) => return Err(Refusal::rate_limited()),
        Some(Misbehaviour::Unavailable) => {
            return Err(Refusal::plain(tonic::Code::Unavailable, "unavailable"));
        }
        Some(Misbehaviour::NotFoundOfAGateway) => {
            return Err(Refusal::plain(tonic::Code::NotFound, "no such route"));
        }
        Some(Misbehaviour::Loses) => std::future::pending().await,
        _ => {}
    }
    let longest = match misbehaviour {
        Some(Misbehaviour::Slow(timeouts)) => timeouts,
        _ => world.plan.longest_answer,
    };
    let longest = timeout.mul_f64(longest);
    // The schedule has room for a longer answer than the recent ones only up to its slack.
    let shortest = if longest < SLACK { Duration::ZERO } else { longest.mul_f64(0.85) };
    let delay = world.time_between(shortest, longest);
    let late = world.plan.applies_late && world.chance(0.5);
    if late {
        sleep(delay).await;
        world.server.until_thawed().await;
        if pipes.client_has_closed() {
            return std::future::pending().await;
        }
    }
    let timer = world.timer_delay();
    let (answer, effect) = lock(temporal).apply(request, Moment::now(), timer);
    world.server.changed.notify_one();
    invariants::applied(world, request, &answer, &effect);
    if !late {
        sleep(delay).await;
    }
    match misbehaviour {
        Some(Misbehaviour::LosesAnswers) => std::future::pending().await,
        Some(Misbehaviour::UnavailableThoughApplied) => {
            return Err(Refusal::plain(
                tonic::Code::Unavailable,
                "unavailable after the request was applied",
            ));
        }
        _ => {}
    }
    world.server.until_thawed().await;
    answer
}

/// Checks that at most one heartbeat or ending of an activity is in flight. The client may send the next one when it has the answer, or when
/// the server must have noticed that the client abandoned the request.
fn check_order(world: &World, new: &InFlight) {
    let older = lock(&world.server.in_flight).clone();
    for other in older.iter().filter(|other| other.activity == new.activity) {
        let mut context = Context::from_waker(Waker::noop());
        let is_cancelled = lock(&other.respond).poll_reset(&mut context).is_ready();
        other.recheck.notify_one();
        if !is_cancelled && !other.pipes.client_has_closed() {
            let (new_at, other_at) = (new.pipes.number, other.pipes.number);
            let text =
                format!("{} came on #{new_at} while {} is in flight on #{other_at}", new.words, other.words);
            world.violated("one_request_in_flight", text);
        }
    }
}

fn send(respond: &mut SendResponse<Bytes>, reply: Answer) -> Result<(), h2::Error> {
    let head = || {
        let mut response = Response::new(());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    };
    match reply {
        Ok(message) => {
            let mut frame = vec![0];
            frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
            frame.extend_from_slice(&message);
            let mut body = respond.send_response(head(), false)?;
            body.send_data(frame.into(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            body.send_trailers(trailers)
        }
        Err(refusal) => {
            let mut response = head();
            let status = tonic::Status::with_details(
                tonic::Code::from_i32(refusal.code),
                refusal.message,
                refusal.details.into(),
            );
            status.add_header(response.headers_mut()).unwrap();
            respond.send_response(response, true).map(drop)
        }
    }
}
