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

/* In short runs that alternate, so that other work on the machine hardly changes the medians. */
enum { RECORDS = 5000, RUNS = 2001, LONG_RECORDS = 1000 * 1000, LONG_RUNS = 25, THREADS = 2 };

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

static void record(thb_activity_t activity, int times) {
    char details[64];
    memset(details, 'x', sizeof details);
    for (int i = 0; i < times; i++) {
        uint32_t signals;
        thb_error_t *error;
        check(thb_activity_heartbeat(activity, THB_ENCODING_BINARY, details, sizeof details, &signals, &error), error);
    }
}

/* Reads the clock of the lease, as each record does. */
static void read_clock(int times) {
    for (int i = 0; i < times; i++) {
        struct timespec now;
        clock_gettime(CLOCK_BOOTTIME, &now);
    }
}

static void *record_long(void *handle) {
    record(*(thb_activity_t *)handle, LONG_RECORDS);
    return NULL;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

/* Prints and returns the median of the times. */
static double report(const char *name, double *times, int runs) {
    qsort(times, (size_t)runs, sizeof *times, ascending);
    printf("%s: %.1f ns (%.1f to %.1f)\n", name, times[runs / 2], times[runs / 10], times[runs - 1 - runs / 10]);
    return times[runs / 2];
}

static void measure_one_thread(thb_activity_t activity) {
    static double clocks[RUNS], records[RUNS];
    for (int run = 0; run < RUNS; run++) {
        double began = now_ns();
        read_clock(RECORDS);
        double between = now_ns();
        record(activity, RECORDS);
        clocks[run] = (between - began) / RECORDS;
        records[run] = (now_ns() - between) / RECORDS;
    }
    double clock = report("a read of CLOCK_BOOTTIME", clocks, RUNS);
    double one = report("record, 64 bytes, 1 thread", records, RUNS);
    printf("record, 64 bytes: %.2f of a read of CLOCK_BOOTTIME\n", one / clock);
}

static void measure_threads(thb_activity_t *activities) {
    double times[LONG_RUNS];
    for (int run = 0; run < LONG_RUNS; run++) {
        pthread_t started[THREADS];
        double began = now_ns();
        for (int i = 0; i < THREADS; i++) pthread_create(&started[i], NULL, record_long, &activities[i]);
        for (int i = 0; i < THREADS; i++) pthread_join(started[i], NULL);
        times[run] = (now_ns() - began) / LONG_RECORDS;
    }
    report("record, 64 bytes, 2 threads, an activity each", times, LONG_RUNS);
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s ADDRESS\n", argv[0]), EXIT_FAILURE;
    char options[128];
    int len = snprintf(options, sizeof options, "{\"address\":\"%s\"}", argv[1]);
    thb_error_t *error;
    check(thb_connect(options, (size_t)len, &error), error);

    thb_activity_t activities[THREADS];
    static const char held[] = "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":30000,\"stall_timeout_ms\":60000}";
    for (int i = 0; i < THREADS; i++) {
        /* namespace "n", workflow "w", activity "0" and "1" */
        char token[] = "\x0a\x01n\x12\x01w\x32\x01?";
        token[8] = (char)('0' + i);
        check(thb_activity_open(token, sizeof token - 1, held, sizeof held - 1, &activities[i], &error), error);
    }
    measure_one_thread(activities[0]);
    measure_threads(activities);

    double began = now_ns();
    for (int i = 0; i < LONG_RECORDS; i++) thb_check_abi(THB_ABI_VERSION);
    printf("a call that does nothing: %.1f ns\n", (now_ns() - began) / LONG_RECORDS);
    check(thb_disconnect(1000, &error), error);
}
