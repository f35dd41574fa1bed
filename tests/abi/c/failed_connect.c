/* After a failed connect a process ends at once, because there is nothing to send. */
#include <time.h>
#include <unistd.h>

#include "check.h"

static struct timespec began;

/* Registered before the library's exit handler, so this one runs later. */
static void at_the_end(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long ms = (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
    if (ms >= 1500) {
        fprintf(stderr, "the end took %ld ms\n", ms);
        _exit(1);
    }
}

int main(void) {
    CHECK(atexit(at_the_end) == 0);
    const char *options = "{\"address\": \"127.0.0.1:1\", \"connect_timeout_ms\": 100}";
    thb_status_t status = thb_connect(options, strlen(options), NULL);
    CHECK(status == THB_UNAVAILABLE || status == THB_TIMEOUT);
    clock_gettime(CLOCK_MONOTONIC, &began);
    return 0;
}
