/* pthread_cancel of a thread that is in a call: the call finishes first, and nothing unwinds through the library. */
#include <pthread.h>

#include "check.h"

static int finished;

static void *beat(void *unused) {
    /* The cancellation is already pending, and takes effect at the first cancellation point. */
    pthread_cancel(pthread_self());
    thb_text_t *text = NULL;
    thb_status_t status = thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 10000, NULL, NULL);
    thb_status_t read = thb_token_from_env(&text, NULL);
    if (status == THB_OK && read == THB_OK) finished++;
    thb_text_free(text);
    pthread_testcancel();
    return unused;
}

int main(void) {
    SUCCEEDS(thb_connect(NULL, 0, err));
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        void *ended;
        CHECK(pthread_create(&thread, NULL, beat, NULL) == 0);
        CHECK(pthread_join(thread, &ended) == 0);
        CHECK(ended == PTHREAD_CANCELED && finished == i + 1);
    }
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
