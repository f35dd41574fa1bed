/* timeout_ms bounds a call to a server that never answers. */
#include <pthread.h>
#include <time.h>

#include "check.h"

static uint32_t signals = POISON;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void timeout_zero_never_waits(void) {
    thb_details_t *details = POISONED(thb_details_t);
    double began = now();
    FAILS(THB_TIMEOUT, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 0, &signals, err));
    FAILS(THB_TIMEOUT, thb_get_details(TOKEN, TOKEN_LEN, 0, &details, err));
    FAILS(THB_TIMEOUT, thb_complete(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 0, err));
    FAILS(THB_TIMEOUT, thb_fail(TOKEN, TOKEN_LEN, NULL, 0, 0, err));
    FAILS(THB_TIMEOUT, thb_report_cancelled(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 0, err));
    /* Arguments are still checked. */
    FAILS(THB_INVALID_ARGUMENT, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "{", 1, 0, &signals, err));
    CHECK(now() - began < 1 && signals == POISON && details == NULL);
}

static void timeout_bounds_the_call(void) {
    error = NULL;
    double began = now();
    thb_status_t status = thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 1500, &signals, &error);
    double took = now() - began;
    CHECK(status == THB_TIMEOUT && thb_error_is_retryable(error) == 1);
    CHECK(took > 1.0 && took < 4.0);
    CHECK(signals == POISON);
    thb_error_free(error);
}

static void *beat_for_ever(void *ended) {
    thb_status_t status = thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, THB_FOREVER, &signals, NULL);
    __atomic_store_n((bool *)ended, true, __ATOMIC_SEQ_CST);
    return (void *)(intptr_t)status;
}

static void only_disconnect_ends_a_call_without_timeout(void) {
    bool ended = false;
    pthread_t thread;
    pthread_create(&thread, NULL, beat_for_ever, &ended);
    nanosleep(&(struct timespec){0, 500 * 1000 * 1000}, NULL);
    CHECK(!__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
    double began = now();
    SUCCEEDS(thb_disconnect(THB_FOREVER, err));
    void *status;
    pthread_join(thread, &status);
    CHECK((intptr_t)status == THB_NOT_CONNECTED && now() - began < 2);
}

int main(void) {
    SUCCEEDS(thb_connect(NULL, 0, err));
    timeout_zero_never_waits();
    timeout_bounds_the_call();
    only_disconnect_ends_a_call_without_timeout();
    return 0;
}
