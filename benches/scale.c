/* Measures the cost of many open activities: the memory of each, and the processor time of their automatic heartbeats.
 *
 *     scale ADDRESS ACTIVITIES SECONDS
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "temporal_heartbeat.h"

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_s(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static double resident(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1) pages = 0;
    if (file) fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static int threads(void) {
    int count = 0;
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "Threads: %d", &count);
    if (file) fclose(file);
    return count;
}

static void check(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    exit(EXIT_FAILURE);
}

/* Writes a token of a realistic size, 170 bytes: ids of 36 characters, with the number in the workflow's id. */
static size_t make_token(char *token, long number) {
    char id[48];
    char *end = token;
    snprintf(id, sizeof id, "00000000-0000-0000-0000-%012u", (unsigned)number);
    static const char fields[] = {0x0a, 0x12, 0x1a, 0x32};
    for (size_t i = 0; i < sizeof fields; i++) {
        *end++ = fields[i];
        *end++ = 36;
        memcpy(end, id, 36);
        end += 36;
    }
    *end++ = 0x42; /* activity_type */
    *end++ = 14;
    memcpy(end, "process_things", 14);
    return (size_t)(end + 14 - token);
}

int main(int argc, char **argv) {
    if (argc != 4) return fprintf(stderr, "usage: %s ADDRESS ACTIVITIES SECONDS\n", argv[0]), EXIT_FAILURE;
    long count = strtol(argv[2], NULL, 10);
    unsigned seconds = (unsigned)strtoul(argv[3], NULL, 10);
    char options[128];
    int len = snprintf(options, sizeof options, "{\"address\":\"%s\"}", argv[1]);
    thb_error_t *error;
    check(thb_connect(options, (size_t)len, &error), error);

    double memory = resident(), began = now_s();
    static const char held[] = "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":30000}";
    for (long i = 0; i < count; i++) {
        char token[256];
        thb_activity_t activity;
        check(thb_activity_open(token, make_token(token, i), held, sizeof held - 1, &activity, &error), error);
    }
    double opened = now_s() - began;
    printf("%ld activities opened in %.2f s (%.2f us each), %.0f bytes of memory each\n", count, opened,
           opened / (double)count * 1e6, (resident() - memory) / (double)count);

    double cpu = cpu_s();
    sleep(seconds);
    if (seconds > 0)
        printf("%u s of automatic heartbeats, heartbeat timeout 30 s: %.1f %% of a processor, %d threads including main\n", seconds,
               (cpu_s() - cpu) / seconds * 100, threads());
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* closing all activities isn't measured */
}
