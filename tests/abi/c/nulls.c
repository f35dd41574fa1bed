/* Every object may be NULL where it is read or freed, and every length output may be NULL. */
#include "check.h"

int main(void) {
    CHECK(thb_error_code(NULL) == THB_OK);
    CHECK(thb_error_grpc_code(NULL) == -1);
    CHECK(strcmp(thb_error_message(NULL), "") == 0);
    CHECK(thb_error_is_retryable(NULL) == 0);
    CHECK(thb_error_retry_after_ms(NULL) == -1);
    thb_error_free(NULL);

    size_t len = 7;
    CHECK(strcmp(thb_text_data(NULL, &len), "") == 0 && len == 0);
    CHECK(strcmp(thb_text_data(NULL, NULL), "") == 0);
    thb_text_free(NULL);

    CHECK(thb_details_count(NULL) == 0);
    len = 7;
    CHECK(thb_details_data(NULL, 0, &len) == NULL && len == 0);
    CHECK(thb_details_data(NULL, 0, NULL) == NULL);
    len = 7;
    CHECK(thb_details_payloads(NULL, &len) == NULL && len == 0);
    CHECK(thb_details_payloads(NULL, NULL) == NULL);
    CHECK(thb_details_decoded_payloads(NULL, &len) == NULL && len == 0);
    CHECK(thb_details_decoded_payloads(NULL, NULL) == NULL);
    CHECK(strcmp(thb_details_encoding(NULL, 0), "") == 0);
    CHECK(thb_details_attempt(NULL) == 0);
    CHECK(thb_details_recorded_at_unix_ms(NULL) == 0);
    CHECK(thb_details_heartbeat_timeout_ms(NULL) == -1);
    thb_details_free(NULL);

    CHECK(thb_task_activity(NULL) == 0);
    len = 7;
    CHECK(thb_task_token(NULL, &len) == NULL && len == 0);
    CHECK(thb_task_token(NULL, NULL) == NULL);
    CHECK(strcmp(thb_task_activity_type(NULL), "") == 0);
    CHECK(strcmp(thb_task_info(NULL), "") == 0);
    CHECK(thb_task_input(NULL) == NULL && thb_task_details(NULL) == NULL);
    thb_task_free(NULL);

    thb_details_t *details;
    SUCCEEDS(thb_details_new(&details, err));
    const size_t beyond[] = {0, 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        len = 7;
        CHECK(thb_details_data(details, beyond[i], &len) == NULL && len == 0);
        CHECK(strcmp(thb_details_encoding(details, beyond[i]), "") == 0);
    }
    CHECK(thb_details_attempt(details) == 0 && thb_details_recorded_at_unix_ms(details) == 0);
    CHECK(thb_details_heartbeat_timeout_ms(details) == -1);

    /* Details may be added to themselves. */
    SUCCEEDS(thb_details_add(details, THB_ENCODING_JSON, "41", 2, err));
    for (int i = 0; i < 10; i++) {
        const void *all = thb_details_payloads(details, &len);
        SUCCEEDS(thb_details_add(details, THB_ENCODING_PAYLOADS, all, len, err));
    }
    CHECK(thb_details_count(details) == 1024);
    const void *last = thb_details_data(details, 1023, &len);
    CHECK(len == 2 && memcmp(last, "41", 2) == 0);
    thb_details_free(details);
    return 0;
}
