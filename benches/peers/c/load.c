/* Measures loading the shared library without calling it: time, memory, threads.
 *
 *     load LIBRARY
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Reads a number from /proc/self/status. */
static long status(const char *name) {
    char line[256];
    long value = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) value = strtol(line + strlen(name) + 1, NULL, 10);
    if (file) fclose(file);
    return value;
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s LIBRARY\n", argv[0]), EXIT_FAILURE;
    /* The first read allocates its own buffers. */
    status("VmRSS");
    long rss_kb = status("VmRSS"), private_kb = status("RssAnon");
    size_t heap = mallinfo2().uordblks;
    double began = now_us();
    if (!dlopen(argv[1], RTLD_NOW)) return fprintf(stderr, "%s\n", dlerror()), EXIT_FAILURE;
    double took = now_us() - began;
    heap = mallinfo2().uordblks - heap;
    printf("{\"us\":%.1f,\"rss_kb\":%ld,\"private_kb\":%ld,\"heap_bytes\":%zu,\"threads\":%ld}\n", took, status("VmRSS") - rss_kb,
           status("RssAnon") - private_kb, heap, status("Threads") - 1);
}
