/* Handles: the outputs of their functions, and the treatment of invalid handles. The server acknowledges every beat. */
#include <pthread.h>

#include "check.h"

#define T TOKEN, TOKEN_LEN
#define NO_SEED "{\"initial_details\":\"\"}", 22

static uint32_t signals = POISON;
static thb_activity_t activity = POISON;
static thb_watch_t watch = POISON;

static void refused_by_all(thb_status_t status, thb_activity_t handle) {
    thb_details_t *details = POISONED(thb_details_t);
    thb_text_t *info = POISONED(thb_text_t);
    signals = POISON;
    FAILS(status, thb_activity_heartbeat(handle, THB_ENCODING_JSON, "1", 1, &signals, err));
    FAILS(status, thb_activity_touch(handle, &signals, err));
    FAILS(status, thb_activity_get_signals(handle, &signals, err));
    FAILS(status, thb_activity_wait(handle, UINT32_MAX, 0, 1000, &signals, err));
    FAILS(status, thb_activity_get_details(handle, 1000, &details, err));
    FAILS(status, thb_activity_get_info(handle, &info, err));
    FAILS(status, thb_activity_flush(handle, 1000, err));
    FAILS(status, thb_activity_complete(handle, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(status, thb_activity_fail(handle, NULL, 0, 1000, err));
    FAILS(status, thb_activity_report_cancelled(handle, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(status, thb_activity_close(handle, 1000, err));
    CHECK(signals == POISON && details == NULL && info == NULL);
}

static void watch_refused_by_all(thb_watch_t handle, thb_activity_t member) {
    int32_t fd = 7;
    uint64_t user_data = POISON;
    thb_activity_t news = POISON;
    signals = POISON;
    FAILS(THB_INVALID_HANDLE, thb_watch_add(handle, member, UINT32_MAX, 1, err));
    FAILS(THB_INVALID_HANDLE, thb_watch_next(handle, 1000, &news, &user_data, &signals, err));
    FAILS(THB_INVALID_HANDLE, thb_watch_open_fd(handle, &fd, err));
    FAILS(THB_INVALID_HANDLE, thb_watch_close(handle, err));
    CHECK(news == POISON && user_data == POISON && signals == POISON && fd == 7);
}

static void without_a_client(void) {
    activity = watch = POISON;
    FAILS(THB_NOT_CONNECTED, thb_activity_open(T, NO_SEED, &activity, err));
    FAILS(THB_NOT_CONNECTED, thb_watch_open(&watch, err));
    CHECK(activity == POISON && watch == POISON);
}

static void arguments(void) {
    activity = POISON;
    FAILS(THB_INVALID_ARGUMENT, thb_activity_open(T, NO_SEED, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_open(NULL, 5, NO_SEED, &activity, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_open("x", (size_t)-1, NO_SEED, &activity, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_open(T, NULL, 1, &activity, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_open(T, "{}", (size_t)-1, &activity, err));
    FAILS(THB_CONFIG, thb_activity_open(T, "{\"a\":1,\"a\":1}", 13, &activity, err));
    CHECK(activity == POISON);
    FAILS(THB_INVALID_ARGUMENT, thb_watch_open(NULL, err));
}

static void an_open_activity(void) {
    uint32_t out_of_range = (uint32_t)INT32_MAX + 1;
    SUCCEEDS(thb_activity_open(T, NO_SEED, &activity, err));
    CHECK(activity > 0 && activity < (uint64_t)1 << 53);
    thb_activity_t second = POISON;
    FAILS(THB_ALREADY_OPEN, thb_activity_open(T, NO_SEED, &second, err));
    CHECK(second == POISON);
    signals = POISON;
    FAILS(THB_ALREADY_OPEN, thb_heartbeat(T, THB_ENCODING_NONE, NULL, 0, 1000, &signals, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_heartbeat(activity, THB_ENCODING_NONE, NULL, 0, &signals, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_heartbeat(activity, THB_ENCODING_JSON, NULL, 1, &signals, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_wait(activity, 1, 0, out_of_range, &signals, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_flush(activity, out_of_range, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_get_info(activity, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_get_details(activity, 1000, NULL, err));
    CHECK(signals == POISON);
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "41", 2, NULL, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "42", 2, &signals, err));
    CHECK(signals == 0);
    SUCCEEDS(thb_activity_wait(activity, UINT32_MAX, 0, 0, &signals, err));
    SUCCEEDS(thb_activity_flush(activity, 10000, err));
    thb_text_t *info;
    SUCCEEDS(thb_activity_get_info(activity, &info, err));
    CHECK(is_utf8(thb_text_data(info, NULL)) && strchr(thb_text_data(info, NULL), '{'));
    thb_text_free(info);
}

static void a_watch(void) {
    SUCCEEDS(thb_watch_open(&watch, err));
    CHECK(watch > 0 && watch < (uint64_t)1 << 53);
    SUCCEEDS(thb_watch_add(watch, activity, UINT32_MAX, 7, err));
    thb_activity_t news = POISON;
    SUCCEEDS(thb_watch_next(watch, 0, &news, NULL, NULL, err));
    CHECK(news == 0);
    /* An activity handle isn't a watch handle, and vice versa. */
    refused_by_all(THB_INVALID_HANDLE, watch);
    watch_refused_by_all(activity, activity);
    FAILS(THB_INVALID_HANDLE, thb_watch_add(watch, watch, UINT32_MAX, 7, err));
    SUCCEEDS(thb_watch_close(watch, err));
    watch_refused_by_all(watch, activity);
}

static void stale_and_random_handles(void) {
    SUCCEEDS(thb_activity_close(activity, 10000, err));
    refused_by_all(THB_INVALID_HANDLE, activity);
    thb_activity_t again;
    SUCCEEDS(thb_activity_open(T, NO_SEED, &again, err));
    CHECK(again != activity);
    const uint64_t random[] = {0, 1, again + 1, 1ull << 40, INT64_MAX, UINT64_MAX, 1ull << 53, again | 1ull << 63};
    for (size_t i = 0; i < sizeof random / sizeof *random; i++) refused_by_all(THB_INVALID_HANDLE, random[i]);
    SUCCEEDS(thb_activity_touch(again, NULL, err));
    activity = again;
}

static void *wait_for_ever(void *watched) {
    thb_activity_t news;
    thb_status_t status = watched ? thb_watch_next(watch, THB_FOREVER, &news, NULL, NULL, NULL)
                                  : thb_activity_wait(activity, UINT32_MAX, 0, THB_FOREVER, NULL, NULL);
    return (void *)(intptr_t)status;
}

static void disconnect_wakes_waiting_calls_of_handles(void) {
    SUCCEEDS(thb_watch_open(&watch, err));
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) pthread_create(&threads[i], NULL, wait_for_ever, i % 2 ? &watch : NULL);
    SUCCEEDS(thb_disconnect(0, err));
    for (size_t i = 0; i < 4; i++) {
        void *status;
        pthread_join(threads[i], &status);
        /* The status depends on which thread was first. */
        CHECK((intptr_t)status == THB_NOT_CONNECTED || (intptr_t)status == THB_INVALID_HANDLE);
    }
}

int main(void) {
    without_a_client();
    SUCCEEDS(thb_connect(NULL, 0, err));
    arguments();
    an_open_activity();
    a_watch();
    stale_and_random_handles();
    disconnect_wakes_waiting_calls_of_handles();
    return 0;
}
