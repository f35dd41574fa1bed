//! The simulated network: one link between the client's host and the server's, and the connections over it.
//!
//! A connection is two pipes. The bytes that its sender wrote stay in the pipe until they are delivered, as in the send buffer of a TCP
//! socket: while the link is down they wait there, and when it is up again they are sent again.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::{Instant, sleep},
};

use super::{
    plan::Plan,
    server,
    trace::Lane,
    world::{World, lock},
};
use crate::sys::network::Connection;

/// How much a sender may write before any of it is delivered.
const SEND_BUFFER: usize = 256 * 1024;
/// How long after the last bytes of a connection its end is seen.
const END_DELAY: Duration = Duration::from_millis(1);
/// The bounds of the time after which lost bytes are sent again, once the link is up.
const RETRANSMIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1000));

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// The chance that bytes are lost while the link loses packets.
const LOSS: f64 = 0.3;
/// What a slow reader takes at once, and how often.
const SLOW_BYTES: usize = 64;
const SLOW_PAUSE: Duration = Duration::from_millis(20);
/// How long after the network has forgotten a connection the server ends it.
const SERVER_KEEPALIVE: Duration = Duration::from_secs(90);

/// Something that faults do to the network, as long as one of these exists.
pub struct Active(Arc<AtomicUsize>, Arc<Notify>);

impl Active {
    fn begin(count: &Arc<AtomicUsize>, changed: &Arc<Notify>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Active(count.clone(), changed.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        self.1.notify_waiters();
    }
}

/// The link, and what was connected over it.
pub struct Network {
    state: Mutex<State>,
    /// How many faults have taken each direction down.
    down: [Arc<AtomicUsize>; 2],
    /// How many faults lose packets.
    lossy: Arc<AtomicUsize>,
    changed: Arc<Notify>,
}

struct State {
    /// The bounds of the time that bytes take.
    latency: (Duration, Duration),
    /// For each address how many faults silence it.
    addresses: Vec<(IpAddr, Arc<AtomicUsize>)>,
    connections: Vec<Arc<Pipes>>,
    /// How many clients the process has had.
    client: usize,
    /// Whether it has one now. What is left of the tasks of the last client connects to nothing.
    has_client: bool,
}

/// The two pipes of a connection.
pub struct Pipes {
    pub number: usize,
    to_server: Pipe,
    to_client: Pipe,
    client_has_closed: AtomicBool,
    /// Whether the server is to send GOAWAY.
    pub go_away: Notify,
}

#[derive(Default)]
struct Pipe {
    state: Mutex<PipeState>,
    /// Wakes the task that delivers.
    written: Notify,
}

#[derive(Default)]
struct PipeState {
    unsent: Vec<u8>,
    /// When parts of them arrive if nothing is wrong, and their lengths.
    parts: VecDeque<(Instant, usize)>,
    arrived: Vec<u8>,
    /// The sender has closed in order: its bytes are delivered, and then the end.
    is_closed: bool,
    /// The sender has aborted: its bytes are discarded.
    is_aborted: bool,
    end: Option<End>,
    /// Bytes aren't delivered before.
    held_until: Option<Instant>,
    /// The receiver reads slowly until then.
    slow_until: Option<Instant>,
    /// The network delivers nothing any more.
    is_forgotten: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    InOrder,
    Reset,
}

impl Network {
    pub fn new(plan: &Plan) -> Self {
        let address = |number| IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
        let addresses = (1..)
            .zip(&plan.silent_addresses)
            .map(|(number, silent)| (address(number), Arc::new(AtomicUsize::new(usize::from(*silent)))));
        Network {
            state: Mutex::new(State {
                latency: plan.latency,
                addresses: addresses.collect(),
                connections: Vec::new(),
                client: 0,
                has_client: false,
            }),
            down: Default::default(),
            lossy: Arc::default(),
            changed: Arc::default(),
        }
    }

    pub fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        lock(&self.state).addresses.iter().map(|(address, _)| SocketAddr::new(*address, port)).collect()
    }

    /// Takes one direction of the link down.
    pub fn take_down(&self, way: Way) -> Active {
        Active::begin(self.down(way), &self.changed)
    }

    /// Has the link lose packets.
    pub fn lose_packets(&self) -> Active {
        Active::begin(&self.lossy, &self.changed)
    }

    /// Silences the address with this number, counted around.
    pub fn silence(&self, number: usize) -> Active {
        let state = lock(&self.state);
        let at = number % state.addresses.len();
        Active::begin(&state.addresses[at].1, &self.changed)
    }

    fn down(&self, way: Way) -> &Arc<AtomicUsize> {
        match way {
            Way::ToServer => &self.down[0],
            Way::ToClient => &self.down[1],
        }
    }

    fn is_up(&self, way: Way) -> bool {
        self.down(way).load(Ordering::Relaxed) == 0
    }

    fn is_silent(&self, address: IpAddr) -> bool {
        let state = lock(&self.state);
        state.addresses.iter().any(|(ip, silent)| *ip == address && silent.load(Ordering::Relaxed) > 0)
    }

    async fn until_up(&self, way: Way) {
        loop {
            let changed = self.changed.notified();
            if self.is_up(way) {
                return;
            }
            changed.await;
        }
    }

    /// The connections that the client hasn't closed.
    pub fn open(&self) -> Vec<Arc<Pipes>> {
        let state = lock(&self.state);
        state.connections.iter().filter(|pipes| !pipes.client_has_closed()).cloned().collect()
    }

    /// Lets the client connect.
    pub fn begin(&self) {
        let mut state = lock(&self.state);
        (state.client, state.has_client) = (state.client + 1, true);
    }

    /// Ends the client's connections, and fails its connect attempts.
    pub fn cut(&self) {
        lock(&self.state).has_client = false;
        self.open().iter().for_each(|pipes| pipes.to_client.end(End::Reset));
    }

    /// The most bytes that wait in a buffer of the client.
    pub fn most_unsent(&self) -> usize {
        let unsent = |pipes: &Arc<Pipes>| lock(&pipes.to_server.state).unsent.len();
        self.open().iter().map(unsent).max().unwrap_or(0)
    }

    /// How many connections were made.
    pub fn made(&self) -> usize {
        lock(&self.state).connections.len()
    }

    /// Wakes the server's ends, after the server stood still.
    pub fn wake_server(&self) {
        let connections = lock(&self.state).connections.clone();
        for pipes in connections {
            let reader = lock(&pipes.to_server.state).reader.take();
            reader.into_iter().for_each(Waker::wake);
        }
    }
}

impl Pipes {
    pub fn client_has_closed(&self) -> bool {
        self.client_has_closed.load(Ordering::Relaxed)
    }

    /// Holds bytes back that go one way.
    pub fn hold(&self, way: Way, until: Instant) {
        lock(&self.pipe(way).state).held_until = Some(until);
    }

    /// Has the receiver read slowly.
    pub fn slow_down(&self, way: Way, until: Instant) {
        lock(&self.pipe(way).state).slow_until = Some(until);
    }

    /// The network delivers nothing any more.
    pub fn forget(self: &Arc<Self>) {
        for way in [Way::ToServer, Way::ToClient] {
            lock(&self.pipe(way).state).is_forgotten = true;
        }
        let pipes = self.clone();
        tokio::spawn(async move {
            sleep(SERVER_KEEPALIVE).await;
            pipes.to_server.end(End::Reset);
        });
    }

    /// A device on the way resets the connection, for both ends.
    pub fn reset(&self) {
        self.to_server.end(End::Reset);
        self.to_client.end(End::Reset);
    }

    fn pipe(&self, way: Way) -> &Pipe {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }
}

impl Pipe {
    fn end(&self, end: End) {
        let mut state = lock(&self.state);
        if end == End::Reset {
            state.discard();
            state.arrived.clear();
        }
        state.end.get_or_insert(end);
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        self.written.notify_one();
    }

    fn read(&self, context: &Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        if !state.arrived.is_empty() {
            let count = state.arrived.len().min(buffer.remaining());
            buffer.put_slice(&state.arrived[..count]);
            state.arrived.drain(..count);
            return Poll::Ready(Ok(()));
        }
        match state.end {
            Some(End::InOrder) => Poll::Ready(Ok(())),
            Some(End::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn write(&self, context: &Context<'_>, bytes: &[u8], latency: Duration) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.state);
        if state.end == Some(End::Reset) || state.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if state.unsent.len() >= SEND_BUFFER {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.unsent.extend_from_slice(bytes);
        state.parts.push_back((Instant::now() + latency, bytes.len()));
        drop(state);
        self.written.notify_one();
        Poll::Ready(Ok(bytes.len()))
    }

    fn close(&self) {
        lock(&self.state).is_closed = true;
        self.written.notify_one();
    }

    fn abort(&self) {
        let mut state = lock(&self.state);
        state.is_aborted = true;
        state.discard();
        drop(state);
        self.written.notify_one();
    }
}

impl PipeState {
    fn discard(&mut self) {
        self.unsent.clear();
        self.parts.clear();
    }

    /// How many bytes have been on their way for long enough.
    fn due(&self) -> usize {
        let now = Instant::now();
        self.parts.iter().take_while(|(due, _)| *due <= now).map(|(_, length)| length).sum()
    }

    fn take(&mut self, mut count: usize) {
        let bytes: Vec<u8> = self.unsent.drain(..count).collect();
        self.arrived.extend(bytes);
        while let Some((_, length)) = self.parts.front_mut() {
            let taken = count.min(*length);
            (*length, count) = (*length - taken, count - taken);
            if *length > 0 {
                return;
            }
            self.parts.pop_front();
        }
    }
}

/// Delivers what is written into a pipe, until its end.
async fn deliver(world: Arc<World>, pipes: Arc<Pipes>, way: Way) {
    let (pipe, network) = (pipes.pipe(way), &world.network);
    loop {
        let due = {
            let state = lock(&pipe.state);
            if state.end.is_some() {
                return;
            }
            let has_news = !state.unsent.is_empty() || state.is_closed || state.is_aborted;
            has_news.then(|| state.parts.front().map(|(due, _)| *due))
        };
        let Some(due) = due else {
            pipe.written.notified().await;
            continue;
        };
        if lock(&pipe.state).is_aborted {
            // The reset is lost if the link is down: the other end stays half open.
            sleep(world.latency()).await;
            if network.is_up(way) && !lock(&pipe.state).is_forgotten {
                pipe.end(End::Reset);
                pipes.pipe(other(way)).end(End::Reset);
            }
            return;
        }
        let held = lock(&pipe.state).held_until.filter(|until| *until > Instant::now());
        if let Some(until) = held {
            tokio::time::sleep_until(until).await;
            continue;
        }
        match due {
            Some(due) if due > Instant::now() => tokio::time::sleep_until(due).await,
            Some(_) => {}
            None => sleep(world.latency() + END_DELAY).await,
        }
        let is_lost = network.lossy.load(Ordering::Relaxed) > 0 && world.chance(LOSS);
        if !network.is_up(way) || is_lost {
            network.until_up(way).await;
            sleep(world.time_between(RETRANSMIT.0, RETRANSMIT.1)).await;
            continue;
        }
        let is_slow = lock(&pipe.state).slow_until.is_some_and(|until| until > Instant::now());
        if is_slow {
            sleep(SLOW_PAUSE).await;
        }
        if lock(&pipe.state).is_forgotten {
            // The sender's buffer fills, until it aborts.
            pipe.written.notified().await;
            continue;
        }
        let mut state = lock(&pipe.state);
        if state.is_aborted {
            continue;
        }
        let most = if is_slow { SLOW_BYTES } else { usize::MAX };
        let count = state.due().min(most);
        state.take(count);
        // The end comes after the bytes: what reads them may act on them before.
        if state.is_closed && due.is_none() && state.unsent.is_empty() {
            state.end.get_or_insert(End::InOrder);
        }
        let wakers = [state.reader.take(), state.writer.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

fn other(way: Way) -> Way {
    match way {
        Way::ToServer => Way::ToClient,
        Way::ToClient => Way::ToServer,
    }
}

impl World {
    /// How long bytes take this time.
    fn latency(&self) -> Duration {
        let (low, high) = lock(&self.network.state).latency;
        self.time_between(low, high)
    }
}

/// Makes a connection from the client's host to a server's address.
pub async fn connect(world: Arc<World>, address: SocketAddr) -> io::Result<Box<dyn Connection>> {
    let client = {
        let state = lock(&world.network.state);
        state.has_client.then_some(state.client)
    };
    world.count_try();
    loop {
        world.network.until_up(Way::ToServer).await;
        world.network.until_up(Way::ToClient).await;
        sleep(world.latency() + world.latency()).await;
        if world.network.is_up(Way::ToServer) && world.network.is_up(Way::ToClient) {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    if world.network.is_silent(address.ip()) {
        std::future::pending::<()>().await;
    }
    let is_of_client = {
        let state = lock(&world.network.state);
        state.has_client && client == Some(state.client)
    };
    if world.server.is_down() || !is_of_client {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let pipes = {
        let mut state = lock(&world.network.state);
        let pipes = Arc::new(Pipes {
            number: state.connections.len() + 1,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            client_has_closed: AtomicBool::new(false),
            go_away: Notify::new(),
        });
        state.connections.push(pipes.clone());
        pipes
    };
    world.log(Lane::Connection, || format!("#{} connected to {}", pipes.number, address.ip()));
    for way in [Way::ToServer, Way::ToClient] {
        tokio::spawn(deliver(world.clone(), pipes.clone(), way));
    }
    server::accept(&world, ServerEnd { world: world.clone(), pipes: pipes.clone() });
    Ok(Box::new(ClientEnd { world, pipes, discards: AtomicBool::new(false) }))
}

/// The client's end of a connection.
struct ClientEnd {
    world: Arc<World>,
    pipes: Arc<Pipes>,
    discards: AtomicBool,
}

impl Connection for ClientEnd {
    fn discard_unsent(&self) {
        self.discards.store(true, Ordering::Relaxed);
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let discards = self.discards.load(Ordering::Relaxed);
        let how = if discards { "aborted" } else { "closed" };
        self.world.log(Lane::Connection, || format!("#{} {how} by the client", self.pipes.number));
        self.pipes.client_has_closed.store(true, Ordering::Relaxed);
        if discards { self.pipes.to_server.abort() } else { self.pipes.to_server.close() }
    }
}

/// The server's end of a connection.
pub struct ServerEnd {
    world: Arc<World>,
    pub pipes: Arc<Pipes>,
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        self.pipes.to_client.close();
    }
}

impl AsyncRead for ClientEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipes.to_client.read(context, buffer)
    }
}

impl AsyncRead for ServerEnd {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.world.server.is_frozen() {
            lock(&self.pipes.to_server.state).reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.pipes.to_server.read(context, buffer)
    }
}

macro_rules! writes_to {
    ($end:ty, $pipe:ident) => {
        impl AsyncWrite for $end {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.pipes.$pipe.write(context, bytes, self.world.latency())
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.pipes.$pipe.close();
                Poll::Ready(Ok(()))
            }
        }
    };
}

writes_to!(ClientEnd, to_server);
writes_to!(ServerEnd, to_client);
