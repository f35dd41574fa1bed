//! Makes a TCP connection to a name that may have several addresses, not all of which respond (Happy Eyeballs, RFC
//! 8305).

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{liveness::Liveness, socket::Socket};
use crate::{
    config::Address,
    model::{
        error::{Error, Result},
        status::Status,
    },
    sys::{self, network, sync::Mutex},
};

/// How long one address may be silent before the next one is tried in parallel (RFC 8305, section 5).
pub const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Makes connections one at a time, and remembers the address of the last one.
#[derive(Default)]
pub struct Dialer {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The address of the last connection.
    last: Option<SocketAddr>,
    /// Addresses that are being tried, or failed.
    unanswered: Vec<SocketAddr>,
}

/// An address that can't be reached, and the reason.
type Unreached = (SocketAddr, io::Error);

impl Dialer {
    /// Connects to the first address of `target` that accepts, until `end`. Starts with a different address than the
    /// last time.
    pub async fn connect(&self, target: &Address, end: Instant, liveness: &Arc<Liveness>) -> Result<Socket> {
        if let Some(path) = &target.path {
            let connected = Socket::open(network::connect_to_path(path), liveness.clone()).await;
            let step = "is this the path of the socket, and does its server or proxy run?";
            return connected.map_err(|error| failed(target, &error, step));
        }
        let resolved = match network::resolve(&target.host, target.port).await {
            Ok(addresses) => addresses,
            Err(error) => {
                let step = "is this the server's address, and can its name be resolved here?";
                return Err(failed(target, &error, step));
            }
        };
        let addresses = {
            let mut state = self.state.lock();
            state.unanswered = in_order(resolved, state.last);
            state.unanswered.clone()
        };
        let connected = race(addresses, end, liveness).await;
        let (address, socket) = connected.map_err(|failed| unreachable(target, &failed))?;
        *self.state.lock() = State { last: Some(address), unanswered: Vec::new() };
        Ok(socket)
    }

    /// Returns the addresses that the current connect attempt is trying, or that the last one failed to reach.
    pub fn unanswered(&self) -> Vec<SocketAddr> {
        self.state.lock().unanswered.clone()
    }
}

/// Returns the addresses in alternating families, as RFC 8305 orders them, with the last connection's address at the
/// end.
fn in_order(resolved: Vec<SocketAddr>, last: Option<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = resolved.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        resolved.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            break;
        }
        ordered.extend(pair.into_iter().flatten());
    }
    // A sort would add 10 KiB of code.
    if let Some(last) = last
        && ordered.contains(&last)
    {
        ordered.retain(|address| *address != last);
        ordered.push(last);
    }
    ordered
}

/// Connects to the addresses one after the other, without waiting for the earlier attempts to end, until one accepts.
async fn race(
    addresses: Vec<SocketAddr>,
    end: Instant,
    liveness: &Arc<Liveness>,
) -> std::result::Result<(SocketAddr, Socket), Vec<Unreached>> {
    let mut unreached = Vec::new();
    let mut silent = Vec::new();
    let mut waiting = addresses.into_iter();
    // Dropping this stops the attempts that are still connecting.
    let mut attempts = JoinSet::new();
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            silent.push(address);
            let liveness = liveness.clone();
            attempts.spawn(async move { (address, Socket::open(network::connect(address), liveness).await) });
        }
        let until = if next.is_some() { end.min(Instant::now() + NEXT_ADDRESS_DELAY) } else { end };
        match tokio::time::timeout_at(until, attempts.join_next()).await {
            Ok(Some(Ok((address, Ok(socket))))) => return Ok((address, socket)),
            Ok(Some(Ok((address, Err(error))))) => {
                silent.retain(|other| *other != address);
                unreached.push((address, error));
            }
            // A panicking task leaves its address among the silent ones.
            Ok(Some(Err(_))) => {}
            Err(_) if Instant::now() < end => {}
            Ok(None) | Err(_) => break,
        }
    }
    let no_answer = |address| (address, io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
    unreached.extend(silent.into_iter().map(no_answer));
    Err(unreached)
}

/// Returns the error of a connection that failed, with the next step unless a limit of this process is the cause.
fn failed(target: &Address, error: &io::Error, step: &str) -> Error {
    let (status, step) = match sys::descriptor::exhausted(error) {
        Some(step) => (Status::LocalLimit, step),
        None => (Status::Unavailable, step),
    };
    Error::new(status, format!("can't connect to {}: {error}; {step}", target.text))
}

fn unreachable(target: &Address, unreached: &[Unreached]) -> Error {
    let exhausted = unreached.iter().find_map(|(_, error)| sys::descriptor::exhausted(error));
    let all_refused = unreached.iter().all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused);
    let (status, step) = match exhausted {
        Some(step) => (Status::LocalLimit, step),
        None if unreached.is_empty() => (Status::Unavailable, "the name has no address"),
        None if all_refused => {
            (Status::Unavailable, "nothing listens there: start the server, or correct the address")
        }
        None => (Status::Unavailable, "check the address, and that this machine can reach it"),
    };
    let at = &target.text;
    let reasons = unreached.iter().map(|(address, error)| match *at == address.to_string() {
        true => error.to_string(),
        false => format!("{address}: {error}"),
    });
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    Error::new(status, format!("can't connect to {at}: {reasons}; {step}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpSocket};

    fn addresses<const N: usize>(texts: [&str; N]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_the_previous_address_is_last() {
        let resolved = addresses(["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let ordered = addresses(["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_order(resolved.clone(), None), ordered);
        assert_eq!(in_order(resolved, Some(ordered[0])).last(), Some(&ordered[0]));
    }

    /// Returns an address with a full accept queue, which doesn't answer further connections.
    async fn silent() -> (SocketAddr, Vec<tokio::net::TcpStream>, TcpListener) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) =
            tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
        {
            queued.push(stream.unwrap());
        }
        (address, queued, listener)
    }

    #[tokio::test]
    async fn silent_address_does_not_delay_the_next_one() {
        let (silent, _queued, _listener) = silent().await;
        let good = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = (good.local_addr().unwrap(), good);
        let end = Instant::now() + Duration::from_secs(60);
        let (address, _) =
            race(vec![silent, good.0], end, &Arc::default()).await.map_err(|_| "no connection").unwrap();
        assert_eq!(address, good.0);

        let end = Instant::now() + Duration::from_millis(100);
        let unreached = race(vec![silent], end, &Arc::default()).await.err().unwrap();
        assert_eq!(unreached[0].0, silent);
        let target = Address::parse("address", "localhost:7233").unwrap();
        let message = unreachable(&target, &unreached).to_string();
        assert!(message.contains(&silent.to_string()) && message.contains("no answer in time"), "{message}");
    }
}
