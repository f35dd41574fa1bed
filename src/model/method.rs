//! The calls of Temporal's API, as the build makes them from `proto/`.

use std::marker::PhantomData;

/// A call of the service, with the types of its request and response.
pub struct Method<Request, Response> {
    /// The call.
    pub call: Call,
    types: PhantomData<fn(Request) -> Response>,
}

/// How the names of calls begin that the server answers when there is something to tell, in a minute perhaps.
const LONG_POLL: &str = "Poll";

/// A call of the service, whatever its types.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number among all calls, by which it is counted.
    pub number: usize,
    /// Its name in the service.
    pub name: &'static str,
    /// Its HTTP path.
    pub path: &'static str,
}

impl<Request, Response> Method<Request, Response> {
    /// The call `name` at `path`.
    pub const fn new(number: usize, name: &'static str, path: &'static str) -> Self {
        Method { call: Call { number, name, path }, types: PhantomData }
    }
}

impl Call {
    /// Whether how long it takes says nothing of how fast the server is.
    pub fn is_long_poll(self) -> bool {
        self.name.starts_with(LONG_POLL)
    }
}
