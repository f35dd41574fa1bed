/* Every const char * that the library returns is non-NULL, ends with a NUL, and is valid UTF-8, for any input. The server returns
 * details with names of encodings that aren't valid UTF-8 C strings. */
#include "check.h"

static void names(void) {
    for (thb_status_t status = -2; status < 40; status++) {
        const char *name = thb_status_name(status);
        CHECK(name != NULL && is_utf8(name) && strncmp(name, "THB_", 4) == 0);
    }
    CHECK(thb_version() != NULL && is_utf8(thb_version()) && *thb_version() != '\0');
}

static void messages(void) {
    /* Keys with a NUL, with non-ASCII characters, and of great length. */
    FAILS_BECAUSE(THB_CONFIG, thb_connect("{\"a\\u0000b\":1}", 14, err));
    CHECK(strstr(thb_error_message(error), "b: there is no such key"));
    thb_error_free(error);
    FAILS(THB_CONFIG, thb_connect("{\"\xc3\xa4\":1}", 8, err));
    enum { LONG = 1 << 19 };
    char *json = malloc(LONG + 10);
    memset(json, 'k', LONG + 10);
    memcpy(json, "{\"", 2);
    memcpy(json + LONG + 6, "\":1}", 4);
    FAILS(THB_CONFIG, thb_connect(json, LONG + 10, err));
    free(json);
    /* The environment names a file by bytes that aren't UTF-8. */
    thb_text_t *text;
    FAILS(THB_CONFIG, thb_token_from_env(&text, err));
}

static void encodings(void) {
    thb_details_t *details;
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_get_details(TOKEN, TOKEN_LEN, 10000, &details, err));
    CHECK(thb_details_count(details) == 3);
    for (size_t i = 0; i < 3; i++) CHECK(is_utf8(thb_details_encoding(details, i)));
    CHECK(strncmp(thb_details_encoding(details, 0), "a", 1) == 0 && strlen(thb_details_encoding(details, 0)) > 2);
    CHECK(strlen(thb_details_encoding(details, 1)) > 0);
    CHECK(strcmp(thb_details_encoding(details, 2), "") == 0);

    /* Objects outlive the client. */
    SUCCEEDS(thb_disconnect(0, err));
    size_t len;
    const void *data = thb_details_data(details, 2, &len);
    CHECK(len == 2 && memcmp(data, "41", 2) == 0);
    thb_details_free(details);
}

int main(void) {
    names();
    messages();
    encodings();
    return 0;
}
