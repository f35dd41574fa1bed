//! The statuses of calls.

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// The outcome of a call. The numbers are part of the ABI: append only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Status {
            $($(#[$doc])* $variant,)*
        }

        impl Status {
            /// Every status, in the order of the numbers.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// Returns the status's name in C.
            pub const fn name(self) -> &'static std::ffi::CStr {
                match self {
                    $(Status::$variant => $name,)*
                }
            }
        }
    };
}

statuses! {
    /// Success. If the call sent a request, the server has acknowledged it.
    Ok = c"THB_OK",
    /// An argument is wrong; the message names it.
    InvalidArgument = c"THB_INVALID_ARGUMENT",
    /// An option, a variable or a file of the configuration is wrong.
    Config = c"THB_CONFIG",
    /// There is no client.
    NotConnected = c"THB_NOT_CONNECTED",
    /// There is already a client, or another thread is connecting.
    AlreadyConnected = c"THB_ALREADY_CONNECTED",
    /// The server or the network is unavailable.
    Unavailable = c"THB_UNAVAILABLE",
    /// The call timed out without an answer.
    Timeout = c"THB_TIMEOUT",
    /// No secure connection is possible.
    Tls = c"THB_TLS",
    /// The server rejected the credentials.
    Unauthenticated = c"THB_UNAUTHENTICATED",
    /// The credentials don't allow the call.
    PermissionDenied = c"THB_PERMISSION_DENIED",
    /// The server has no such namespace.
    NamespaceNotFound = c"THB_NAMESPACE_NOT_FOUND",
    /// Another cluster serves the namespace.
    NamespaceNotActive = c"THB_NAMESPACE_NOT_ACTIVE",
    /// The activity is over for this token: stop the work.
    NotFound = c"THB_NOT_FOUND",
    /// An ending call may have been applied, but its answer was lost.
    InDoubt = c"THB_IN_DOUBT",
    /// Over a size limit; nothing was sent.
    TooLarge = c"THB_TOO_LARGE",
    /// A limit of the server.
    ResourceExhausted = c"THB_RESOURCE_EXHAUSTED",
    /// A limit of this process or machine.
    LocalLimit = c"THB_LOCAL_LIMIT",
    /// Neither the server nor the library can parse the task token.
    TokenUnreadable = c"THB_TOKEN_UNREADABLE",
    /// The server can't do this in its current state.
    FailedPrecondition = c"THB_FAILED_PRECONDITION",
    /// The server, or this version of the library, doesn't support this.
    Unimplemented = c"THB_UNIMPLEMENTED",
    /// The server failed.
    ServerError = c"THB_SERVER_ERROR",
    /// The handle is closed or was never valid.
    InvalidHandle = c"THB_INVALID_HANDLE",
    /// The handle belongs to the process that this one was forked from.
    Forked = c"THB_FORKED",
    /// A handle holds this token.
    AlreadyOpen = c"THB_ALREADY_OPEN",
    /// This handle has ended the activity.
    Ended = c"THB_ENDED",
    /// The library isn't compatible with the caller's header.
    AbiMismatch = c"THB_ABI_MISMATCH",
    /// A bug in this library.
    Internal = c"THB_INTERNAL",
}

impl Status {
    /// Returns the number that crosses the ABI.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// Returns the status with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}
