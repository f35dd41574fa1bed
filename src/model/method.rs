//! The methods of Temporal's API, which the build generates from `proto/`.

use std::marker::PhantomData;

/// A method of the service, with its request and response types.
pub struct Method<Request, Response> {
    /// The method without its types.
    pub call: Call,
    types: PhantomData<fn(Request) -> Response>,
}

/// The prefix of long polls: the server answers them only when it has something to report, perhaps after a minute.
const LONG_POLL: &str = "Poll";

/// A method of the service, without its types.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its index among all methods, for the metrics.
    pub number: usize,
    /// Its name in the service.
    pub name: &'static str,
    /// Its HTTP path.
    pub path: &'static str,
}

impl<Request, Response> Method<Request, Response> {
    /// Creates the method `name` at `path`.
    pub const fn new(number: usize, name: &'static str, path: &'static str) -> Self {
        Method { call: Call { number, name, path }, types: PhantomData }
    }
}

impl Call {
    /// Returns whether this is a long poll, so that its duration shows nothing about the speed of the server.
    pub fn is_long_poll(self) -> bool {
        self.name.starts_with(LONG_POLL)
    }
}
