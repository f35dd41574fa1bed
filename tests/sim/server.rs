//! The server's process: HTTP/2, the answers of the model, and the server's own faults.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, HeaderValue, Request as HttpRequest, Response};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::{
    following,
    invariants::{self, End},
    network::{Pipes, ServerEnd},
    temporal::{Activity, Answer, Effect, Refusal, Request, Temporal},
    trace::Lane,
    world::{World, lock},
};
use crate::sys::clock::Moment;

/// How late a heartbeat timer of the server fires.
const LONGEST_TIMER_DELAY: Duration = Duration::from_millis(1000);
/// The lease is kept if answers take at most this part of the heartbeat timeout...
pub const ANSWER_PART: f64 = 0.45;
/// ...and if each one takes at most this many times the one before, or suddenly at most the slack: half of the timeout, or this long.
const ANSWER_GROWTH: f64 = 1.15;
const LONGEST_SLACK: Duration = Duration::from_secs(10);
/// What the client's own timers and threads may take of it.
const CLIENT_DELAY: Duration = Duration::from_millis(50);
/// How long a long poll waits for news.
const LONG_POLL: Duration = Duration::from_secs(20);
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
    /// The long polls that it has and hasn't answered.
    polls: Mutex<Vec<Arc<InFlight>>>,
    /// Wakes the long polls of an activity.
    news: Mutex<HashMap<usize, Arc<Notify>>>,
    /// How long the last answer took, by the number of the activity and whether it was to a beat.
    answers: Mutex<HashMap<(usize, bool), Duration>>,
    /// When it sent a GOAWAY.
    goaways: Mutex<Vec<Instant>>,
}

#[derive(Default)]
struct State {
    /// The number of faults that stop it.
    frozen: usize,
    /// How many restarts are under way.
    down: usize,
    /// What faults have it do, by their numbers.
    misbehaviours: Vec<(u64, Misbehaviour)>,
    /// How many misbehaviours there were.
    begun: u64,
    /// What a replica shows of the activities that have had another attempt since.
    replica: Vec<Activity>,
    /// The oldest API key that is accepted, and the newest.
    keys: (u64, u64),
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
    /// Applies the request, and answers with bytes that aren't a message.
    Garbles,
    /// Describes an activity as it was before its current attempt.
    LaggingReplica,
    /// Doesn't permit long polls.
    DeniesPolls,
    /// Has too many long polls.
    LimitsPolls,
    /// Answers long polls without waiting for news.
    HastyPolls,
}

/// A heartbeat or an ending that the server has and hasn't answered.
struct InFlight {
    activity: usize,
    request: Arc<Request>,
    pipes: Arc<Pipes>,
    respond: Arc<Mutex<SendResponse<Bytes>>>,
    /// Has the task that answers look again whether the client has cancelled.
    recheck: Notify,
}

impl Server {
    pub fn is_frozen(&self) -> bool {
        lock(&self.state).frozen > 0
    }

    pub fn is_down(&self) -> bool {
        lock(&self.state).down > 0
    }

    /// Returns the number by which [`Server::behave`] ends it.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) -> u64 {
        let replica = match misbehaviour {
            Misbehaviour::LaggingReplica => Some(lock(&self.temporal).activities.clone()),
            _ => None,
        };
        let mut state = lock(&self.state);
        state.replica = replica.unwrap_or_else(|| std::mem::take(&mut state.replica));
        state.begun += 1;
        let number = state.begun;
        state.misbehaviours.push((number, misbehaviour));
        number
    }

    pub fn behave(&self, number: u64) {
        lock(&self.state).misbehaviours.retain(|(other, _)| *other != number);
    }

    pub fn freeze(&self) {
        lock(&self.state).frozen += 1;
    }

    /// Accepts another API key, and returns it.
    pub fn add_key(&self) -> u64 {
        let mut state = lock(&self.state);
        state.keys.1 += 1;
        state.keys.1
    }

    pub fn forget_keys_before(&self, oldest: u64) {
        let mut state = lock(&self.state);
        state.keys.0 = state.keys.0.max(oldest);
    }

    fn accepts(&self, headers: &HeaderMap) -> bool {
        let key = headers.get("authorization").and_then(|value| value.to_str().ok());
        let key =
            key.and_then(|text| text.strip_prefix("Bearer key-")).and_then(|number| number.parse().ok());
        let (oldest, newest) = lock(&self.state).keys;
        key.is_some_and(|key: u64| (oldest..=newest).contains(&key))
    }

    /// What a lagging replica answers; `None`: it has the same attempt.
    fn describe_lagging(&self, request: &Request, now: Moment) -> Option<Answer> {
        let Request::Describe(_) = request else { return None };
        let number = request.activity()?;
        let current = lock(&self.temporal).activities.get(number)?.identity();
        let replica = lock(&self.state).replica.clone();
        let older = replica.get(number).is_some_and(|activity| {
            activity.identity() != current && activity.state == super::temporal::State::Running
        });
        older.then(|| {
            let mut replica = Temporal { activities: replica, ..Temporal::default() };
            replica.apply(request, now, Duration::ZERO).0
        })
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

    /// Returns the long polls of an activity, or of all, that the client hasn't given up as far as the server can know.
    pub fn polls(&self, activity: Option<usize>) -> usize {
        let polls = lock(&self.polls).clone();
        let is_open = |poll: &&Arc<InFlight>| {
            let mut context = Context::from_waker(Waker::noop());
            let is_cancelled = lock(&poll.respond).poll_reset(&mut context).is_ready();
            poll.recheck.notify_one();
            !is_cancelled && !poll.pipes.client_has_closed()
        };
        let is_of_it = |poll: &&Arc<InFlight>| activity.is_none_or(|activity| poll.activity == activity);
        polls.iter().filter(is_of_it).filter(is_open).count()
    }

    fn news_of(&self, activity: usize) -> Arc<Notify> {
        lock(&self.news).entry(activity).or_default().clone()
    }

    /// Notes that an activity has changed.
    pub fn has_changed(&self, activity: usize) {
        if let Some(news) = lock(&self.news).get(&activity) {
            news.notify_waiters();
        }
    }

    /// Waits until a long poll has news, or the server's time limit is over.
    async fn until_news(&self, request: &Request) {
        let Some(activity) = request.activity() else { return };
        let (end, news) = (Instant::now() + LONG_POLL, self.news_of(activity));
        loop {
            let changed = news.notified();
            if lock(&self.temporal).has_news(request) || timeout_at(end, changed).await.is_err() {
                return;
            }
        }
    }

    /// Ends the process. All connections end with it.
    pub fn crash(&self) {
        let mut state = lock(&self.state);
        state.down += 1;
        state.tasks.drain(..).for_each(|task| task.abort());
        lock(&self.in_flight).clear();
        lock(&self.polls).clear();
    }

    /// Returns how many times it sent a GOAWAY in this time.
    pub fn goaways_within(&self, time: Duration) -> usize {
        lock(&self.goaways).iter().filter(|at| at.elapsed() < time).count()
    }

    pub fn restart(&self) {
        lock(&self.state).down -= 1;
    }
}

impl World {
    /// The server's process continues.
    pub fn thaw(&self) {
        lock(&self.server.state).frozen -= 1;
        self.server.thawed.notify_waiters();
        self.network.wake_server();
        self.server.changed.notify_one();
    }

    /// The client may not know that an operator has changed the timeout.
    fn timeout_of(&self, request: &Request) -> Option<Duration> {
        let temporal = lock(&self.server.temporal);
        let activity = temporal.activities.get(request.activity()?)?;
        Some(activity.shortest_timeout).filter(|timeout| !timeout.is_zero())
    }

    /// How long the answer to a request takes where nothing is wrong: as long as the lease can be kept with, or shorter.
    fn usual_answer(&self, request: &Request) -> Duration {
        let Some(timeout) = self.timeout_of(request) else {
            return self.time_between(Duration::ZERO, USUAL_ANSWER.mul_f64(self.plan.longest_answer));
        };
        let longest = timeout.mul_f64(self.plan.longest_answer);
        // By ids two requests of a beat follow each other.
        let requests = if self.plan.by_ids > 0.0 { 2 } else { 1 };
        let others = self.plan.latency.1 * 4 + CLIENT_DELAY;
        let sudden = ((timeout / 2).min(LONGEST_SLACK) / requests).saturating_sub(others);
        let kind = (request.activity().unwrap_or(usize::MAX), request.ordered().is_some());
        let mut answers = lock(&self.server.answers);
        // The client expects answers this long from the start (`activity::schedule`).
        let before = answers.entry(kind).or_insert(longest);
        let most = longest.min(sudden.max(before.mul_f64(ANSWER_GROWTH)));
        // Mostly near the end of the range, so that answers may grow.
        let least = if self.chance(0.7) { most.mul_f64(0.85) } else { Duration::ZERO };
        *before = self.time_between(least, most);
        *before
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
                lock(&world.server.goaways).push(Instant::now());
                connection.graceful_shutdown();
            }
            Some(Some(Ok((request, respond)))) => {
                // A request that has arrived is applied although its connection ends.
                spawn(&world, answer(world.clone(), pipes.clone(), request, respond));
            }
            Some(Some(Err(error))) => {
                world.log(Lane::Server, || format!("#{} fails: {error}", pipes.number));
                return;
            }
            Some(None) => return,
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
    let request = Arc::new(Request::read(method, message.get(5..).unwrap_or_default()));
    world.log(Lane::Server, || format!("#{} {}", pipes.number, request.words()));
    invariants::arrived(&world, &request);

    let respond = Arc::new(Mutex::new(respond));
    let in_flight = Arc::new(InFlight {
        activity: request.activity().unwrap_or(usize::MAX),
        request: request.clone(),
        pipes: pipes.clone(),
        respond: respond.clone(),
        recheck: Notify::new(),
    });
    if let Some(subject) = request.ordered() {
        if End::by(&request).is_some() {
            world.count_ending(subject.activity);
        }
        check_order(&world, &in_flight);
        lock(&world.server.in_flight).push(in_flight.clone());
    }
    if request.is_long_poll() {
        lock(&world.server.polls).push(in_flight.clone());
        following::poll_arrived(&world, in_flight.activity);
    }
    let reply = async {
        match world.server.accepts(&head.headers) {
            true => reply(&world, &pipes, &request).await,
            false => Err(Refusal::plain(tonic::Code::Unauthenticated, "the API key isn't accepted")),
        }
    };
    // As the servers that are written in Go, it enforces the time limit of the request.
    let expired = Err(Refusal::plain(tonic::Code::DeadlineExceeded, "context deadline exceeded"));
    let reply = async { timeout(limit(&head.headers), reply).await.unwrap_or(expired) };
    let answered = within_cancellation(&in_flight, reply).await;
    lock(&world.server.in_flight).retain(|other| !Arc::ptr_eq(other, &in_flight));
    lock(&world.server.polls).retain(|other| !Arc::ptr_eq(other, &in_flight));
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

/// The time limit of a request: `grpc-timeout` in milliseconds.
fn limit(headers: &HeaderMap) -> Duration {
    let text = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).unwrap_or_default();
    Duration::from_millis(text.trim_end_matches('m').parse().unwrap())
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
    let misbehaviours: Vec<_> =
        lock(&world.server.state).misbehaviours.iter().map(|(_, misbehaviour)| (1, *misbehaviour)).collect();
    let is_wrong = !misbehaviours.is_empty() && world.chance(world.plan.wrong_answers);
    let misbehaviour = is_wrong.then(|| world.pick(&misbehaviours));
    match misbehaviour {
        Some(Misbehaviour::RateLimited) => return Err(Refusal::rate_limited()),
        Some(Misbehaviour::Unavailable) => {
            return Err(Refusal::plain(tonic::Code::Unavailable, "unavailable"));
        }
        Some(Misbehaviour::NotFoundOfAGateway) => {
            return Err(Refusal::plain(tonic::Code::NotFound, "no such route"));
        }
        Some(Misbehaviour::Loses) => std::future::pending().await,
        Some(Misbehaviour::DeniesPolls) if request.is_long_poll() => {
            return Err(Refusal::plain(tonic::Code::PermissionDenied, "no permission"));
        }
        Some(Misbehaviour::LimitsPolls) if request.is_long_poll() => return Err(Refusal::rate_limited()),
        Some(Misbehaviour::HastyPolls) => {}
        _ if request.is_long_poll() => world.server.until_news(request).await,
        Some(Misbehaviour::LaggingReplica) if !request.is_long_poll() => {
            if let Some(answer) = world.server.describe_lagging(request, Moment::now()) {
                return answer;
            }
        }
        _ => {}
    }
    let delay = match misbehaviour {
        Some(Misbehaviour::Slow(timeouts)) => {
            let timeout = world.timeout_of(request).unwrap_or(USUAL_ANSWER);
            world.time_between(Duration::ZERO, timeout.mul_f64(timeouts))
        }
        _ => world.usual_answer(request),
    };
    let late = world.plan.applies_late && world.chance(0.5);
    if late {
        sleep(delay).await;
        world.server.until_thawed().await;
        if pipes.client_has_closed() {
            return std::future::pending().await;
        }
    }
    let timer = world.timer_delay();
    let ending = request.activity().zip(End::by(request)).and_then(|(number, end)| {
        let temporal = lock(temporal);
        temporal.activities.get(number).map(|activity| (number, (activity.identity(), end)))
    });
    let (answer, effect) = lock(temporal).apply(request, Moment::now(), timer);
    if let (Some((number, ending)), Effect::Ended) = (ending, &effect) {
        world.note_ending(number, ending);
    }
    // A beat only moves the timer to a later time.
    if let (false, Some(number)) = (matches!(effect, Effect::Nothing), request.activity()) {
        world.server.has_changed(number);
    }
    if !matches!(effect, Effect::Heartbeat { .. }) {
        world.server.changed.notify_one();
    }
    invariants::applied(world, request, &answer, &effect);
    if !late {
        sleep(delay).await;
    }
    match misbehaviour {
        Some(Misbehaviour::LosesAnswers) => std::future::pending().await,
        Some(Misbehaviour::Garbles) => return Ok(vec![0xff; 20]),
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
            let (new, other) = (new.request.words(), other.request.words());
            let text = format!("{new} came on #{new_at} while {other} is in flight on #{other_at}");
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
