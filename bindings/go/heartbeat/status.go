package heartbeat

import "fmt"

// Status is the result of a call: the field Code of [Error]. A newer library may return statuses that have no name here.
type Status int32

// The statuses of the library. Each but StatusOK has an error of the same name for errors.Is: [ErrNotFound] for StatusNotFound.
const (
	// StatusOK: success.
	StatusOK Status = iota
	// StatusInvalidArgument: an argument is wrong. The message names it.
	StatusInvalidArgument
	// StatusConfig: an option, an environment variable or a file that configures the client or the task token is wrong.
	StatusConfig
	// StatusNotConnected: there is no client: call Connect.
	StatusNotConnected
	// StatusAlreadyConnected: the process has a client already.
	StatusAlreadyConnected
	// StatusUnavailable: the server can't be reached, or isn't ready.
	StatusUnavailable
	// StatusTimeout: the call timed out without an answer.
	StatusTimeout
	// StatusTLS: the TLS handshake failed.
	StatusTLS
	// StatusUnauthenticated: the server doesn't accept the credentials.
	StatusUnauthenticated
	// StatusPermissionDenied: the credentials don't allow the call.
	StatusPermissionDenied
	// StatusNamespaceNotFound: the namespace doesn't exist.
	StatusNamespaceNotFound
	// StatusNamespaceNotActive: the namespace is active in another cluster.
	StatusNamespaceNotActive
	// StatusNotFound: the activity is over for this task token. It finished, timed out, or runs as a later attempt, or its
	// workflow closed. Stop the work now.
	StatusNotFound
	// StatusInDoubt: a Complete, Fail or ReportCancelled that may have taken effect, since the answer to an earlier try was lost.
	// Don't undo the work.
	StatusInDoubt
	// StatusTooLarge: the details, the result or the failure are larger than the server accepts. Nothing was sent.
	StatusTooLarge
	// StatusResourceExhausted: a rate limit of the server. Call less often.
	StatusResourceExhausted
	// StatusLocalLimit: a limit of this process: threads, descriptors, calls in progress.
	StatusLocalLimit
	// StatusTokenUnreadable: the bytes aren't a task token.
	StatusTokenUnreadable
	// StatusFailedPrecondition: the call isn't possible in the current state.
	StatusFailedPrecondition
	// StatusUnimplemented: the server or this version of the library doesn't implement it.
	StatusUnimplemented
	// StatusServerError: an internal error of the server.
	StatusServerError
	// StatusInvalidHandle: the activity isn't open.
	StatusInvalidHandle
	// StatusForked: the activity was opened in the parent process, before a fork. Let the parent record.
	StatusForked
	// StatusAlreadyOpen: an activity with this task token is open.
	StatusAlreadyOpen
	// StatusEnded: this process ended the activity.
	StatusEnded
	// StatusABIMismatch: the native library has another ABI version than this package.
	StatusABIMismatch
	// StatusInternal: a bug of the library.
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

// String returns the name of the status in the C header: "THB_NOT_FOUND".
func (s Status) String() string {
	if s >= 0 && int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("THB_UNKNOWN(%d)", int32(s))
}
