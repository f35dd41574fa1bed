//! Sends one heartbeat for each of many Activities, all at the same time, from one thread:
//!
//! ```sh
//! beats TOKEN_FILE...
//! ```
//!
//! Each file has the bytes of a task token. The calls are futures, which work with any asynchronous runtime. This program
//! has none: `wait_for` polls one future until it is ready.

use std::{
    env, fs,
    future::{Future, IntoFuture},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use temporal_heartbeat::{
    api::rpc,
    model::{
        deadline::Timeout,
        error::{Error, Result},
        payload::{Encoding, Payloads},
    },
};

const TIMEOUT: Timeout = Timeout::Within(Duration::from_secs(10));

fn main() -> ExitCode {
    let files: Vec<String> = env::args().skip(1).collect();
    match wait_for(run(&files)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {}", error.status().name().to_string_lossy(), error.message());
            ExitCode::FAILURE
        }
    }
}

async fn run(files: &[String]) -> Result<()> {
    rpc::connect(b"{}")?.await?;
    let mut beats = Vec::new();
    for file in files {
        let token = fs::read(file).map_err(|error| Error::argument(format!("{file}: {error}")))?;
        let details = Payloads::from_caller("details", Encoding::Json, b"41")?;
        beats.push((file, rpc::heartbeat(&token, details, TIMEOUT)?.into_future())); // begins the call
    }
    for (file, beat) in beats {
        match beat.await {
            Ok(_signals) => println!("{file}: THB_OK"),
            Err(error) => println!("{file}: {}", error.status().name().to_string_lossy()),
        }
    }
    rpc::disconnect(TIMEOUT)?.await
}

/// Unparks the thread that polls.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return result;
        }
        thread::park();
    }
}
