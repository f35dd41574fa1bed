//! The single client of this process.
//!
//! It lives behind an atomic pointer. In a forked child the pointer is null again before any of our code runs there, so
//! that nothing of the parent's, neither its locks nor its thread, is ever touched; the child makes its own.

pub mod session;

use std::{
    panic::catch_unwind,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    activity::{Activities, handle::MAX_FORKS},
    config::Options,
    model::{
        deadline::Timeout,
        error::{Error, Result},
        status::Status,
    },
    process::session::Session,
    sys::{
        self,
        per_process::{Inheritable, PerProcess},
    },
    telemetry::{Telemetry, log_record::Event, log_ring},
};

/// This process's state.
static PROCESS: PerProcess<Process> = PerProcess::new();
/// How often this process's ancestors have forked since the library was loaded.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The options in force, with which a forked child connects.
static OPTIONS: Inheritable<Options> = Inheritable::new();

struct Process {
    state: Mutex<State>,
    activities: Activities,
    telemetry: Arc<Telemetry>,
}

enum State {
    Disconnected,
    /// The parent was connected: so is the child, as soon as it needs to be.
    Inherited(Box<Options>),
    Connecting(Arc<Session>),
    Connected(Arc<Session>),
}

impl State {
    /// The session that there is, connected or not yet.
    fn session(&self) -> Option<&Arc<Session>> {
        match self {
            State::Connecting(session) | State::Connected(session) => Some(session),
            State::Disconnected | State::Inherited(_) => None,
        }
    }
}

/// Runs in the child of a fork, in its only thread. The parent's state stays where it is, unreachable; of its descriptors the
/// child keeps none.
extern "C" fn after_fork_in_child() {
    PROCESS.forget();
    OPTIONS.inherit();
    GENERATION.fetch_add(1, Ordering::Release);
    sys::fork_private::close_copies();
}

/// Runs when the process ends by `exit`. Nothing is taken down: who calls later is served as before.
extern "C" fn on_exit() {
    // No panic may leave this.
    let _ = catch_unwind(|| {
        if let Some(process) = PROCESS.get() {
            process.activities.leave();
        }
    });
}

/// Connects this process.
pub fn connect(options: Options) -> Result<()> {
    log_ring::check_log_level()?;
    let process = process()?;
    let session = {
        let mut state = process.lock();
        match &*state {
            State::Disconnected => {}
            State::Connecting(_) => return Err(already("a connect is under way in another thread")),
            State::Connected(_) | State::Inherited(_) => {
                return Err(already("the process has its client; to change it, disconnect first"));
            }
        }
        let session = process.start(options.clone())?;
        *state =
            if options.lazy { State::Connected(session.clone()) } else { State::Connecting(session.clone()) };
        if options.lazy {
            session.handshake_when_used();
            OPTIONS.publish(Some(options));
            return Ok(());
        }
        session
    };

    let handshaken = session.handshake();
    let mut state = process.lock();
    // A disconnect, perhaps with another connect behind it, may have come in between.
    if !matches!(&*state, State::Connecting(current) if Arc::ptr_eq(current, &session)) {
        return Err(Error::new(
            Status::NotConnected,
            "the client was disconnected while it was being connected",
        ));
    }
    match handshaken {
        Ok(()) => {
            *state = State::Connected(session);
            OPTIONS.publish(Some(options));
            Ok(())
        }
        Err(error) => {
            session.stop();
            // Nobody sends any more: there is nothing to wait for, not even at the end of the process.
            process.activities.close_all();
            *state = State::Disconnected;
            Err(error)
        }
    }
}

/// Changes the credentials of the client, which stays connected.
pub fn reconfigure(json: &[u8]) -> Result<()> {
    let session = session()?;
    session.reconfigure(json)?;
    let process = process()?;
    let state = process.lock();
    // For a child, unless the client has ended meanwhile.
    if matches!(&*state, State::Connected(current) if Arc::ptr_eq(current, &session)) {
        OPTIONS.publish(Some(session.options()));
    }
    Ok(())
}

/// Ends the client, if there is one, after what was recorded on open activities was sent, if `timeout` allows it.
pub fn disconnect(timeout: Timeout) -> Result<()> {
    let process = process()?;
    let ending = process.lock().session().cloned();
    process.activities.flush_all(timeout);
    let mut state = process.lock();
    // Another disconnect may have ended it already, and a connect may have made the next one, which isn't to be ended.
    if state.session().map(Arc::as_ptr) != ending.as_ref().map(Arc::as_ptr) {
        return Ok(());
    }
    *state = State::Disconnected;
    OPTIONS.publish(None);
    // Under the lock: a handle that was opened while the others were flushed must not live on in the next connection.
    process.activities.close_all();
    if let Some(session) = ending {
        process.telemetry.log.write(Event::Disconnected, &[], || "disconnected".to_owned());
        session.stop();
    }
    Ok(())
}

/// The client of this process.
pub fn session() -> Result<Arc<Session>> {
    let process = process()?;
    let mut state = process.lock();
    if let State::Inherited(options) = &*state {
        // The parent has the address.
        let mut options = Options::clone(options);
        options.metrics_address = None;
        let session = process.start(options)?;
        session.handshake_when_used();
        *state = State::Connected(session);
    }
    match &*state {
        State::Connected(session) => Ok(session.clone()),
        State::Connecting(_) => Err(not_connected("the connect in another thread isn't done yet")),
        State::Disconnected | State::Inherited(_) => Err(not_connected("call connect first")),
    }
}

/// Whether calls of this process still use this session.
pub fn is_current(session: &Arc<Session>) -> Result<bool> {
    let state = process()?.lock();
    Ok(matches!(&*state, State::Connected(current) if Arc::ptr_eq(current, session)))
}

/// The open activities of this process.
#[inline]
pub fn activities() -> Result<&'static Activities> {
    match PROCESS.get() {
        Some(process) => Ok(&process.activities),
        None => Ok(&process()?.activities),
    }
}

/// The metrics and the log records of this process.
pub fn telemetry() -> Result<&'static Telemetry> {
    Ok(&process()?.telemetry)
}

/// Returns this process's state. Looks for it before it takes any lock, so that a forked child never finds its parent's.
fn process() -> Result<&'static Process> {
    sys::fork::at_fork(after_fork_in_child).map_err(|error| {
        Error::new(Status::LocalLimit, format!("the fork handler can't be installed: {error}"))
    })?;
    Ok(PROCESS.get_or_init(|| {
        let fork = GENERATION.load(Ordering::Acquire).min(MAX_FORKS);
        let telemetry = Arc::<Telemetry>::default();
        let activities = Activities::new(fork, telemetry.clone());
        let state = match OPTIONS.inherited() {
            Some(options) => State::Inherited(Box::new(options.clone())),
            None => State::Disconnected,
        };
        Process { state: Mutex::new(state), activities, telemetry }
    }))
}

impl Process {
    fn start(&'static self, options: Options) -> Result<Arc<Session>> {
        let session = Session::start(options, &self.activities, &self.telemetry)?;
        sys::exit::at_exit(on_exit);
        Ok(Arc::new(session))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn already(why: &str) -> Error {
    Error::new(Status::AlreadyConnected, why)
}

fn not_connected(why: &str) -> Error {
    Error::new(Status::NotConnected, why)
}
