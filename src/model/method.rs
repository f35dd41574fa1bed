//! The methods of Temporal's API, which the build generates from `proto/`.

use std::marker::PhantomData;

/// A method of the service, with its request and response types.
pub struct Method<Request, Response> {
    /// The method without its types.
    pub call: Call,
    types: PhantomData<fn(Request) -> Response>,
}

/// A method of the service, without its types.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its index among all methods, for the metrics.
    pub number: usize,
    /// Its name in the service.
    pub name: &'static str,
    /// Its HTTP path.
    pub path: &'static str,
    /// Whether the server answers it only when it has something to report, perhaps after a minute. So its duration shows
    /// nothing about the speed of the server.
    pub is_long_poll: bool,
}

impl<Request, Response> Method<Request, Response> {
    /// Creates the method `name` at `path`.
    pub const fn new(number: usize, name: &'static str, path: &'static str) -> Self {
        Method { call: Call { number, name, path, is_long_poll: false }, types: PhantomData }
    }
}

impl Call {
    /// Returns the same call as a long poll.
    pub fn long_poll(self) -> Self {
        Call { is_long_poll: true, ..self }
    }
}
