#ifndef TEMPORAL_HEARTBEAT_H
#define TEMPORAL_HEARTBEAT_H 
#include <stddef.h>
#include <stdint.h>
#define THB_FOREVER UINT32_MAX
#define THB_ABI_VERSION 1
typedef enum thb_status {
    THB_OK = 0,
    THB_INVALID_ARGUMENT = 1,
    THB_CONFIG = 2,
    THB_NOT_CONNECTED = 3,
    THB_ALREADY_CONNECTED = 4,
    THB_UNAVAILABLE = 5,
    THB_TIMEOUT = 6,
    THB_TLS = 7,
    THB_UNAUTHENTICATED = 8,
    THB_PERMISSION_DENIED = 9,
    THB_NAMESPACE_NOT_FOUND = 10,
    THB_NAMESPACE_NOT_ACTIVE = 11,
    THB_NOT_FOUND = 12,
    THB_IN_DOUBT = 13,
    THB_TOO_LARGE = 14,
    THB_RESOURCE_EXHAUSTED = 15,
    THB_LOCAL_LIMIT = 16,
    THB_TOKEN_UNREADABLE = 17,
    THB_FAILED_PRECONDITION = 18,
    THB_UNIMPLEMENTED = 19,
    THB_SERVER_ERROR = 20,
    THB_INVALID_HANDLE = 21,
    THB_FORKED = 22,
    THB_ALREADY_OPEN = 23,
    THB_ENDED = 24,
    THB_ABI_MISMATCH = 25,
    THB_INTERNAL = 26,
} thb_status;
typedef enum thb_encoding {
    THB_ENCODING_NONE = 0,
    THB_ENCODING_JSON = 1,
    THB_ENCODING_BINARY = 2,
    THB_ENCODING_NULL = 3,
    THB_ENCODING_PAYLOADS = 4,
} thb_encoding;
typedef enum thb_signal {
    THB_SIGNAL_CANCEL_REQUESTED = 1,
    THB_SIGNAL_PAUSED = 2,
    THB_SIGNAL_RESET = 4,
    THB_SIGNAL_GONE = 8,
    THB_SIGNAL_LEASE_LOST = 16,
    THB_SIGNAL_STALLED = 32,
    THB_SIGNAL_REFUSED = 64,
    THB_SIGNAL_DEADLINE = 128,
    THB_SIGNAL_UNSEEDED = 256,
} thb_signal;
typedef struct thb_details_t thb_details_t;
typedef struct thb_error_t thb_error_t;
typedef struct thb_text_t thb_text_t;
typedef int32_t thb_status_t;
typedef int32_t thb_encoding_t;
typedef uint64_t thb_activity_t;
typedef uint64_t thb_watch_t;
#ifdef __cplusplus
extern "C" {
#endif
thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_heartbeat(const void *token,
                           size_t token_len,
                           thb_encoding_t encoding,
                           const void *details,
                           size_t details_len,
                           uint32_t timeout_ms,
                           uint32_t *signals_out,
                           struct thb_error_t **error_out);
thb_status_t thb_get_details(const void *token,
                             size_t token_len,
                             uint32_t timeout_ms,
                             struct thb_details_t **details_out,
                             struct thb_error_t **error_out);
thb_status_t thb_complete(const void *token,
                          size_t token_len,
                          thb_encoding_t encoding,
                          const void *result,
                          size_t result_len,
                          uint32_t timeout_ms,
                          struct thb_error_t **error_out);
thb_status_t thb_fail(const void *token,
                      size_t token_len,
                      const char *failure_json,
                      size_t failure_len,
                      uint32_t timeout_ms,
                      struct thb_error_t **error_out);
thb_status_t thb_report_cancelled(const void *token,
                                  size_t token_len,
                                  thb_encoding_t encoding,
                                  const void *details,
                                  size_t details_len,
                                  uint32_t timeout_ms,
                                  struct thb_error_t **error_out);
thb_status_t thb_activity_open(const void *token,
                               size_t token_len,
                               const char *options_json,
                               size_t options_len,
                               thb_activity_t *activity_out,
                               struct thb_error_t **error_out);
thb_status_t thb_activity_heartbeat(thb_activity_t activity,
                                    thb_encoding_t encoding,
                                    const void *details,
                                    size_t details_len,
                                    uint32_t *signals_out,
                                    struct thb_error_t **error_out);
thb_status_t thb_activity_touch(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_get_signals(thb_activity_t activity, uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_wait(thb_activity_t activity,
                               uint32_t mask,
                               uint32_t known_signals,
                               uint32_t timeout_ms,
                               uint32_t *signals_out,
                               struct thb_error_t **error_out);
thb_status_t thb_activity_get_details(thb_activity_t activity,
                                      uint32_t timeout_ms,
                                      struct thb_details_t **details_out,
                                      struct thb_error_t **error_out);
thb_status_t thb_activity_get_info(thb_activity_t activity,
                                   struct thb_text_t **info_out,
                                   struct thb_error_t **error_out);
thb_status_t thb_activity_flush(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_activity_complete(thb_activity_t activity,
                                   thb_encoding_t encoding,
                                   const void *result,
                                   size_t result_len,
                                   uint32_t timeout_ms,
                                   struct thb_error_t **error_out);
thb_status_t thb_activity_fail(thb_activity_t activity,
                               const char *failure_json,
                               size_t failure_len,
                               uint32_t timeout_ms,
                               struct thb_error_t **error_out);
thb_status_t thb_activity_report_cancelled(thb_activity_t activity,
                                           thb_encoding_t encoding,
                                           const void *details,
                                           size_t details_len,
                                           uint32_t timeout_ms,
                                           struct thb_error_t **error_out);
thb_status_t thb_activity_close(thb_activity_t activity, uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_watch_open(thb_watch_t *watch_out, struct thb_error_t **error_out);
thb_status_t thb_watch_add(thb_watch_t watch,
                           thb_activity_t activity,
                           uint32_t mask,
                           uint64_t user_data,
                           struct thb_error_t **error_out);
thb_status_t thb_watch_next(thb_watch_t watch,
                            uint32_t timeout_ms,
                            thb_activity_t *activity_out,
                            uint64_t *user_data_out,
                            uint32_t *signals_out,
                            struct thb_error_t **error_out);
thb_status_t thb_watch_open_fd(thb_watch_t watch, int32_t *fd_out, struct thb_error_t **error_out);
thb_status_t thb_watch_close(thb_watch_t watch, struct thb_error_t **error_out);
thb_status_t thb_details_new(struct thb_details_t **details_out, struct thb_error_t **error_out);
thb_status_t thb_details_add(struct thb_details_t *details,
                             thb_encoding_t encoding,
                             const void *data,
                             size_t data_len,
                             struct thb_error_t **error_out);
size_t thb_details_count(const struct thb_details_t *details);
const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);
const char *thb_details_encoding(const struct thb_details_t *details, size_t index);
const void *thb_details_payloads(const struct thb_details_t *details, size_t *len_out);
int32_t thb_details_attempt(const struct thb_details_t *details);
int64_t thb_details_recorded_at_unix_ms(const struct thb_details_t *details);
int64_t thb_details_heartbeat_timeout_ms(const struct thb_details_t *details);
void thb_details_free(struct thb_details_t *details);
thb_status_t thb_error_code(const struct thb_error_t *error);
int32_t thb_error_grpc_code(const struct thb_error_t *error);
const char *thb_error_message(const struct thb_error_t *error);
int32_t thb_error_is_retryable(const struct thb_error_t *error);
int64_t thb_error_retry_after_ms(const struct thb_error_t *error);
void thb_error_free(struct thb_error_t *error);
thb_status_t thb_get_metrics(struct thb_text_t **metrics_out, struct thb_error_t **error_out);
thb_status_t thb_log_next(uint32_t timeout_ms, struct thb_text_t **record_out, struct thb_error_t **error_out);
const char *thb_version(void);
uint32_t thb_abi_version(void);
thb_status_t thb_check_abi(uint32_t abi);
const char *thb_status_name(thb_status_t status);
thb_status_t thb_token_from_env(struct thb_text_t **token_out, struct thb_error_t **error_out);
const char *thb_text_data(const struct thb_text_t *text, size_t *len_out);
void thb_text_free(struct thb_text_t *text);
#ifdef __cplusplus
}
#endif
#endif
