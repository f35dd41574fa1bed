/* What the programs share that send heartbeats through the shared library: arguments, tokens, times and the line that they print. */
#ifndef MEASURE_H
#define MEASURE_H

#define _POSIX_C_SOURCE 200809L
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

struct token {
    unsigned char bytes[MAX_TOKEN];
    size_t len;
};

static inline long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

static inline double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* Doesn't use getrusage, because its peak includes that of the parent process. */
static inline double peak_memory_mb(void) {
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %ld", &kb);
    if (file) fclose(file);
    return (double)kb / 1024;
}

static inline void check(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    exit(EXIT_FAILURE);
}

static inline void record(long ns) {
    int octave = 63 - __builtin_clzl((unsigned long)ns | STEPS) - STEP_BITS;
    long bucket = octave * STEPS + (ns >> octave);
    atomic_fetch_add_explicit(&histogram[bucket < BUCKETS ? bucket : BUCKETS - 1], 1, memory_order_relaxed);
}

static inline double quantile_us(unsigned long calls, double part) {
    unsigned long seen = 0;
    for (long bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram[bucket];
        if ((double)seen < part * (double)calls || seen == 0) continue;
        long octave = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
        return (double)((bucket - octave * STEPS) << octave) / 1e3;
    }
    return 0;
}

/* Reads the next token of the file, one per line in hexadecimal. Starts again at the end of the file. */
static inline void read_token(FILE *file, struct token *token) {
    char line[2 * MAX_TOKEN + 2];
    if (!fgets(line, sizeof line, file)) {
        rewind(file);
        if (!fgets(line, sizeof line, file)) exit(EXIT_FAILURE);
    }
    while (sscanf(line + 2 * token->len, "%2hhx", &token->bytes[token->len]) == 1) token->len++;
}

struct arguments {
    int callers;
    double seconds;
    struct token *tokens; /* one per caller */
};

/* Reads the arguments, connects, and reads the tokens. */
static inline struct arguments begin(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "usage: %s ADDRESS TOKENS CALLERS BYTES SECONDS [CA]\n", argv[0]);
        exit(EXIT_FAILURE);
    }
    struct arguments given = {atoi(argv[3]), atof(argv[5]), NULL};
    details_len = strtoul(argv[4], NULL, 10);
    char options[1024];
    int len = snprintf(options, sizeof options, "{\"address\":\"%s\"", argv[1]);
    if (argc > 6) len += snprintf(options + len, sizeof options - (size_t)len, ",\"tls\":{\"server_ca_cert_path\":\"%s\"}", argv[6]);
    len += snprintf(options + len, sizeof options - (size_t)len, "}");
    thb_error_t *error;
    check(thb_connect(options, (size_t)len, &error), error);

    given.tokens = calloc((size_t)given.callers, sizeof *given.tokens);
    FILE *tokens = fopen(argv[2], "r");
    if (!tokens) {
        perror(argv[2]);
        exit(EXIT_FAILURE);
    }
    for (int i = 0; i < given.callers; i++) read_token(tokens, &given.tokens[i]);
    fclose(tokens);
    atomic_store(&ending, given.seconds == 0);
    return given;
}

struct sample {
    double cpu;
    long began;
};

/* Begins to measure. */
static inline struct sample start(void) {
    struct sample sample = {cpu_s(), now_ns()};
    atomic_store(&measuring, true);
    return sample;
}

/* Stops, and prints the results. */
static inline void stop(struct sample sample) {
    atomic_store(&measuring, false);
    double cpu = cpu_s() - sample.cpu, took = (double)(now_ns() - sample.began) / 1e9;
    atomic_store(&ending, true);
    unsigned long calls = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) calls += histogram[bucket];
    printf("{\"calls\":%lu,\"seconds\":%.6f,\"cpu_s\":%.6f,\"p50_us\":%.2f,\"p99_us\":%.2f,\"rss_mb\":%.2f}\n", calls, took, cpu,
           quantile_us(calls, 0.5), quantile_us(calls, 0.99), peak_memory_mb());
}

#endif
