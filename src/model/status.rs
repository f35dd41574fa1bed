//! The statuses: what became of a call.

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What became of a call. The numbers are part of the ABI: append only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i32)]
        pub enum Status {
            $($(#[$doc])* $variant,)*
        }

        impl Status {
            /// Every status, in the order of the numbers.
            pub const ALL: &'static [Status] = &[$(Status::$variant,)*];

            /// The status's name in C.
            pub const fn name(self) -> &'static std::ffi::CStr {
                match self {
                    $(Status::$variant => $name,)*
                }
            }
        }
    };
}

statuses! {
    /// Done, and acknowledged by the server where one was asked.
    Ok = c"THB_OK",
    /// An argument is wrong; the message names it.
    InvalidArgument = c"THB_INVALID_ARGUMENT",
    /// An option, a variable or a file of the configuration is wrong.
    Config = c"THB_CONFIG",
    /// There is no client: connect first.
    NotConnected = c"THB_NOT_CONNECTED",
    /// There is a client already, or one is being connected.
    AlreadyConnected = c"THB_ALREADY_CONNECTED",
    /// Server or network can't be reached at the moment.
    Unavailable = c"THB_UNAVAILABLE",
    /// Time ran out without any answer.
    Timeout = c"THB_TIMEOUT",
    /// A secure connection can't be made.
    Tls = c"THB_TLS",
    /// The server doesn't accept the credentials.
    Unauthenticated = c"THB_UNAUTHENTICATED",
    /// The credentials don't allow this.
    PermissionDenied = c"THB_PERMISSION_DENIED",
    /// The server has no such namespace.
    NamespaceNotFound = c"THB_NAMESPACE_NOT_FOUND",
    /// Another cluster serves the namespace at the moment.
    NamespaceNotActive = c"THB_NAMESPACE_NOT_ACTIVE",
    /// The activity is over for this token: stop the work.
    NotFound = c"THB_NOT_FOUND",
    /// An ending call that may have been applied; its answer was lost.
    InDoubt = c"THB_IN_DOUBT",
    /// Above a limit of size; nothing was sent.
    TooLarge = c"THB_TOO_LARGE",
    /// A limit of the server.
    ResourceExhausted = c"THB_RESOURCE_EXHAUSTED",
    /// A limit of this process or machine.
    LocalLimit = c"THB_LOCAL_LIMIT",
    /// Neither the server nor we can read the task token.
    TokenUnreadable = c"THB_TOKEN_UNREADABLE",
    /// The server can't do this in the state that it is in.
    FailedPrecondition = c"THB_FAILED_PRECONDITION",
    /// The server, or this version of the library, can't do this.
    Unimplemented = c"THB_UNIMPLEMENTED",
    /// The server failed.
    ServerError = c"THB_SERVER_ERROR",
    /// The handle is closed or never was one.
    InvalidHandle = c"THB_INVALID_HANDLE",
    /// The handle belongs to the process that this one was forked from.
    Forked = c"THB_FORKED",
    /// A handle holds this token.
    AlreadyOpen = c"THB_ALREADY_OPEN",
    /// The activity was ended through this handle.
    Ended = c"THB_ENDED",
    /// The library isn't the one that the caller was compiled for.
    AbiMismatch = c"THB_ABI_MISMATCH",
    /// A mistake in this library.
    Internal = c"THB_INTERNAL",
}

impl Status {
    /// The number that crosses the ABI.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status with this number, if there is one.
    pub fn from_code(code: i32) -> Option<Status> {
        Self::ALL.get(usize::try_from(code).ok()?).copied()
    }
}
