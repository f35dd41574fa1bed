/* The native library, opened at run time. The functions of temporal_heartbeat.h that are listed here are defined in library.c:
 * each passes its arguments on to the function of the same name in the opened library. */
#ifndef THB_GO_LIBRARY_H
#define THB_GO_LIBRARY_H

#include "temporal_heartbeat.h"

/* What this binding calls; a library that lacks one of them is not opened. */
#define THB_GO_FUNCTIONS(X)           \
    X(connect)                        \
    X(disconnect)                     \
    X(heartbeat)                      \
    X(get_details)                    \
    X(complete)                       \
    X(fail)                           \
    X(report_cancelled)               \
    X(details_payloads)               \
    X(details_attempt)                \
    X(details_recorded_at_unix_ms)    \
    X(details_heartbeat_timeout_ms)   \
    X(details_free)                   \
    X(error_grpc_code)                \
    X(error_message)                  \
    X(error_is_retryable)             \
    X(error_retry_after_ms)           \
    X(error_free)                     \
    X(status_name)                    \
    X(text_data)                      \
    X(text_free)                      \
    X(token_from_env)                 \
    X(version)                        \
    X(abi_version)                    \
    X(check_abi)

/* Opens the library at path, as dlopen understands it. THB_OK: the functions above may be called from now on.
 * Otherwise writes why not, NUL-terminated, and leaves everything as it was; THB_ABI_MISMATCH when it is of another ABI,
 * THB_CONFIG for anything else. Not thread-safe: the caller holds a lock. */
thb_status_t thb_go_open(const char *path, char *why, size_t why_size);

#endif
