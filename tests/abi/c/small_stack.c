/* A thread with a stack of 64 KiB makes every call. */
#include <pthread.h>

#include "check.h"

enum { STACK = 64 << 10 };

static void *everything(void *unused) {
    static const char failure[] = "{\"message\":\"m\",\"details\":[[[[[[[[[[[[1]]]]]]]]]]]],\"heartbeat_details\":[1],"
                                  "\"cause\":{\"cause\":{\"cause\":{\"cause\":{\"cause\":{\"message\":\"c\"}}}}}}";
    uint32_t signals;
    thb_details_t *details;
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "41", 2, 10000, &signals, err));
    FAILS(THB_NOT_FOUND, thb_get_details(TOKEN, TOKEN_LEN, 10000, &details, err));
    SUCCEEDS(thb_complete(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 10000, err));
    SUCCEEDS(thb_fail(TOKEN, TOKEN_LEN, failure, sizeof failure - 1, 10000, err));
    SUCCEEDS(thb_report_cancelled(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 10000, err));
    SUCCEEDS(thb_disconnect(1000, err));
    return unused;
}

int main(void) {
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, everything, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
