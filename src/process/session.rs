//! A session: the client from connect to disconnect, with its options and its I/O thread.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    activity::{Activities, scheduler},
    client::Client,
    config::Options,
    model::{deadline::Deadline, error::Result},
    process::queue::Queues,
    runtime::{Runtime, restarted_after_panics},
    sys::sync::Mutex,
    telemetry::{
        Telemetry,
        http::Listener,
        log_record::{Event, Value},
    },
};

/// How often the files with credentials are checked.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

fn serve(runtime: &Runtime, listener: Listener, activities: &'static Activities, telemetry: &Arc<Telemetry>) {
    let address = listener.address().map(|address| address.to_string()).unwrap_or_default();
    let fields = &[("address", Value::Text(&address))];
    let words = || format!("the metrics are served at http://{address}/metrics");
    telemetry.log.write(Event::MetricsServed, fields, words);
    runtime.spawn(listener.serve(|| activities.exposition()));
}

/// The sessions that this process has begun.
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// The client from connect to disconnect.
pub struct Session {
    /// Greater than 0.
    pub number: u64,
    options: Mutex<Options>,
    runtime: Runtime,
    activities: &'static Activities,
    client: Arc<Client>,
}

impl Session {
    /// Starts the I/O thread, which sends for `activities`. Sends nothing yet.
    pub fn start(
        options: Options,
        activities: &'static Activities,
        queues: &'static Queues,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self> {
        let metrics_address = options.metrics_address;
        let session = Self::new(options, activities, telemetry, Runtime::new())?;
        let listener =
            metrics_address.map(|address| Listener::bind("metrics_address", address)).transpose()?;
        let number = session.number;
        session.runtime.start(move || queues.end_calls_of(number))?;
        session.begin_sending();
        if let Some(listener) = listener {
            serve(&session.runtime, listener, activities, telemetry);
        }
        let renewed = session.client.clone();
        session.spawn(restarted_after_panics(move || renew(renewed.clone())));
        Ok(session)
    }

    /// Creates a session whose I/O thread hasn't started.
    pub fn new(
        options: Options,
        activities: &'static Activities,
        telemetry: &Arc<Telemetry>,
        runtime: Runtime,
    ) -> Result<Self> {
        let number = 1 + SESSIONS.fetch_add(1, Ordering::Relaxed);
        let (rules, in_doubt) = (activities.rules.clone(), activities.in_doubt.clone());
        let client = Client::new(&options, rules, in_doubt, runtime.io_thread(), telemetry.clone())?;
        let (options, client) = (Mutex::new(options), Arc::new(client));
        Ok(Session { number, options, runtime, activities, client })
    }

    /// Begins to send for the activities.
    pub fn begin_sending(&self) {
        let number = self.activities.connected();
        self.spawn(scheduler::run(self.activities, self.client.clone(), number));
    }

    /// Waits for submitted work, and returns it to a simulation.
    #[cfg(test)]
    pub async fn jobs(&self) -> Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> {
        self.runtime.jobs().await
    }

    /// For a session without a handshake: fetches the server's limits with the first call.
    pub fn handshake_when_used(&self) {
        let client = self.client.clone();
        self.runtime.spawn(restarted_after_panics(move || {
            let client = client.clone();
            async move { client.handshake_when_used().await }
        }));
    }

    /// Returns the options in force.
    pub fn options(&self) -> Options {
        self.options.lock().clone()
    }

    /// Puts other credentials in force. Calls and activities continue.
    pub fn reconfigure(&self, json: &[u8]) -> Result<()> {
        let mut options = self.options.lock();
        let changed = options.reconfigured(json)?;
        if self.client.secure(&changed)? {
            let client = self.client.clone();
            self.runtime.spawn(async move { client.transport().replace_connections() });
        }
        *options = changed;
        Ok(())
    }

    /// Returns the client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Runs `work`, and blocks until it ends. It keeps the deadline itself.
    pub fn block_on<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        // A driving caller that is held up would hold up the beats of open activities.
        let may_drive = self.activities.registry.open() == 0;
        self.runtime.block_on(deadline, may_drive, work)
    }

    /// Begins `work`, which runs until it ends or the session is stopped.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Stops the I/O thread. Calls in progress end with `NotConnected`.
    pub fn stop(&self) {
        self.runtime.stop();
    }
}

/// Checks periodically for new credentials.
async fn renew(client: Arc<Client>) {
    loop {
        tokio::time::sleep(RENEWAL_INTERVAL).await;
        client.reload_credentials().await;
    }
}
