/* JSON arguments: one object of limited size and depth, parsed strictly. Without a client, a valid failure_json returns
 * THB_NOT_CONNECTED, and an invalid one returns THB_INVALID_ARGUMENT or THB_TOO_LARGE. */
#include "check.h"

static const char *because(const char *json, size_t len) {
    static char message[4096];
    FAILS_BECAUSE(THB_CONFIG, thb_connect(json, len, err));
    snprintf(message, sizeof message, "%s", thb_error_message(error));
    thb_error_free(error);
    return message;
}

static void accepts(const char *json, size_t len) {
    thb_status_t status = thb_connect(json, len, &error);
    if (status != THB_OK) fprintf(stderr, "%s\n", thb_error_message(error));
    CHECK(status == THB_OK);
    SUCCEEDS(thb_disconnect(0, err));
}

#define TEXT(literal) literal, sizeof literal - 1
#define FAIL(...) thb_fail(TOKEN, TOKEN_LEN, __VA_ARGS__, 1000, err)

static void keys(void) {
    CHECK(strstr(because(TEXT("{\"lazy\":true,\"lazy\":true}")), "options.lazy"));
    const char *message = because(TEXT("{\"adress\":\"hunter2\"}"));
    CHECK(strstr(message, "options.adress") && strstr(message, "address, namespace") && !strstr(message, "hunter2"));
    CHECK(!strstr(because(TEXT("{\"lazy\":\"hunter2\"}")), "hunter2"));
    FAILS_BECAUSE(THB_INVALID_ARGUMENT, FAIL(TEXT("{\"cause\":{\"details\":[{\"a\":1,\"a\":2}]}}")));
    CHECK(strstr(thb_error_message(error), "failure_json.cause.details[0].a"));
    thb_error_free(error);
}

static void nothing_and_null(void) {
    accepts(TEXT("{\"lazy\":true,\"namespace\":null,\"api_key\":null}"));
    FAILS(THB_NOT_CONNECTED, FAIL(TEXT("{}")));
    FAILS(THB_NOT_CONNECTED, FAIL(NULL, 0));
    FAILS(THB_NOT_CONNECTED, FAIL(TEXT("{\"message\":null,\"cause\":null}")));
}

static void integers(void) {
    static const char *const good[] = {"30000", "3e4", "30000.0", "0.3E+5", "2147483647"};
    static const char *const bad[] = {"0", "-1", "1.5", "2147483648", "1e300", "\"1\"", "true", "[]", "0x10", "1_000"};
    char json[100];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(json, sizeof json, "{\"lazy\":true,\"connect_timeout_ms\":%s}", good[i]);
        accepts(json, strlen(json));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(json, sizeof json, "{\"lazy\":true,\"connect_timeout_ms\":%s}", bad[i]);
        because(json, strlen(json));
    }
}

static void size(void) {
    enum { MIB = 1 << 20 };
    static char json[MIB + 1];
    memset(json, ' ', sizeof json);
    memcpy(json, TEXT("{\"lazy\":true}"));
    accepts(json, MIB);
    CHECK(strstr(because(json, MIB + 1), "1048576"));
}

static void depth(void) {
    char json[200];
    for (int arrays = 15; arrays <= 16; arrays++) {
        int len = snprintf(json, sizeof json, "{\"details\":%.*s%.*s}", arrays, "[[[[[[[[[[[[[[[[[[[[", arrays,
                           "]]]]]]]]]]]]]]]]]]]]");
        if (arrays < 16)
            FAILS(THB_NOT_CONNECTED, FAIL(json, (size_t)len));
        else
            FAILS(THB_INVALID_ARGUMENT, FAIL(json, (size_t)len));
    }
}

static void shape(void) {
    because(TEXT("[]"));
    because(TEXT("1"));
    because(TEXT("{} {}"));
    because(TEXT("{\"lazy\":true"));
    because(TEXT("{\"identity\":\"\xff\"}"));
    because(TEXT("{\"identity\":\"\xed\xa0\x80\"}"));
    because(TEXT("\xef\xbb\xbf{}"));
    because(TEXT("{\"lazy\":true}\0"));
}

int main(void) {
    keys();
    nothing_and_null();
    integers();
    size();
    depth();
    shape();
    return 0;
}
