/* The native library, opened at run time. The functions of temporal_heartbeat.h that are listed here are defined in library.c:
 * each passes its arguments on to the function of the same name in the opened library. */
#ifndef THB_GO_LIBRARY_H
#define THB_GO_LIBRARY_H

#include "temporal_heartbeat.h"

/* What this binding calls; a library that lacks one of them is not opened. */
#define THB_GO_FUNCTIONS(X)           \
    X(connect)                        \
    X(reconfigure)                    \
    X(disconnect)                     \
    X(heartbeat)                      \
    X(get_details)                    \
    X(complete)                       \
    X(fail)                           \
    X(report_cancelled)               \
    X(activity_open)                  \
    X(activity_heartbeat)             \
    X(activity_touch)                 \
    X(activity_get_signals)           \
    X(activity_get_details)           \
    X(activity_get_info)              \
    X(activity_flush)                 \
    X(activity_complete)              \
    X(activity_fail)                  \
    X(activity_report_cancelled)      \
    X(activity_close)                 \
    X(watch_open)                     \
    X(watch_add)                      \
    X(watch_next)                     \
    X(watch_open_fd)                  \
    X(watch_close)                    \
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
    X(get_metrics)                    \
    X(log_next)                       \
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

/* What a call that never blocks answers, by value: an output parameter would be a variable that Go keeps on its heap. */
typedef struct thb_go_answer {
    thb_status_t status;
    uint32_t signals;
    thb_error_t *error;
} thb_go_answer_t;

/* thb_activity_heartbeat; its details are of a type that can hold no Go pointers, which saves Go from looking for some. */
thb_go_answer_t thb_go_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const unsigned char *details,
                                          size_t details_len);

/* thb_activity_touch */
thb_go_answer_t thb_go_activity_touch(thb_activity_t activity);

/* thb_activity_get_signals */
thb_go_answer_t thb_go_activity_get_signals(thb_activity_t activity);

#endif
