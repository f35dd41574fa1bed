//! The client of this process.
//!
//! It is behind an atomic pointer. In a forked child the pointer is null before any of the library's code runs, so
//! the child never touches the parent's locks or thread. It creates its own client.

pub mod call;
pub mod queue;
pub mod session;

use std::{
    panic::catch_unwind,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    activity::{Activities, handle::MAX_FORKS},
    client::Effort,
    config::Options,
    model::{
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        status::Status,
    },
    process::{call::Call, queue::Queues, session::Session},
    runtime,
    sys::{
        self,
        per_process::{Inheritable, PerProcess},
        sync::Mutex,
    },
    telemetry::{Telemetry, log_record::Event, log_ring},
    worker::Workers,
};

/// This process's state.
static PROCESS: PerProcess<Process> = PerProcess::new();
/// How many forks have led to this process since the library was loaded.
static GENERATION: AtomicU32 = AtomicU32::new(0);
/// The options in force, with which a forked child connects. `None`: the process is inactive, and so is the child.
static OPTIONS: Inheritable<Option<Options>> = Inheritable::new();

struct Process {
    state: Mutex<State>,
    activities: Activities,
    queues: Queues,
    workers: Workers,
    telemetry: Arc<Telemetry>,
}

enum State {
    Disconnected,
    /// There was no activity in the environment when the process connected.
    Inactive,
    /// The parent was connected. The child connects when it first needs the client.
    Inherited(Box<Options>),
    Connecting(Arc<Session>),
    Connected(Arc<Session>),
}

impl State {
    /// Returns the session, whether connected or still connecting.
    fn session(&self) -> Option<&Arc<Session>> {
        match self {
            State::Connecting(session) | State::Connected(session) => Some(session),
            State::Disconnected | State::Inactive | State::Inherited(_) => None,
        }
    }

    fn check_may_connect(&self) -> Result<()> {
        match self {
            State::Disconnected => Ok(()),
            State::Connecting(_) => Err(already("another thread is connecting")),
            State::Connected(_) | State::Inactive | State::Inherited(_) => {
                Err(already("the process is already connected; disconnect first to change the connection"))
            }
        }
    }
}

/// Runs in the only thread of a forked child. Makes the parent's state unreachable without touching it, and closes
/// the child's copies of its descriptors.
extern "C" fn after_fork_in_child() {
    PROCESS.forget();
    OPTIONS.inherit();
    GENERATION.fetch_add(1, Ordering::Release);
    sys::fork_private::close_copies();
}

/// Runs when the process calls `exit`. Shuts nothing down: later calls work as before.
extern "C" fn on_exit() {
    // A panic must not unwind into C.
    let _ = catch_unwind(|| {
        if let Some(process) = PROCESS.get() {
            process.activities.leave(|| process.queues.has_running_calls());
        }
    });
}

/// Connects this process. The call checks that the server answers, within the connect timeout.
pub fn connect(options: Options) -> Result<Call<()>> {
    log_ring::check_log_level()?;
    let process = process()?;
    let mut state = process.state.lock();
    state.check_may_connect()?;
    if options.lazy {
        return Ok(Call::immediate(move || process.connect_lazily(options)));
    }
    let session = process.start(options.clone())?;
    *state = State::Connecting(session.clone());
    let (deadline, connecting) = (Deadline::within(options.connect_timeout), session.clone());
    let call = Call::new(session.clone(), deadline, |client, deadline| async move {
        let handshaken = client.handshake(Effort::Until(&deadline)).await;
        process.finish_connecting(&connecting, handshaken.map_err(Error::from).map(|()| options))
    });
    Ok(call.or(move |without| process.finish_connecting(&session, Err(without))))
}

/// Makes this process inactive: it is connected, but to no server.
pub fn connect_inactive() -> Result<Call<()>> {
    log_ring::check_log_level()?;
    let process = process()?;
    process.state.lock().check_may_connect()?;
    Ok(Call::immediate(move || {
        let mut state = process.state.lock();
        state.check_may_connect()?;
        *state = State::Inactive;
        OPTIONS.publish(Some(None));
        process.telemetry.log.write(Event::Inactive, &[], || {
            "connect dialled nothing: there is no activity in the environment (when_absent)".to_owned()
        });
        Ok(())
    }))
}

/// Returns whether this process connected without an activity in the environment.
pub fn is_inactive() -> Result<bool> {
    Ok(matches!(&*process()?.state.lock(), State::Inactive))
}

/// Changes the credentials of the client, which stays connected.
pub fn reconfigure(json: &[u8]) -> Result<()> {
    if is_inactive()? {
        return Options::check_changes(json);
    }
    let session = session()?;
    session.reconfigure(json)?;
    let process = process()?;
    let state = process.state.lock();
    // Stored for a forked child, unless the client has ended since.
    if matches!(&*state, State::Connected(current) if Arc::ptr_eq(current, &session)) {
        OPTIONS.publish(Some(Some(session.options())));
    }
    Ok(())
}

/// Ends the client, if there is one. First ends the workers, and sends the newest records of open activities, until
/// `timeout`.
pub fn disconnect(timeout: Timeout) -> Result<Call<()>> {
    let process = process()?;
    let session = {
        let mut state = process.state.lock();
        match state.session() {
            Some(session) => session.clone(),
            None => {
                // A forked child doesn't connect any more.
                *state = State::Disconnected;
                OPTIONS.publish(None);
                // Inactive handles need no client.
                process.activities.close_all();
                return Ok(Call::ready(()));
            }
        }
    };
    let Some(deadline) = timeout.start() else {
        return Ok(Call::immediate(move || {
            process.finish_disconnecting(&session);
            Ok(())
        }));
    };
    let ending = session.clone();
    let call = Call::new(session.clone(), deadline, |_, deadline| async move {
        let until = deadline.clone();
        let workers_end = runtime::spawn(async move { process.workers.end_all(&until).await });
        process.activities.flush_all(&deadline).await;
        // A panic has ended them too.
        let _ = workers_end.await;
        process.finish_disconnecting(&ending);
        Ok(())
    });
    let without_flush = move |_| {
        process.finish_disconnecting(&session);
        Ok(())
    };
    Ok(call.outliving_session().or(without_flush))
}

/// Returns the client of this process. In a forked child, creates it from the parent's options.
pub fn session() -> Result<Arc<Session>> {
    let process = process()?;
    let mut state = process.state.lock();
    if let State::Inherited(options) = &*state {
        // The parent listens on this address.
        let mut options = Options::clone(options);
        options.metrics_address = None;
        let session = process.start(options)?;
        session.handshake_when_used();
        *state = State::Connected(session);
    }
    match &*state {
        State::Connected(session) => Ok(session.clone()),
        State::Connecting(_) => Err(not_connected("another thread is still connecting")),
        State::Inactive => Err(not_connected(
            "the process is inactive: it connected with when_absent, and there was no activity in the environment. To reach a \
             server without one, disconnect, then connect without when_absent",
        )),
        State::Disconnected | State::Inherited(_) => Err(not_connected("call connect first")),
    }
}

/// Returns the open activities of this process.
#[inline]
pub fn activities() -> Result<&'static Activities> {
    match PROCESS.get() {
        Some(process) => Ok(&process.activities),
        None => Ok(&process()?.activities),
    }
}

/// Returns the completion queues of this process.
pub fn queues() -> Result<&'static Queues> {
    Ok(&process()?.queues)
}

/// Returns the workers of this process.
pub fn workers() -> Result<&'static Workers> {
    Ok(&process()?.workers)
}

/// Returns the metrics and log records of this process.
pub fn telemetry() -> Result<&'static Telemetry> {
    Ok(&process()?.telemetry)
}

/// Returns this process's state. Installs the fork handler before it takes any lock, so that a forked child never
/// uses its parent's state.
fn process() -> Result<&'static Process> {
    sys::fork::at_fork(after_fork_in_child).map_err(|error| {
        Error::new(Status::LocalLimit, format!("the fork handler can't be installed: {error}"))
    })?;
    Ok(PROCESS.get_or_init(|| {
        let fork = GENERATION.load(Ordering::Acquire).min(MAX_FORKS);
        let telemetry = Arc::<Telemetry>::default();
        let activities = Activities::new(fork, telemetry.clone());
        let state = match OPTIONS.inherited() {
            Some(Some(options)) => State::Inherited(Box::new(options.clone())),
            Some(None) => State::Inactive,
            None => State::Disconnected,
        };
        Process {
            state: Mutex::new(state),
            activities,
            queues: Queues::new(fork),
            workers: Workers::new(fork),
            telemetry,
        }
    }))
}

impl Process {
    /// Connects without a handshake.
    fn connect_lazily(&'static self, options: Options) -> Result<()> {
        let mut state = self.state.lock();
        state.check_may_connect()?;
        let session = self.start(options.clone())?;
        session.handshake_when_used();
        *state = State::Connected(session);
        OPTIONS.publish(Some(Some(options)));
        Ok(())
    }

    /// Puts a session in force, or ends it if the server didn't answer.
    fn finish_connecting(&self, session: &Arc<Session>, answered: Result<Options>) -> Result<()> {
        let mut state = self.state.lock();
        // Another thread may have disconnected since, and may even have connected again.
        if !matches!(&*state, State::Connecting(current) if Arc::ptr_eq(current, session)) {
            return Err(Error::new(
                Status::NotConnected,
                "the client was disconnected while it was being connected",
            ));
        }
        match answered {
            Ok(options) => {
                *state = State::Connected(session.clone());
                OPTIONS.publish(Some(Some(options)));
                Ok(())
            }
            Err(error) => {
                session.stop();
                // No client sends any more, so the exit may not wait for it.
                self.activities.disconnected();
                *state = State::Disconnected;
                Err(error)
            }
        }
    }

    /// Ends a session and the submitted calls in it.
    fn finish_disconnecting(&self, session: &Arc<Session>) {
        {
            let mut state = self.state.lock();
            // Another thread may have disconnected already and connected again. That new client must not be ended.
            if !state.session().is_some_and(|current| Arc::ptr_eq(current, session)) {
                return;
            }
            *state = State::Disconnected;
            OPTIONS.publish(None);
            // Under the lock: a handle that was opened during the flush must not survive into the next connection.
            self.workers.close_all();
            self.activities.close_all();
            self.telemetry.log.write(Event::Disconnected, &[], || "disconnected".to_owned());
            session.stop();
        }
        self.queues.end_calls_of(session.number);
    }

    fn start(&'static self, options: Options) -> Result<Arc<Session>> {
        let session = Session::start(options, &self.activities, &self.queues, &self.telemetry)?;
        sys::exit::at_exit(on_exit);
        Ok(Arc::new(session))
    }
}

fn already(why: &str) -> Error {
    Error::new(Status::AlreadyConnected, why)
}

fn not_connected(why: &str) -> Error {
    Error::new(Status::NotConnected, why)
}
