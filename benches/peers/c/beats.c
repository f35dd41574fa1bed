/* Threads that send heartbeats through the shared library, each as soon as the last is acknowledged. See ../README.md.
 *
 *     beats ADDRESS TOKENS CALLERS BYTES SECONDS [CA]
 *
 * If SECONDS is 0, each caller sends one heartbeat and nothing is measured.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "temporal_heartbeat.h"

enum { MAX_TOKEN = 1024, WARM_UP_NS = 300 * 1000 * 1000, TIMEOUT_MS = 10000 };
/* A histogram of nanoseconds with 2^8 buckets per doubling. */
enum { STEP_BITS = 8, STEPS = 1 << STEP_BITS, BUCKETS = STEPS * 32 };

static atomic_uint histogram[BUCKETS];
static atomic_bool measuring, ending;
static size_t details_len;

struct caller {
    pthread_t thread;
    unsigned char token[MAX_TOKEN];
    size_t token_len;
};

static long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Doesn't use getrusage, because its peak includes that of the parent process. */
static double peak_memory_mb(void) {
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %ld", &kb);
    if (file) fclose(file);
    return (double)kb / 1024;
}

static void check(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    exit(EXIT_FAILURE);
}

static void record(long ns) {
    int octave = 63 - __builtin_clzl((unsigned long)ns | STEPS) - STEP_BITS;
    long bucket = octave * STEPS + (ns >> octave);
    atomic_fetch_add_explicit(&histogram[bucket < BUCKETS ? bucket : BUCKETS - 1], 1, memory_order_relaxed);
}

static double quantile_us(unsigned long calls, double part) {
    unsigned long seen = 0;
    for (long bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram[bucket];
        if ((double)seen < part * (double)calls || seen == 0) continue;
        long octave = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
        return (double)((bucket - octave * STEPS) << octave) / 1e3;
    }
    return 0;
}

static void *beat(void *argument) {
    struct caller *caller = argument;
    char *details = malloc(details_len + 1);
    memset(details, 'x', details_len);
    long before = now_ns();
    do {
        uint32_t signals;
        thb_error_t *error;
        thb_encoding_t encoding = details_len ? THB_ENCODING_BINARY : THB_ENCODING_NONE;
        check(thb_heartbeat(caller->token, caller->token_len, encoding, details, details_len, TIMEOUT_MS, &signals, &error), error);
        long after = now_ns();
        if (atomic_load_explicit(&measuring, memory_order_relaxed)) record(after - before);
        before = after;
    } while (!atomic_load_explicit(&ending, memory_order_relaxed));
    free(details);
    return NULL;
}

/* Reads the next token of the file, one per line in hexadecimal. Starts again at the end of the file. */
static void read_token(FILE *file, struct caller *caller) {
    char line[2 * MAX_TOKEN + 2];
    if (!fgets(line, sizeof line, file)) {
        rewind(file);
        if (!fgets(line, sizeof line, file)) exit(EXIT_FAILURE);
    }
    while (sscanf(line + 2 * caller->token_len, "%2hhx", &caller->token[caller->token_len]) == 1) caller->token_len++;
}

int main(int argc, char **argv) {
    if (argc < 6) return fprintf(stderr, "usage: %s ADDRESS TOKENS CALLERS BYTES SECONDS [CA]\n", argv[0]), EXIT_FAILURE;
    int callers = atoi(argv[3]);
    details_len = strtoul(argv[4], NULL, 10);
    double seconds = atof(argv[5]);

    char options[1024];
    int len = snprintf(options, sizeof options, "{\"address\":\"%s\"", argv[1]);
    if (argc > 6) len += snprintf(options + len, sizeof options - (size_t)len, ",\"tls\":{\"server_ca_cert_path\":\"%s\"}", argv[6]);
    len += snprintf(options + len, sizeof options - (size_t)len, "}");
    thb_error_t *error;
    check(thb_connect(options, (size_t)len, &error), error);

    struct caller *all = calloc((size_t)callers, sizeof *all);
    FILE *tokens = fopen(argv[2], "r");
    if (!tokens) return perror(argv[2]), EXIT_FAILURE;
    for (int i = 0; i < callers; i++) read_token(tokens, &all[i]);
    fclose(tokens);
    atomic_store(&ending, seconds == 0);
    for (int i = 0; i < callers; i++) pthread_create(&all[i].thread, NULL, beat, &all[i]);

    if (seconds > 0) nanosleep(&(struct timespec){.tv_nsec = WARM_UP_NS}, NULL);
    double cpu = cpu_s();
    long began = now_ns();
    atomic_store(&measuring, true);
    nanosleep(&(struct timespec){(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, NULL);
    atomic_store(&measuring, false);
    cpu = cpu_s() - cpu;
    double took = (double)(now_ns() - began) / 1e9;
    atomic_store(&ending, true);
    for (int i = 0; i < callers; i++) pthread_join(all[i].thread, NULL);
    check(thb_disconnect(1000, &error), error);

    unsigned long calls = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) calls += histogram[bucket];
    printf("{\"calls\":%lu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"rss_mb\":%.2f}\n", calls, took, cpu,
           quantile_us(calls, 0.5), quantile_us(calls, 0.99), peak_memory_mb());
    free(all);
}
