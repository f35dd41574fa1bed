//! The client's process: what `process` and `runtime` do, on the simulation's own runtime.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{
    calls::wait_for,
    codec::Codec,
    invariants,
    submissions::Submissions,
    trace::Lane,
    world::{World, lock},
};
use crate::{
    activity::{Activities, handle::Handle, watch::News},
    client::Effort,
    config::Options,
    model::{
        codec::OwnCodec,
        deadline::{Deadline, Timeout},
        error::{Error, Result},
        signals::Signals,
        status::Status,
    },
    process::{call::Call, session::Session},
    runtime::Runtime,
    telemetry::Telemetry,
};

/// How long a try lasts after its handle was closed (`activity::TRY_AFTER_CLOSE`), and a little more.
const LONGEST_END_OF_TRIES: Duration = Duration::from_millis(600);

/// The client's process.
pub struct Process {
    activities: &'static Activities,
    session: Mutex<Option<Arc<Session>>>,
    /// The tasks of the session, which end with it.
    tasks: Mutex<Vec<AbortHandle>>,
    pub submissions: Submissions,
    /// Whether the work is to end.
    is_stopping: AtomicBool,
    /// The newest API key.
    key: AtomicU64,
    /// Whether it is disconnecting and connecting again.
    is_reconnecting: AtomicBool,
    /// When its connection was replaced.
    replacements: Mutex<Vec<Instant>>,
    /// The watch of all open activities; `user_data` is the number of the activity.
    watch: AtomicU64,
}

impl Process {
    /// `activities` must outlive it.
    pub fn new(activities: &'static Activities) -> Arc<Self> {
        let (session, tasks, is_stopping) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Arc::new(Process {
            activities,
            session,
            tasks,
            submissions: Submissions::new(),
            is_stopping,
            key: AtomicU64::new(0),
            is_reconnecting: AtomicBool::new(false),
            replacements: Mutex::default(),
            watch: AtomicU64::new(0),
        })
    }

    pub fn activities(&self) -> &'static Activities {
        self.activities
    }

    fn options(&self, world: &World) -> Options {
        let key = self.key.load(Ordering::Relaxed);
        let json = format!(
            r#"{{"address":"server.example:7233","identity":"sim","api_key":"key-{key}","tls":false}}"#
        );
        let mut options = Options::read(json.as_bytes()).unwrap();
        options.own_codec = world.plan.codec.map(|_| OwnCodec(Arc::new(Codec(world.this()))));
        options
    }

    pub fn connect(self: &Arc<Self>, world: &World) {
        let telemetry = &self.activities.telemetry;
        let session =
            Session::new(self.options(world), self.activities, telemetry, Runtime::simulated()).unwrap();
        let session = Arc::new(session);
        world.network.begin();
        world.log(Lane::Client, || "connects".into());
        let (process, running) = (self.clone(), session.clone());
        self.spawn(async move {
            loop {
                running.jobs().await.into_iter().for_each(|job| process.spawn(job));
            }
        });
        session.begin_sending();
        let handshake = session.client().clone();
        let deadline = Deadline::within(Duration::from_secs(10));
        session.spawn(async move { drop(handshake.handshake(Effort::Until(&deadline)).await) });
        *lock(&self.session) = Some(session);
        self.watch.store(self.activities.open_watch().unwrap(), Ordering::Relaxed);
    }

    /// Gives the client another API key, and perhaps another certificate, for which its connection is replaced.
    pub fn renew(&self, world: &World, key: u64) {
        self.key.fetch_max(key, Ordering::Relaxed);
        let Ok(session) = self.session() else { return };
        world.log(Lane::Client, || format!("uses key {key}"));
        let transport = session.client().transport();
        transport.secure(&self.options(world)).unwrap();
        if world.chance(0.5) {
            transport.replace_connections();
            lock(&self.replacements).push(Instant::now());
        }
    }

    /// How often the connection was replaced in this time.
    pub fn replacements_within(&self, time: Duration) -> usize {
        lock(&self.replacements).iter().filter(|at| at.elapsed() < time).count()
    }

    /// Disconnects within `timeout` and connects again, unless that is under way.
    pub async fn reconnect(self: &Arc<Self>, world: &Arc<World>, timeout: Duration) {
        if !self.is_reconnecting.swap(true, Ordering::Relaxed) {
            self.disconnect(world, timeout).await;
            self.connect(world);
            self.is_reconnecting.store(false, Ordering::Relaxed);
        }
    }

    /// What the watch reports now: numbers of activities, their handles and signals.
    pub fn reported(&self) -> Vec<(usize, Handle, Signals)> {
        let (activities, watch) = (self.activities, self.watch.load(Ordering::Relaxed));
        let next = || activities.next_of_watch(watch, Timeout::Zero).ok().flatten();
        let read = |news: News| {
            let handle = activities.registry.handle(news.activity).unwrap();
            (usize::try_from(news.user_data).unwrap(), handle, news.signals)
        };
        std::iter::from_fn(next).map(read).collect()
    }

    /// Adds an activity to the watch.
    pub fn watch(&self, number: usize, handle: Handle) -> Result<()> {
        let watch = self.watch.load(Ordering::Relaxed);
        self.activities.add_to_watch(watch, handle.number(), Signals::from_bits(u32::MAX), number as u64)
    }

    /// As `process::disconnect`.
    pub async fn disconnect(self: &Arc<Self>, world: &Arc<World>, timeout: Duration) {
        let (activities, number) = (self.activities, self.session_number());
        let _ = wait_for(world, self, "disconnect".to_owned(), timeout, move |process, deadline| {
            let (session, (process, ending)) = (process.session()?, (process.clone(), process.clone()));
            let call = Call::new(session, deadline, |_, deadline| async move {
                activities.flush_all(&deadline).await;
                process.finish_disconnecting();
                Ok(())
            });
            let without_flush = move |_| {
                ending.finish_disconnecting();
                Ok(())
            };
            Ok(call.outliving_session().or(without_flush))
        })
        .await;
        self.submissions.session_has_ended(world, number);
        world.release_all();
        invariants::all_are_closed(world, self);
        // The real client's runtime is dropped, with all its tasks and connections.
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
        world.network.cut();
        // The tries of its scheduler end by themselves, since their handles are closed.
        sleep(LONGEST_END_OF_TRIES).await;
        world.network.cut();
        // The scheduler of this connection ends.
        activities.wake_queue.begin();
        activities.wake_queue.wake();
        activities.wake_tries();
    }

    fn finish_disconnecting(&self) {
        // Before the handles are closed, because another one must not be opened after that.
        let Some(session) = lock(&self.session).take() else { return };
        self.activities.close_all();
        session.stop();
        self.submissions.queues.end_calls_of(session.number);
    }

    /// As `Reactor::spawn`.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(tokio::spawn(work).abort_handle());
    }

    /// The number of the session; 0: there is none.
    pub fn session_number(&self) -> u64 {
        self.session().map_or(0, |session| session.number)
    }

    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    pub fn session(&self) -> Result<Arc<Session>> {
        lock(&self.session).clone().ok_or_else(|| Error::new(Status::NotConnected, "disconnected"))
    }
}

/// Makes the process's activities, for as long as `work` takes.
pub fn with_activities(work: impl FnOnce(&'static Activities)) {
    let activities = Box::into_raw(Box::new(Activities::new(0, Arc::new(Telemetry::default()))));
    // SAFETY: it was made above, and is freed only below. `work` leaves nothing behind that uses it: it drops its runtime with all tasks,
    // and so all calls.
    work(unsafe { &*activities });
    // SAFETY: as above; nothing else frees it.
    drop(unsafe { Box::from_raw(activities) });
}
