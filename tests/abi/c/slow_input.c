/* Inputs that could cost disproportionate time or memory. */
#include <sys/resource.h>
#include <time.h>

#include "check.h"

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A key of half a mebibyte, which is part of the path of a quarter of a million elements. */
static void long_paths(void) {
    enum { KEY = 1 << 19, REST = (1 << 20) - 100 - KEY };
    char *json = malloc(1 << 20);
    size_t len = (size_t)sprintf(json, "{\"details\":[{\"");
    memset(json + len, 'k', KEY);
    len += KEY;
    len += (size_t)sprintf(json + len, "\":[1");
    for (size_t i = 0; i < REST / 2; i++) len += (size_t)sprintf(json + len, ",1");
    len += (size_t)sprintf(json + len, "]}]}");
    double began = now();
    FAILS(THB_NOT_CONNECTED, thb_fail(TOKEN, TOKEN_LEN, json, len, 0, err));
    CHECK(now() - began < 5);
    free(json);
}

/* Thirty million values of two bytes each, with memory for only a few copies of them. */
static void many_values(void) {
    enum { LEN = 60 << 20, ROOM = 600 << 20 };
    CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){ROOM, ROOM}) == 0);
    char *payloads = malloc(LEN);
    for (size_t i = 0; i < LEN; i += 2) memcpy(payloads + i, "\x0a\x00", 2);
    FAILS(THB_NOT_CONNECTED, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_PAYLOADS, payloads, LEN, 0, NULL, err));
    free(payloads);
}

int main(void) {
    long_paths();
    many_values();
    return 0;
}
