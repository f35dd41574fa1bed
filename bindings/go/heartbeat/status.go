package heartbeat

import "fmt"

// Status says how a call ended, in [Error].Code. A status that this version doesn't know (a newer library's) is an error like
// any other.
type Status int32

// The statuses of the library, by their numbers. Each but StatusOK has an error of the same name for errors.Is: [ErrNotFound]
// for StatusNotFound.
const (
	// StatusOK is no error.
	StatusOK Status = iota
	// StatusInvalidArgument: an argument is wrong; the message says which.
	StatusInvalidArgument
	// StatusConfig: an option, an environment variable or a file that configures the client or the task token is wrong.
	StatusConfig
	// StatusNotConnected: no Connect has succeeded yet, or Disconnect ended it.
	StatusNotConnected
	// StatusAlreadyConnected: the process has its client already.
	StatusAlreadyConnected
	// StatusUnavailable: the server can't be reached, or isn't ready.
	StatusUnavailable
	// StatusTimeout: the time ran out without an answer.
	StatusTimeout
	// StatusTLS: the server was reached, but TLS failed.
	StatusTLS
	// StatusUnauthenticated: the server doesn't accept the credentials.
	StatusUnauthenticated
	// StatusPermissionDenied: the credentials don't allow the call.
	StatusPermissionDenied
	// StatusNamespaceNotFound: the namespace doesn't exist.
	StatusNamespaceNotFound
	// StatusNamespaceNotActive: the namespace is active in another cluster.
	StatusNamespaceNotActive
	// StatusNotFound: the activity is over for this task token: it finished, timed out, or runs as a later attempt; or its
	// workflow closed. Stop the work now.
	StatusNotFound
	// StatusInDoubt: a Complete, Fail or ReportCancelled that may have been applied, since the answer to an earlier try was lost.
	// Don't undo the work.
	StatusInDoubt
	// StatusTooLarge: the details, the result or the failure are larger than the server takes. Nothing was sent.
	StatusTooLarge
	// StatusResourceExhausted: the server's limits; slow down.
	StatusResourceExhausted
	// StatusLocalLimit: a limit of this process: threads, descriptors, calls in progress.
	StatusLocalLimit
	// StatusTokenUnreadable: the bytes are no task token.
	StatusTokenUnreadable
	// StatusFailedPrecondition: the server refuses the call in the state that things are in.
	StatusFailedPrecondition
	// StatusUnimplemented: the server, or this version of the library, doesn't have it.
	StatusUnimplemented
	// StatusServerError: the server failed.
	StatusServerError
	// StatusInvalidHandle: a handle that isn't open.
	StatusInvalidHandle
	// StatusForked: a handle of the parent process, used after a fork.
	StatusForked
	// StatusAlreadyOpen: the task token belongs to an activity held open.
	StatusAlreadyOpen
	// StatusEnded: the activity was ended through this process.
	StatusEnded
	// StatusABIMismatch: the native library is of another ABI version than this package.
	StatusABIMismatch
	// StatusInternal: a fault of the library's own.
	StatusInternal
)

var statusNames = [...]string{
	StatusOK:                 "THB_OK",
	StatusInvalidArgument:    "THB_INVALID_ARGUMENT",
	StatusConfig:             "THB_CONFIG",
	StatusNotConnected:       "THB_NOT_CONNECTED",
	StatusAlreadyConnected:   "THB_ALREADY_CONNECTED",
	StatusUnavailable:        "THB_UNAVAILABLE",
	StatusTimeout:            "THB_TIMEOUT",
	StatusTLS:                "THB_TLS",
	StatusUnauthenticated:    "THB_UNAUTHENTICATED",
	StatusPermissionDenied:   "THB_PERMISSION_DENIED",
	StatusNamespaceNotFound:  "THB_NAMESPACE_NOT_FOUND",
	StatusNamespaceNotActive: "THB_NAMESPACE_NOT_ACTIVE",
	StatusNotFound:           "THB_NOT_FOUND",
	StatusInDoubt:            "THB_IN_DOUBT",
	StatusTooLarge:           "THB_TOO_LARGE",
	StatusResourceExhausted:  "THB_RESOURCE_EXHAUSTED",
	StatusLocalLimit:         "THB_LOCAL_LIMIT",
	StatusTokenUnreadable:    "THB_TOKEN_UNREADABLE",
	StatusFailedPrecondition: "THB_FAILED_PRECONDITION",
	StatusUnimplemented:      "THB_UNIMPLEMENTED",
	StatusServerError:        "THB_SERVER_ERROR",
	StatusInvalidHandle:      "THB_INVALID_HANDLE",
	StatusForked:             "THB_FORKED",
	StatusAlreadyOpen:        "THB_ALREADY_OPEN",
	StatusEnded:              "THB_ENDED",
	StatusABIMismatch:        "THB_ABI_MISMATCH",
	StatusInternal:           "THB_INTERNAL",
}

// String gives the status's name in C, by which the library's manual lists it: "THB_NOT_FOUND".
func (s Status) String() string {
	if s >= 0 && int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("THB_UNKNOWN(%d)", int32(s))
}
