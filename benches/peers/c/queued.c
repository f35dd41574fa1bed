/* One thread with CALLERS heartbeats in flight: each completion is followed by the next heartbeat of the same token. See ../README.md.
 *
 *     queued ADDRESS TOKENS CALLERS BYTES SECONDS [CA]
 *
 * If SECONDS is 0, each token gets one heartbeat and nothing is measured.
 */
#include "measure.h"

static thb_queue_t queue;
static char *details;
static struct arguments given;
static long *began;

static void submit(uint64_t number) {
    const struct token *token = &given.tokens[number];
    thb_encoding_t encoding = details_len ? THB_ENCODING_BINARY : THB_ENCODING_NONE;
    thb_error_t *error;
    began[number] = now_ns();
    check(thb_queue_submit_heartbeat(queue, number, token->bytes, token->len, encoding, details, details_len, TIMEOUT_MS, &error), error);
}

/* Takes the completions that are ready. Returns their number. */
static size_t take(bool again) {
    thb_completions_t *taken;
    thb_error_t *error;
    check(thb_queue_next(queue, (size_t)given.callers, THB_FOREVER, &taken, &error), error);
    size_t count = thb_completions_count(taken);
    const uint64_t *numbers = thb_completions_user_data(taken);
    const thb_status_t *statuses = thb_completions_statuses(taken);
    long now = now_ns();
    for (size_t at = 0; at < count; at++) {
        if (statuses[at] != THB_OK) {
            fprintf(stderr, "%s\n", thb_error_message(thb_completions_error(taken, at)));
            exit(EXIT_FAILURE);
        }
        if (atomic_load_explicit(&measuring, memory_order_relaxed)) record(now - began[numbers[at]]);
        if (again) submit(numbers[at]);
    }
    thb_completions_free(taken);
    return count;
}

static void run_for(double seconds) {
    long end = now_ns() + (long)(seconds * 1e9);
    while (now_ns() < end) take(true);
}

int main(int argc, char **argv) {
    given = begin(argc, argv);
    thb_error_t *error;
    check(thb_queue_open(&queue, &error), error);
    details = malloc(details_len + 1);
    memset(details, 'x', details_len);
    began = calloc((size_t)given.callers, sizeof *began);
    for (int i = 0; i < given.callers; i++) submit((uint64_t)i);
    if (given.seconds > 0) {
        run_for(WARM_UP_NS / 1e9);
        struct sample sample = start();
        run_for(given.seconds);
        stop(sample);
    }
    for (size_t left = (size_t)given.callers; left > 0;) left -= take(false);
    check(thb_disconnect(1000, &error), error);
    free(details);
    free(began);
    free(given.tokens);
}
