/* Measures one thb_activity_heartbeat with 64 bytes, from one thread and from two, the clock that it reads, and a call
 * that does nothing.
 *
 *     record ADDRESS
 */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "temporal_heartbeat.h"

enum { RECORDS = 5 * 1000 * 1000, RUNS = 5, MAX_THREADS = 2 };

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void check(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    exit(EXIT_FAILURE);
}

static void *record(void *handle) {
    thb_activity_t activity = *(thb_activity_t *)handle;
    char details[64];
    memset(details, 'x', sizeof details);
    for (int i = 0; i < RECORDS; i++) {
        uint32_t signals;
        thb_error_t *error;
        check(thb_activity_heartbeat(activity, THB_ENCODING_BINARY, details, sizeof details, &signals, &error), error);
    }
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

/* Reads the clock of the lease, as each record does. */
static void *read_clock(void *unused) {
    (void)unused;
    for (int i = 0; i < RECORDS; i++) {
        struct timespec now;
        clock_gettime(CLOCK_BOOTTIME, &now);
    }
    return NULL;
}

/* Runs the call in as many threads, and returns its median time. */
static double measure(void *(*calls)(void *), thb_activity_t *activities, int threads, const char *name) {
    double times[RUNS];
    for (int run = 0; run < RUNS; run++) {
        pthread_t started[MAX_THREADS];
        double began = now_ns();
        for (int i = 0; i < threads; i++) pthread_create(&started[i], NULL, calls, &activities[i]);
        for (int i = 0; i < threads; i++) pthread_join(started[i], NULL);
        times[run] = (now_ns() - began) / RECORDS;
    }
    qsort(times, RUNS, sizeof *times, ascending);
    printf("%s: %.1f ns (%.1f to %.1f)\n", name, times[RUNS / 2], times[0], times[RUNS - 1]);
    return times[RUNS / 2];
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s ADDRESS\n", argv[0]), EXIT_FAILURE;
    char options[128];
    int len = snprintf(options, sizeof options, "{\"address\":\"%s\"}", argv[1]);
    thb_error_t *error;
    check(thb_connect(options, (size_t)len, &error), error);

    thb_activity_t activities[MAX_THREADS];
    static const char held[] = "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":30000,\"stall_timeout_ms\":60000}";
    for (int i = 0; i < MAX_THREADS; i++) {
        /* namespace "n", workflow "w", activity "0" and "1" */
        char token[] = "\x0a\x01n\x12\x01w\x32\x01?";
        token[8] = (char)('0' + i);
        check(thb_activity_open(token, sizeof token - 1, held, sizeof held - 1, &activities[i], &error), error);
    }
    double clock = measure(read_clock, activities, 1, "a read of CLOCK_BOOTTIME");
    double one = measure(record, activities, 1, "record, 64 bytes, 1 thread");
    measure(record, activities, MAX_THREADS, "record, 64 bytes, 2 threads, an activity each");
    printf("record, 64 bytes: %.2f of a read of CLOCK_BOOTTIME\n", one / clock);

    double began = now_ns();
    for (int i = 0; i < RECORDS; i++) thb_check_abi(THB_ABI_VERSION);
    printf("a call that does nothing: %.1f ns\n", (now_ns() - began) / RECORDS);
    check(thb_disconnect(1000, &error), error);
}
