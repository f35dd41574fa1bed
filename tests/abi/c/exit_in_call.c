/* main returns while other threads are in calls that never end. */
#include <pthread.h>
#include <time.h>

#include "check.h"

static void *beat_for_ever(void *unused) {
    thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, THB_FOREVER, NULL, NULL);
    return unused;
}

int main(void) {
    SUCCEEDS(thb_connect(NULL, 0, err));
    pthread_t thread;
    for (int i = 0; i < 4; i++) pthread_create(&thread, NULL, beat_for_ever, NULL);
    nanosleep(&(struct timespec){0, 200 * 1000 * 1000}, NULL);
    return 0;
}
