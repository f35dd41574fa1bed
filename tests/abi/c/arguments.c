/* Byte arguments: (NULL, 0) is empty; (NULL, n) and lengths over PTRDIFF_MAX are refused, like timeouts out of range.
 * Arguments are checked before the client, and this program has no client. */
#include "check.h"

#define MINUS_ONE ((size_t)-1)
#define BEYOND ((size_t)PTRDIFF_MAX + 1)

/* Bytes that a function must refuse. `call_with(data, len)` passes them to the function. */
#define REFUSES_BAD_BYTES(call_with)                                     \
    do {                                                                 \
        FAILS(THB_INVALID_ARGUMENT, call_with(NULL, 1));                 \
        FAILS(THB_INVALID_ARGUMENT, call_with(NULL, PTRDIFF_MAX));       \
        FAILS(THB_INVALID_ARGUMENT, call_with("x", BEYOND));             \
        FAILS_BECAUSE(THB_INVALID_ARGUMENT, call_with("x", MINUS_ONE));  \
        CHECK(strstr(thb_error_message(error), "more than any object")); \
        thb_error_free(error);                                           \
    } while (0)

#define T TOKEN, TOKEN_LEN
#define NOTHING THB_ENCODING_NONE, NULL, 0

static uint32_t signals;
static thb_details_t *details;

static void tokens(void) {
#define HEARTBEAT(p, n) thb_heartbeat(p, n, NOTHING, 1000, &signals, err)
#define GET_DETAILS(p, n) thb_get_details(p, n, 1000, &details, err)
#define COMPLETE(p, n) thb_complete(p, n, NOTHING, 1000, err)
#define FAIL(p, n) thb_fail(p, n, NULL, 0, 1000, err)
#define REPORT_CANCELLED(p, n) thb_report_cancelled(p, n, NOTHING, 1000, err)
    REFUSES_BAD_BYTES(HEARTBEAT);
    REFUSES_BAD_BYTES(GET_DETAILS);
    REFUSES_BAD_BYTES(COMPLETE);
    REFUSES_BAD_BYTES(FAIL);
    REFUSES_BAD_BYTES(REPORT_CANCELLED);
}

static void values(void) {
#define DETAILS(p, n) thb_heartbeat(T, THB_ENCODING_BINARY, p, n, 1000, &signals, err)
#define RESULT(p, n) thb_complete(T, THB_ENCODING_BINARY, p, n, 1000, err)
#define CANCELLED(p, n) thb_report_cancelled(T, THB_ENCODING_BINARY, p, n, 1000, err)
#define FAILURE(p, n) thb_fail(T, p, n, 1000, err)
#define ADDED(p, n) thb_details_add(details, THB_ENCODING_BINARY, p, n, err)
    REFUSES_BAD_BYTES(DETAILS);
    REFUSES_BAD_BYTES(RESULT);
    REFUSES_BAD_BYTES(CANCELLED);
    REFUSES_BAD_BYTES(FAILURE);
    SUCCEEDS(thb_details_new(&details, err));
    REFUSES_BAD_BYTES(ADDED);
    CHECK(thb_details_count(details) == 0);

    /* A length of 0 is empty for any pointer. */
    SUCCEEDS(ADDED(NULL, 0));
    SUCCEEDS(ADDED("x", 0));
    CHECK(thb_details_count(details) == 2);
    size_t len = 7;
    CHECK(thb_details_data(details, 0, &len) != NULL && len == 0);
    thb_details_free(details);
    FAILS(THB_NOT_CONNECTED, DETAILS(NULL, 0));
    FAILS(THB_NOT_CONNECTED, FAILURE(NULL, 0));
}

static void statuses(void) {
#define STATUS(p, n) thb_activity_set_status(1, p, n, err)
    REFUSES_BAD_BYTES(STATUS);
    FAILS_BECAUSE(THB_INVALID_ARGUMENT, STATUS("\xff", 1));
    CHECK(strstr(thb_error_message(error), "text isn't UTF-8"));
    thb_error_free(error);
    FAILS(THB_INVALID_HANDLE, STATUS(NULL, 0));
}

static void options(void) {
#define CONNECT(p, n) thb_connect(p, n, err)
    REFUSES_BAD_BYTES(CONNECT);
}

static void timeouts(void) {
    const uint32_t bad[] = {(uint32_t)INT32_MAX + 1, (uint32_t)-2, UINT32_MAX - 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(THB_INVALID_ARGUMENT, thb_heartbeat(T, NOTHING, bad[i], &signals, err));
        FAILS(THB_INVALID_ARGUMENT, thb_get_details(T, bad[i], &details, err));
        FAILS(THB_INVALID_ARGUMENT, thb_complete(T, NOTHING, bad[i], err));
        FAILS(THB_INVALID_ARGUMENT, thb_fail(T, NULL, 0, bad[i], err));
        FAILS(THB_INVALID_ARGUMENT, thb_report_cancelled(T, NOTHING, bad[i], err));
        FAILS(THB_INVALID_ARGUMENT, thb_disconnect(bad[i], err));
    }
    const uint32_t good[] = {0, 1, INT32_MAX, THB_FOREVER};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        FAILS(THB_NOT_CONNECTED, thb_heartbeat(T, NOTHING, good[i], &signals, err));
        SUCCEEDS(thb_disconnect(good[i], err));
    }
}

static void encodings(void) {
    const thb_encoding_t bad[] = {-1, 5, INT32_MIN, INT32_MAX};
    SUCCEEDS(thb_details_new(&details, err));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        FAILS(THB_INVALID_ARGUMENT, thb_heartbeat(T, bad[i], "1", 1, 1000, &signals, err));
        FAILS(THB_INVALID_ARGUMENT, thb_complete(T, bad[i], "1", 1, 1000, err));
        FAILS(THB_INVALID_ARGUMENT, thb_report_cancelled(T, bad[i], "1", 1, 1000, err));
        FAILS(THB_INVALID_ARGUMENT, thb_details_add(details, bad[i], "1", 1, err));
    }
    FAILS(THB_INVALID_ARGUMENT, thb_details_add(details, THB_ENCODING_NONE, NULL, 0, err));
    thb_details_free(details);
}

int main(void) {
    tokens();
    values();
    options();
    statuses();
    timeouts();
    encodings();
    return 0;
}
