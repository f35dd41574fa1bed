//go:build !temporal_heartbeat_static

/* These definitions are this package's own. Hidden, they can't be taken for the library's by anybody else in the process, least
 * of all by the library itself, which may be linked or loaded beside us. */
#pragma GCC visibility push(hidden)
#include "library.h"
#pragma GCC visibility pop

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* One pointer for each function, of the header's own type: the two can't drift apart. */
#define POINTER(name) __typeof__(thb_##name) *name;
struct functions {
    THB_GO_FUNCTIONS(POINTER)
};
static struct functions library;

/* ISO C has no conversion from an object pointer to a function pointer; POSIX promises that they look the same. */
static int find(void *handle, const char *symbol, void *function_out) {
    void *address = dlsym(handle, symbol);
    memcpy(function_out, &address, sizeof address);
    return address != NULL;
}

static thb_status_t check(void *handle, struct functions *found, char *why, size_t why_size) {
    const uint32_t ours = THB_ABI_VERSION;

    if (!find(handle, "thb_check_abi", &found->check_abi) || !find(handle, "thb_abi_version", &found->abi_version)) {
        snprintf(why, why_size, "it is not the temporal-heartbeat library: it has no thb_check_abi");
        return THB_CONFIG;
    }
    if (found->check_abi(ours) != THB_OK) {
        const uint32_t theirs = found->abi_version();
        snprintf(why, why_size, "it has ABI version %u.%u, this program was built for %u.%u", (unsigned)(theirs >> 16),
                 (unsigned)(theirs & 0xffff), (unsigned)(ours >> 16), (unsigned)(ours & 0xffff));
        return THB_ABI_MISMATCH;
    }
#define FIND(name)                                                             \
    if (!find(handle, "thb_" #name, &found->name)) {                           \
        snprintf(why, why_size, "it has no function %s", "thb_" #name);        \
        return THB_CONFIG;                                                     \
    }
    THB_GO_FUNCTIONS(FIND)
    return THB_OK;
}

thb_status_t thb_go_open(const char *path, char *why, size_t why_size) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        const char *reason = dlerror();
        snprintf(why, why_size, "%s", reason != NULL ? reason : "dlopen failed");
        return THB_CONFIG;
    }
    struct functions found;
    thb_status_t status = check(handle, &found, why, why_size);
    if (status != THB_OK) {
        dlclose(handle);
        return status;
    }
    library = found;
    return THB_OK;
}

thb_status_t thb_connect(const char *options_json, size_t options_len, thb_error_t **error_out) {
    return library.connect(options_json, options_len, error_out);
}

thb_status_t thb_reconfigure(const char *options_json, size_t options_len, thb_error_t **error_out) {
    return library.reconfigure(options_json, options_len, error_out);
}

thb_status_t thb_disconnect(uint32_t timeout_ms, thb_error_t **error_out) {
    return library.disconnect(timeout_ms, error_out);
}

thb_status_t thb_heartbeat(const void *token, size_t token_len, thb_encoding_t encoding, const void *details,
                           size_t details_len, uint32_t timeout_ms, uint32_t *signals_out, thb_error_t **error_out) {
    return library.heartbeat(token, token_len, encoding, details, details_len, timeout_ms, signals_out, error_out);
}

thb_status_t thb_get_details(const void *token, size_t token_len, uint32_t timeout_ms, thb_details_t **details_out,
                             thb_error_t **error_out) {
    return library.get_details(token, token_len, timeout_ms, details_out, error_out);
}

thb_status_t thb_complete(const void *token, size_t token_len, thb_encoding_t encoding, const void *result,
                          size_t result_len, uint32_t timeout_ms, thb_error_t **error_out) {
    return library.complete(token, token_len, encoding, result, result_len, timeout_ms, error_out);
}

thb_status_t thb_fail(const void *token, size_t token_len, const char *failure_json, size_t failure_len,
                      uint32_t timeout_ms, thb_error_t **error_out) {
    return library.fail(token, token_len, failure_json, failure_len, timeout_ms, error_out);
}

thb_status_t thb_report_cancelled(const void *token, size_t token_len, thb_encoding_t encoding, const void *details,
                                  size_t details_len, uint32_t timeout_ms, thb_error_t **error_out) {
    return library.report_cancelled(token, token_len, encoding, details, details_len, timeout_ms, error_out);
}

thb_status_t thb_activity_open(const void *token, size_t token_len, const char *options_json, size_t options_len,
                               thb_activity_t *activity_out, thb_error_t **error_out) {
    return library.activity_open(token, token_len, options_json, options_len, activity_out, error_out);
}

thb_status_t thb_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const void *details, size_t details_len,
                                    uint32_t *signals_out, thb_error_t **error_out) {
    return library.activity_heartbeat(activity, encoding, details, details_len, signals_out, error_out);
}

thb_status_t thb_activity_touch(thb_activity_t activity, uint32_t *signals_out, thb_error_t **error_out) {
    return library.activity_touch(activity, signals_out, error_out);
}

thb_status_t thb_activity_get_signals(thb_activity_t activity, uint32_t *signals_out, thb_error_t **error_out) {
    return library.activity_get_signals(activity, signals_out, error_out);
}

thb_status_t thb_activity_get_details(thb_activity_t activity, uint32_t timeout_ms, thb_details_t **details_out,
                                      thb_error_t **error_out) {
    return library.activity_get_details(activity, timeout_ms, details_out, error_out);
}

thb_status_t thb_activity_get_info(thb_activity_t activity, thb_text_t **info_out, thb_error_t **error_out) {
    return library.activity_get_info(activity, info_out, error_out);
}

thb_status_t thb_activity_flush(thb_activity_t activity, uint32_t timeout_ms, thb_error_t **error_out) {
    return library.activity_flush(activity, timeout_ms, error_out);
}

thb_status_t thb_activity_complete(thb_activity_t activity, thb_encoding_t encoding, const void *result, size_t result_len,
                                   uint32_t timeout_ms, thb_error_t **error_out) {
    return library.activity_complete(activity, encoding, result, result_len, timeout_ms, error_out);
}

thb_status_t thb_activity_fail(thb_activity_t activity, const char *failure_json, size_t failure_len, uint32_t timeout_ms,
                               thb_error_t **error_out) {
    return library.activity_fail(activity, failure_json, failure_len, timeout_ms, error_out);
}

thb_status_t thb_activity_report_cancelled(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                           size_t details_len, uint32_t timeout_ms, thb_error_t **error_out) {
    return library.activity_report_cancelled(activity, encoding, details, details_len, timeout_ms, error_out);
}

thb_status_t thb_activity_close(thb_activity_t activity, uint32_t timeout_ms, thb_error_t **error_out) {
    return library.activity_close(activity, timeout_ms, error_out);
}

thb_status_t thb_watch_open(thb_watch_t *watch_out, thb_error_t **error_out) {
    return library.watch_open(watch_out, error_out);
}

thb_status_t thb_watch_add(thb_watch_t watch, thb_activity_t activity, uint32_t mask, uint64_t user_data,
                           thb_error_t **error_out) {
    return library.watch_add(watch, activity, mask, user_data, error_out);
}

thb_status_t thb_watch_next(thb_watch_t watch, uint32_t timeout_ms, thb_activity_t *activity_out, uint64_t *user_data_out,
                            uint32_t *signals_out, thb_error_t **error_out) {
    return library.watch_next(watch, timeout_ms, activity_out, user_data_out, signals_out, error_out);
}

thb_status_t thb_watch_open_fd(thb_watch_t watch, int32_t *fd_out, thb_error_t **error_out) {
    return library.watch_open_fd(watch, fd_out, error_out);
}

thb_status_t thb_watch_close(thb_watch_t watch, thb_error_t **error_out) {
    return library.watch_close(watch, error_out);
}

const void *thb_details_payloads(const thb_details_t *details, size_t *len_out) {
    return library.details_payloads(details, len_out);
}

int32_t thb_details_attempt(const thb_details_t *details) {
    return library.details_attempt(details);
}

int64_t thb_details_recorded_at_unix_ms(const thb_details_t *details) {
    return library.details_recorded_at_unix_ms(details);
}

int64_t thb_details_heartbeat_timeout_ms(const thb_details_t *details) {
    return library.details_heartbeat_timeout_ms(details);
}

void thb_details_free(thb_details_t *details) {
    library.details_free(details);
}

int32_t thb_error_grpc_code(const thb_error_t *error) {
    return library.error_grpc_code(error);
}

const char *thb_error_message(const thb_error_t *error) {
    return library.error_message(error);
}

int32_t thb_error_is_retryable(const thb_error_t *error) {
    return library.error_is_retryable(error);
}

int64_t thb_error_retry_after_ms(const thb_error_t *error) {
    return library.error_retry_after_ms(error);
}

void thb_error_free(thb_error_t *error) {
    library.error_free(error);
}

thb_status_t thb_get_metrics(thb_text_t **metrics_out, thb_error_t **error_out) {
    return library.get_metrics(metrics_out, error_out);
}

thb_status_t thb_log_next(uint32_t timeout_ms, thb_text_t **record_out, thb_error_t **error_out) {
    return library.log_next(timeout_ms, record_out, error_out);
}

const char *thb_status_name(thb_status_t status) {
    return library.status_name(status);
}

const char *thb_text_data(const thb_text_t *text, size_t *len_out) {
    return library.text_data(text, len_out);
}

void thb_text_free(thb_text_t *text) {
    library.text_free(text);
}

thb_status_t thb_token_from_env(thb_text_t **token_out, thb_error_t **error_out) {
    return library.token_from_env(token_out, error_out);
}

const char *thb_version(void) {
    return library.version();
}

uint32_t thb_abi_version(void) {
    return library.abi_version();
}

thb_status_t thb_check_abi(uint32_t abi) {
    return library.check_abi(abi);
}
