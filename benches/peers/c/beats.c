/* Threads that send heartbeats through the shared library, each as soon as the last is acknowledged. See ../README.md.
 *
 *     beats ADDRESS TOKENS CALLERS BYTES SECONDS [CA]
 *
 * If SECONDS is 0, each caller sends one heartbeat and nothing is measured.
 */
#include "measure.h"

#include <pthread.h>

static void *beat(void *argument) {
    const struct token *token = argument;
    char *details = malloc(details_len + 1);
    memset(details, 'x', details_len);
    long before = now_ns();
    do {
        uint32_t signals;
        thb_error_t *error;
        thb_encoding_t encoding = details_len ? THB_ENCODING_BINARY : THB_ENCODING_NONE;
        check(thb_heartbeat(token->bytes, token->len, encoding, details, details_len, TIMEOUT_MS, &signals, &error), error);
        long after = now_ns();
        if (atomic_load_explicit(&measuring, memory_order_relaxed)) record(after - before);
        before = after;
    } while (!atomic_load_explicit(&ending, memory_order_relaxed));
    free(details);
    return NULL;
}

int main(int argc, char **argv) {
    struct arguments given = begin(argc, argv);
    pthread_t *threads = calloc((size_t)given.callers, sizeof *threads);
    for (int i = 0; i < given.callers; i++) pthread_create(&threads[i], NULL, beat, &given.tokens[i]);
    if (given.seconds > 0) nanosleep(&(struct timespec){.tv_nsec = WARM_UP_NS}, NULL);
    struct sample sample = start();
    nanosleep(&(struct timespec){(time_t)given.seconds, (long)((given.seconds - (double)(time_t)given.seconds) * 1e9)}, NULL);
    stop(sample);
    for (int i = 0; i < given.callers; i++) pthread_join(threads[i], NULL);
    thb_error_t *error;
    check(thb_disconnect(1000, &error), error);
    free(threads);
    free(given.tokens);
}
