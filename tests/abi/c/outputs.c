/* Outputs: after a failure pointers are NULL and scalars are unchanged; error_out may be NULL. Runs without a client. */
#include <malloc.h>

#include "check.h"

static uint32_t signals = POISON;
static thb_details_t *details = POISONED(thb_details_t);
static thb_text_t *text = POISONED(thb_text_t);

static void pointers_are_null_and_scalars_untouched(void) {
    FAILS(THB_NOT_CONNECTED, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 1000, &signals, err));
    FAILS(THB_INVALID_ARGUMENT, thb_heartbeat(NULL, 0, THB_ENCODING_JSON, "1", 1, 1000, &signals, err));
    CHECK(signals == POISON);

    FAILS(THB_NOT_CONNECTED, thb_get_details(TOKEN, TOKEN_LEN, 1000, &details, err));
    CHECK(details == NULL);
    details = POISONED(thb_details_t);
    FAILS(THB_INVALID_ARGUMENT, thb_get_details(NULL, 0, 1000, &details, err));
    CHECK(details == NULL);

    FAILS(THB_CONFIG, thb_token_from_env(&text, err));
    CHECK(text == NULL);
    text = POISONED(thb_text_t);
    FAILS(THB_INVALID_ARGUMENT, thb_log_next(UINT32_MAX - 1, &text, err));
    CHECK(text == NULL);
}

static void every_failing_function_returns_an_error(void) {
    FAILS(THB_CONFIG, thb_connect("{", 1, err));
    FAILS(THB_INVALID_ARGUMENT, thb_disconnect(UINT32_MAX - 1, err));
    FAILS(THB_NOT_CONNECTED, thb_complete(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(THB_NOT_CONNECTED, thb_fail(TOKEN, TOKEN_LEN, NULL, 0, 1000, err));
    FAILS(THB_NOT_CONNECTED, thb_report_cancelled(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_details_add(NULL, THB_ENCODING_JSON, "1", 1, err));
}

static void required_outputs_must_not_be_null(void) {
    FAILS(THB_INVALID_ARGUMENT, thb_get_details(TOKEN, TOKEN_LEN, 1000, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_details_new(NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_token_from_env(NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_get_metrics(NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_log_next(0, NULL, err));
}

static void success_leaves_no_error(void) {
    SUCCEEDS(thb_disconnect(0, err));
    details = POISONED(thb_details_t);
    SUCCEEDS(thb_details_new(&details, err));
    CHECK(details != NULL && details != POISONED(thb_details_t));
    SUCCEEDS(thb_details_add(details, THB_ENCODING_JSON, "1", 1, err));
    FAILS(THB_INVALID_ARGUMENT, thb_details_add(details, THB_ENCODING_JSON, "{", 1, err));
    CHECK(thb_details_count(details) == 1);
    thb_details_free(details);

    text = POISONED(thb_text_t);
    SUCCEEDS(thb_get_metrics(&text, err));
    size_t len = 0;
    const char *metrics = thb_text_data(text, &len);
    CHECK(strlen(metrics) == len && strstr(metrics, "# TYPE temporal_request counter") != NULL && is_utf8(metrics));
    thb_text_free(text);
    text = POISONED(thb_text_t);
    SUCCEEDS(thb_log_next(10, &text, err)); /* there are no records yet */
    CHECK(text == NULL);
}

static size_t in_use(void) {
    return mallinfo2().uordblks;
}

static void unrequested_errors_allocate_nothing(void) {
    thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 1000, &signals, NULL);
    size_t before = in_use();
    for (int i = 0; i < 100; i++) thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 1000, &signals, NULL);
    CHECK(in_use() == before);

    /* Shows that the number above can change. Under valgrind it is always 0. */
    thb_error_t *kept[100];
    for (int i = 0; i < 100; i++) thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 1000, &signals, &kept[i]);
    CHECK(before == 0 || in_use() > before);
    for (int i = 0; i < 100; i++) thb_error_free(kept[i]);
}

int main(void) {
    pointers_are_null_and_scalars_untouched();
    every_failing_function_returns_an_error();
    required_outputs_must_not_be_null();
    success_leaves_no_error();
    unrequested_errors_allocate_nothing();
    return 0;
}
