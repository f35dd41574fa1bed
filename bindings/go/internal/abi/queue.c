#include "library.h"

#define SUBMIT(call, ...) thb_queue_submit_##call(queue, user_data, __VA_ARGS__, error_out)

static thb_status_t submit(thb_queue_t queue, uint64_t user_data, int call, thb_activity_t activity, const void *token,
                           size_t token_len, thb_encoding_t encoding, const void *data, size_t data_len, uint32_t timeout_ms,
                           thb_error_t **error_out) {
    switch (call) {
    case THB_GO_CONNECT:
        return SUBMIT(connect, data, data_len);
    case THB_GO_HEARTBEAT:
        return SUBMIT(heartbeat, token, token_len, encoding, data, data_len, timeout_ms);
    case THB_GO_GET_DETAILS:
        return SUBMIT(get_details, token, token_len, timeout_ms);
    case THB_GO_COMPLETE:
        return SUBMIT(complete, token, token_len, encoding, data, data_len, timeout_ms);
    case THB_GO_FAIL:
        return SUBMIT(fail, token, token_len, data, data_len, timeout_ms);
    case THB_GO_REPORT_CANCELLED:
        return SUBMIT(report_cancelled, token, token_len, encoding, data, data_len, timeout_ms);
    case THB_GO_ACTIVITY_GET_DETAILS:
        return SUBMIT(activity_get_details, activity, timeout_ms);
    case THB_GO_ACTIVITY_FLUSH:
        return SUBMIT(activity_flush, activity, timeout_ms);
    case THB_GO_ACTIVITY_COMPLETE:
        return SUBMIT(activity_complete, activity, encoding, data, data_len, timeout_ms);
    case THB_GO_ACTIVITY_FAIL:
        return SUBMIT(activity_fail, activity, data, data_len, timeout_ms);
    case THB_GO_ACTIVITY_REPORT_CANCELLED:
        return SUBMIT(activity_report_cancelled, activity, encoding, data, data_len, timeout_ms);
    case THB_GO_ACTIVITY_CLOSE:
        return SUBMIT(activity_close, activity, timeout_ms);
    }
    return THB_INTERNAL;
}

thb_go_result_t thb_go_queue_submit(thb_queue_t queue, uint64_t user_data, int call, thb_activity_t activity,
                                    const unsigned char *token, size_t token_len, thb_encoding_t encoding,
                                    const unsigned char *data, size_t data_len, uint32_t timeout_ms) {
    thb_go_result_t result = {0};
    result.status = submit(queue, user_data, call, activity, token, token_len, encoding, data, data_len, timeout_ms, &result.error);
    return result;
}

thb_go_batch_t thb_go_queue_next(thb_queue_t queue) {
    thb_go_batch_t batch = {0};
    batch.status = thb_queue_next(queue, SIZE_MAX, THB_FOREVER, &batch.completions, &batch.error);
    batch.count = thb_completions_count(batch.completions);
    batch.user_data = thb_completions_user_data(batch.completions);
    batch.statuses = thb_completions_statuses(batch.completions);
    batch.signals = thb_completions_signals(batch.completions);
    for (size_t i = 0; i < batch.count && !batch.has_details; i++) {
        batch.has_details = thb_completions_details(batch.completions, i) != NULL;
    }
    return batch;
}
