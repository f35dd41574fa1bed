//! A session: the client from connect to disconnect, with its options and its I/O thread.

use std::{future::Future, sync::Arc, time::Duration};

use crate::{
    activity::{Activities, scheduler},
    client::{Client, Effort, Ending},
    config::Options,
    model::{attempt::Target, deadline::Deadline, error::Result},
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
    let telemetry = telemetry.clone();
    runtime.spawn(listener.serve(move || telemetry.exposition(activities.registry.open())));
}

/// The client from connect to disconnect.
pub struct Session {
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
        telemetry: &Arc<Telemetry>,
    ) -> Result<Self> {
        let runtime = Runtime::new();
        let (rules, in_doubt) = (activities.rules.clone(), activities.in_doubt.clone());
        let client = Client::new(&options, rules, in_doubt, runtime.io_thread(), telemetry.clone())?;
        let client = Arc::new(client);
        let listener =
            options.metrics_address.map(|address| Listener::bind("metrics_address", address)).transpose()?;
        runtime.start()?;
        runtime.spawn(scheduler::run(activities, client.clone(), activities.connected()));
        if let Some(listener) = listener {
            serve(&runtime, listener, activities, telemetry);
        }
        let renewed = client.clone();
        runtime.spawn(restarted_after_panics(move || renew(renewed.clone())));
        Ok(Session { runtime, activities, options: Mutex::new(options), client })
    }

    /// For a session without a handshake: fetches the server's limits with the first call.
    pub fn handshake_when_used(&self) {
        let client = self.client.clone();
        self.runtime.spawn(restarted_after_panics(move || {
            let client = client.clone();
            async move { client.handshake_when_used().await }
        }));
    }

    /// Checks that the server answers, within the connect timeout.
    pub fn handshake(&self) -> Result<()> {
        let deadline = Deadline::within(self.options().connect_timeout);
        self.call(deadline, |client| async move { Ok(client.handshake(Effort::Until(deadline)).await?) })
    }

    /// Returns the options in force.
    pub fn options(&self) -> Options {
        self.options.lock().clone()
    }

    /// Puts other credentials in force. Calls and activities continue.
    pub fn reconfigure(&self, json: &[u8]) -> Result<()> {
        let mut options = self.options.lock();
        let changed = options.reconfigured(json)?;
        if self.client.transport().secure(&changed)? {
            let client = self.client.clone();
            self.runtime.spawn(async move { client.transport().replace_connection() });
        }
        *options = changed;
        Ok(())
    }

    /// Returns the client, for uses without network.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Makes one call and blocks until it ends. The call keeps the deadline itself.
    pub fn call<T, Work>(&self, deadline: Deadline, work: impl FnOnce(Arc<Client>) -> Work) -> Result<T>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T>> + Send + 'static,
    {
        // A driving caller that is held up would hold up the beats of open activities.
        let may_drive = self.activities.registry.open() == 0;
        self.runtime.block_on(deadline, may_drive, work(self.client.clone()))
    }

    /// Ends an activity as [`Client::end`] does. Without an outcome in time, for example because this process was
    /// stopped, the end is in doubt.
    pub fn end(&self, target: Target, ending: Ending, verify: bool, deadline: Deadline) -> Result<()> {
        let sent = target.clone();
        let outcome = self
            .call(deadline, |client| async move { Ok(client.end(&target, &ending, verify, deadline).await) });
        outcome.unwrap_or_else(|without| {
            self.client.note_doubt(&sent);
            Err(without)
        })
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
        client.transport().reload_credentials().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::model::status::Status;

    #[test]
    fn ending_without_an_outcome_in_time_is_in_doubt() {
        // No server listens there.
        let options = Options::read(br#"{"address":"127.0.0.1:1"}"#).unwrap();
        let activities: &'static Activities = Box::leak(Box::new(Activities::new(0, Arc::default())));
        let session = Session::start(options, activities, &activities.telemetry).unwrap();
        let (thaw, thawed) = mpsc::channel::<()>();
        // Like a stopped process, of which the caller is the first to continue.
        session.runtime.spawn(async move { thawed.recv().unwrap() });
        let (target, soon) = (Target::Token("token".into()), Deadline::within(Duration::from_millis(20)));
        let outcome = session.end(target, Ending::Complete(None), false, soon);
        assert_eq!(outcome.unwrap_err().status(), Status::Timeout);
        assert!(activities.in_doubt.has(b"127.0.0.1:1token"));
        thaw.send(()).unwrap();
    }
}
