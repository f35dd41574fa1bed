/* For argv[1] seconds, does everything at once: records, calls, opening and closing, watches, forks, while connections are closed.
 * Prints counts, and at the end the last item of each activity. The descriptor limit is low, so that leaked connections fail the test. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define HELD 8
#define MOST_DESCRIPTORS 64
#define OPTIONS "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":3000}", 50

static atomic_bool over;
static atomic_ulong calls, lost, opens, closes, forks, reaped;
static thb_activity_t held[HELD];
static unsigned long items[HELD];

/* The statuses that are allowed while connections are closed. */
static void count(thb_status_t status) {
    if (status == THB_OK) calls++;
    else if (status == THB_UNAVAILABLE || status == THB_TIMEOUT) lost++;
    else CHECK(is(THB_OK, status));
}

static void *record(void *number) {
    size_t at = (size_t)number;
    char json[64];
    while (!over) {
        int len = snprintf(json, sizeof json, "{\"activity\":%zu,\"item\":%lu}", at, ++items[at]);
        CHECK(is(THB_OK, thb_activity_heartbeat(held[at], THB_ENCODING_JSON, json, (size_t)len, NULL, NULL)));
        usleep(2000);
    }
    return NULL;
}

static void *call(void *unused) {
    while (!over) {
        count(thb_heartbeat("call", 4, THB_ENCODING_BINARY, "0123456789", 10, 5000, NULL, NULL));
        usleep(2000);
    }
    return unused;
}

static void *open_and_close(void *unused) {
    for (unsigned number = 0; !over; number++) {
        thb_activity_t activity, news;
        thb_watch_t watch;
        thb_error_t *why = NULL;
        thb_text_t *metrics;
        CHECK(is(THB_OK, thb_watch_open(&watch, NULL)));
        CHECK(is(THB_OK, thb_activity_open(&number, sizeof number, OPTIONS, &activity, NULL)));
        opens++;
        CHECK(is(THB_OK, thb_watch_add(watch, activity, UINT32_MAX, 1, NULL)));
        CHECK(is(THB_OK, thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, NULL)));
        CHECK(is(THB_OK, thb_watch_next(watch, 1, &news, NULL, NULL, NULL)));
        if (number % 2) count(thb_activity_complete(activity, THB_ENCODING_NONE, NULL, 0, 5000, &why));
        thb_error_free(why);
        thb_activity_close(activity, number % 3 ? 0 : 5000, NULL);
        closes++;
        CHECK(is(THB_OK, thb_watch_close(watch, NULL)));
        CHECK(is(THB_OK, thb_get_metrics(&metrics, NULL)));
        thb_text_free(metrics);
        usleep(5000);
    }
    return unused;
}

static void *fork_all_the_time(void *unused) {
    while (!over) {
        pid_t child = fork();
        if (child == 0) {
            alarm(120);
            thb_status_t status = thb_heartbeat("child", 5, THB_ENCODING_NONE, NULL, 0, 20000, NULL, NULL);
                        CHECK(thb_activity_touch(held[0], NULL, NULL) == THB_FORKED);
            _exit(status == THB_OK || status == THB_UNAVAILABLE || status == THB_TIMEOUT ? 0 : 1);
        }
        CHECK(child > 0);
        forks++;
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child && status == 0);
        reaped++;
        usleep(20000);
    }
    return unused;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){MOST_DESCRIPTORS, MOST_DESCRIPTORS}) == 0);
    SUCCEEDS(thb_connect("{\"lazy\":true}", 13, err));
    err = NULL; /* several threads use it from here on */
    pthread_t threads[HELD + 4];
    size_t made = 0;
    for (size_t at = 0; at < HELD; at++) {
        char token[] = {'h', (char)('0' + at)};
        CHECK(thb_activity_open(token, sizeof token, OPTIONS, &held[at], NULL) == THB_OK);
        CHECK(pthread_create(&threads[made++], NULL, record, (void *)at) == 0);
    }
    CHECK(pthread_create(&threads[made++], NULL, call, NULL) == 0);
    CHECK(pthread_create(&threads[made++], NULL, call, NULL) == 0);
    CHECK(pthread_create(&threads[made++], NULL, open_and_close, NULL) == 0);
    CHECK(pthread_create(&threads[made++], NULL, fork_all_the_time, NULL) == 0);
    sleep((unsigned)atoi(argv[1]));
    over = true;
    while (made > 0) CHECK(pthread_join(threads[--made], NULL) == 0);
    unsigned long records = 0;
    for (size_t at = 0; at < HELD; at++) {
        CHECK(is(THB_OK, thb_activity_flush(held[at], 60000, NULL)));
        CHECK(is(THB_OK, thb_activity_close(held[at], 60000, NULL)));
        records += items[at];
    }
    CHECK(opens == closes && forks == reaped);
    fprintf(stderr, "%lu records, %lu calls, %lu that found no connection in time, %lu activities opened and closed, %lu forks\n",
            records, calls, lost, opens, forks);
    for (size_t at = 0; at < HELD; at++) printf("%lu ", items[at]);
    CHECK(thb_disconnect(1000, NULL) == THB_OK);
    return 0;
}
