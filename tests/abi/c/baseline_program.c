/* A program that was compiled against the header of the last release. It calls each function and checks that the
 * result is unchanged. The server acknowledges everything. */
#include <unistd.h>

#include "check.h"

#define NO_SEED "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51

static void numbers(void) {
    CHECK(thb_check_abi(THB_ABI_VERSION) == 0);
    CHECK(thb_abi_version() >> 16 == THB_ABI_VERSION >> 16 && *thb_version() != '\0');
    CHECK(THB_FOREVER == 0xFFFFFFFF && THB_OK == 0 && THB_TIMEOUT == 6 && THB_NOT_FOUND == 12 && THB_INTERNAL == 26);
    CHECK(strcmp(thb_status_name(THB_IN_DOUBT), "THB_IN_DOUBT") == 0);
    CHECK(THB_ENCODING_NONE == 0 && THB_ENCODING_JSON == 1 && THB_ENCODING_PAYLOADS == 4);
    CHECK(THB_SIGNAL_CANCEL_REQUESTED == 1 && THB_SIGNAL_UNSEEDED == 256);
}

static void details(void) {
    thb_details_t *made;
    SUCCEEDS(thb_details_new(&made, err));
    SUCCEEDS(thb_details_add(made, THB_ENCODING_JSON, "[1]", 3, err));
    size_t len;
    CHECK(thb_details_count(made) == 1 && memcmp(thb_details_data(made, 0, &len), "[1]", 3) == 0 && len == 3);
    CHECK(strcmp(thb_details_encoding(made, 0), "json/plain") == 0 && thb_details_payloads(made, &len) != NULL && len > 3);
    CHECK(thb_details_attempt(made) == 0 && thb_details_recorded_at_unix_ms(made) == 0);
    CHECK(thb_details_heartbeat_timeout_ms(made) == -1);
    thb_details_free(made);
}

static void calls(void) {
    uint32_t signals = POISON;
    thb_details_t *held;
    thb_text_t *token;
    size_t len;
    SUCCEEDS(thb_token_from_env(&token, err));
    CHECK(memcmp(thb_text_data(token, &len), "token", 6) == 0 && len == 5);
    thb_text_free(token);
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 30000, &signals, err));
    CHECK(signals == 0);
    FAILS_BECAUSE(THB_NOT_FOUND, thb_get_details(TOKEN, TOKEN_LEN, 30000, &held, err));
    CHECK(thb_error_code(error) == THB_NOT_FOUND && *thb_error_message(error) && thb_error_grpc_code(error) == -1);
    CHECK(!thb_error_is_retryable(error) && thb_error_retry_after_ms(error) == -1);
    thb_error_free(error);
    SUCCEEDS(thb_complete(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 30000, err));
    SUCCEEDS(thb_fail(TOKEN, TOKEN_LEN, NULL, 0, 30000, err));
    SUCCEEDS(thb_report_cancelled(TOKEN, TOKEN_LEN, THB_ENCODING_NULL, NULL, 0, 30000, err));
}

static void activities(void) {
    const char *const ends[] = {"complete", "fail", "report_cancelled"};
    for (int end = 0; end < 3; end++) {
        thb_activity_t activity, news = 0;
        thb_watch_t watch;
        thb_details_t *opening;
        thb_text_t *info;
        uint32_t signals = POISON;
        uint64_t user_data = 0;
        int32_t fd = -1;
        SUCCEEDS(thb_activity_open(ends[end], strlen(ends[end]), NO_SEED, &activity, err));
        SUCCEEDS(thb_watch_open(&watch, err));
        SUCCEEDS(thb_watch_add(watch, activity, UINT32_MAX, 7, err));
        SUCCEEDS(thb_watch_next(watch, 0, &news, &user_data, &signals, err));
        SUCCEEDS(thb_watch_open_fd(watch, &fd, err));
        CHECK(news == 0 && fd >= 0 && close(fd) == 0);
        SUCCEEDS(thb_activity_get_details(activity, 0, &opening, err));
        thb_details_free(opening);
        SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_BINARY, "1", 1, &signals, err));
        SUCCEEDS(thb_activity_touch(activity, &signals, err));
        SUCCEEDS(thb_activity_get_signals(activity, &signals, err));
        SUCCEEDS(thb_activity_wait(activity, UINT32_MAX, 0, 0, &signals, err));
        CHECK(signals == 0);
        SUCCEEDS(thb_activity_get_info(activity, &info, err));
        CHECK(*thb_text_data(info, NULL) == '{');
        thb_text_free(info);
        SUCCEEDS(thb_activity_flush(activity, 30000, err));
        if (end == 0) SUCCEEDS(thb_activity_complete(activity, THB_ENCODING_NONE, NULL, 0, 30000, err));
        if (end == 1) SUCCEEDS(thb_activity_fail(activity, NULL, 0, 30000, err));
        if (end == 2) SUCCEEDS(thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, 30000, err));
        SUCCEEDS(thb_activity_close(activity, 30000, err));
        SUCCEEDS(thb_watch_close(watch, err));
    }
}

int main(void) {
    numbers();
    details();
    SUCCEEDS(thb_connect(NULL, 0, err));
    calls();
    activities();
    SUCCEEDS(thb_disconnect(30000, err));
    return 0;
}
