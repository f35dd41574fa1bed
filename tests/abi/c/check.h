/* Macros and values with which the programs in this folder check calls. */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

#define CHECK(condition)                                                           \
    do {                                                                           \
        if (!(condition)) {                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                               \
        }                                                                          \
    } while (0)

/* The value of an output before a call, which shows whether the call wrote it. */
static char poison_target __attribute__((unused));
#define POISONED(type) ((type *)(void *)&poison_target)
#define POISON 0xDEADBEEFu

/* The encoding of a temporal.server.api.token.v1.Task with the four fields that identify a workflow's activity. */
#define TOKEN "\x0a\x02ns\x12\x02wf\x1a\x03run\x32\x01" "5"
#define TOKEN_LEN (sizeof TOKEN - 1)

/* The error, and the pointer that receives it: in FAILS and SUCCEEDS, `err` stands for error_out. */
static thb_error_t *error __attribute__((unused));
static thb_error_t **err __attribute__((unused));

static inline bool is_utf8(const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at;) {
        int more = *at < 0x80 ? 0 : *at >> 5 == 6 ? 1 : *at >> 4 == 14 ? 2 : *at >> 3 == 30 ? 3 : -1;
        unsigned code = more < 0 ? 0 : more == 0 ? *at : *at & (0x3Fu >> more);
        if (more < 0) return false;
        for (at++; more > 0; more--, at++) {
            if (*at >> 6 != 2) return false;
            code = code << 6 | (*at & 0x3F);
        }
        if (code >= 0xD800 && code < 0xE000) return false;
    }
    return true;
}

/* Returns whether a call returned the expected status, and prints the actual one if not. */
static inline bool is(thb_status_t wanted, thb_status_t status) {
    if (status != wanted) fprintf(stderr, "%s, not %s\n", thb_status_name(status), thb_status_name(wanted));
    return status == wanted;
}

/* Checks what must hold for every error. */
static inline void check_error(thb_status_t status) {
    CHECK(error != NULL && error != POISONED(thb_error_t));
    CHECK(thb_error_code(error) == status);
    CHECK(thb_error_message(error) != NULL && *thb_error_message(error) != '\0' && is_utf8(thb_error_message(error)));
    CHECK(thb_error_grpc_code(error) >= -1 && thb_error_retry_after_ms(error) >= -1);
    CHECK(thb_error_is_retryable(error) == 0 || thb_error_is_retryable(error) == 1);
}

/* Checks that the call fails with `status`, also when error_out is NULL. The caller must free `error`. */
#define FAILS_BECAUSE(status, call)   \
    do {                              \
        err = NULL;                   \
        CHECK(is(status, call));    \
        error = POISONED(thb_error_t); \
        err = &error;                 \
        CHECK(is(status, call));    \
        check_error(status);          \
    } while (0)

#define FAILS(status, call)          \
    do {                             \
        FAILS_BECAUSE(status, call); \
        thb_error_free(error);       \
        error = NULL;                \
    } while (0)

#define SUCCEEDS(call)                 \
    do {                               \
        error = POISONED(thb_error_t); \
        err = &error;                  \
        CHECK(is(THB_OK, call));       \
        CHECK(error == NULL);          \
    } while (0)

#endif
