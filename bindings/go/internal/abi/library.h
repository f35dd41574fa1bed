/* The C side of package abi: opens the native library at run time, and adapts some of its functions to cgo. */
#ifndef THB_GO_LIBRARY_H
#define THB_GO_LIBRARY_H

#include "temporal_heartbeat.h"

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

#endif
