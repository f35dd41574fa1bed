/* The C side of package abi: opens the native library at run time, and adapts some of its functions to cgo. */
#ifndef THB_GO_LIBRARY_H
#define THB_GO_LIBRARY_H

#include "temporal_heartbeat.h"

#ifndef THB_GO_STATIC
#include "functions.h"

/* library.c defines the functions of temporal_heartbeat.h under other symbols, because the program may also contain the library. The
 * symbols are hidden, so no other object of the process binds to them. */
#define THB_GO_RENAME(result, name, parameters, arguments) \
    extern result name parameters __asm__("go_" #name) __attribute__((visibility("hidden")));
THB_GO_FUNCTIONS(THB_GO_RENAME)
#endif

/* Whether the library is part of the program. */
int thb_go_is_linked(void);

/* Opens the library that is part of the program. Otherwise like thb_go_open. */
thb_status_t thb_go_open_linked(char *message, size_t message_size);

/* Opens the library at path, as dlopen understands it. After THB_OK all functions of temporal_heartbeat.h may be called.
 * On failure writes the reason to message, NUL-terminated, and changes nothing else: THB_ABI_MISMATCH if the library has another
 * ABI version, otherwise THB_CONFIG. Not thread-safe: the caller holds a lock. */
thb_status_t thb_go_open(const char *path, char *message, size_t message_size);

/* The outputs of a call that never blocks, returned by value: Go would allocate an output parameter on its heap. */
typedef struct thb_go_result {
    thb_status_t status;
    uint32_t signals;
    thb_error_t *error;
} thb_go_result_t;

/* The type of details can't hold Go pointers, so cgo doesn't scan the bytes for any. */
static inline thb_go_result_t thb_go_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding,
                                                        const unsigned char *details, size_t details_len) {
    thb_go_result_t result = {0};
    result.status = thb_activity_heartbeat(activity, encoding, details, details_len, &result.signals, &result.error);
    return result;
}

static inline thb_go_result_t thb_go_activity_touch(thb_activity_t activity) {
    thb_go_result_t result = {0};
    result.status = thb_activity_touch(activity, &result.signals, &result.error);
    return result;
}

static inline thb_go_result_t thb_go_activity_get_signals(thb_activity_t activity) {
    thb_go_result_t result = {0};
    result.status = thb_activity_get_signals(activity, &result.signals, &result.error);
    return result;
}

/* The calls that wait for the server. */
enum thb_go_call {
    THB_GO_CONNECT,
    THB_GO_HEARTBEAT,
    THB_GO_GET_DETAILS,
    THB_GO_COMPLETE,
    THB_GO_FAIL,
    THB_GO_REPORT_CANCELLED,
    THB_GO_ACTIVITY_GET_DETAILS,
    THB_GO_ACTIVITY_FLUSH,
    THB_GO_ACTIVITY_COMPLETE,
    THB_GO_ACTIVITY_FAIL,
    THB_GO_ACTIVITY_REPORT_CANCELLED,
    THB_GO_ACTIVITY_CLOSE,
};

/* Calls thb_queue_submit_X. The call decides which of the arguments it reads. */
thb_go_result_t thb_go_queue_submit(thb_queue_t queue, uint64_t user_data, int call, thb_activity_t activity,
                                    const unsigned char *token, size_t token_len, thb_encoding_t encoding,
                                    const unsigned char *data, size_t data_len, uint32_t timeout_ms);

/* Completions with the columns that one call of thb_go_queue_next reads. */
typedef struct thb_go_batch {
    thb_status_t status;
    int has_details; /* whether any completion has details */
    thb_error_t *error;
    thb_completions_t *completions;
    size_t count;
    const uint64_t *user_data;
    const thb_status_t *statuses;
    const uint32_t *signals;
} thb_go_batch_t;

/* Takes all completions that are ready. Waits for the first. */
thb_go_batch_t thb_go_queue_next(thb_queue_t queue);

#endif
