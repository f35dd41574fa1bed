/* One thread submits calls, four take completions, one cancels calls, and one forks, all at the same time. Some handles and queues are
 * closed while their calls run, and the client disconnects. Each accepted call completes exactly once. The server answers nothing to tokens
 * with "silent", NOT_FOUND to tokens with "gone", and acknowledges the others. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { MOST_CALLS = 100000, HARVESTERS = 4 };

static thb_queue_t queue;
/* How often each call was accepted and has completed. */
static _Atomic unsigned char accepted[MOST_CALLS], completed[MOST_CALLS];
static _Atomic uint64_t submitted, outstanding;
static _Atomic bool is_over, has_submitted_all;

static unsigned draw(unsigned *state, unsigned below) {
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

static void take(unsigned *state, uint32_t timeout_ms) {
    thb_completions_t *taken;
    CHECK(is(THB_OK, thb_queue_next(queue, 1 + draw(state, 64), timeout_ms, &taken, NULL)));
    for (size_t at = 0; at < thb_completions_count(taken); at++) {
        uint64_t number = thb_completions_user_data(taken)[at];
        thb_status_t status = thb_completions_statuses(taken)[at];
        CHECK(number < submitted && ++completed[number] == 1);
        const thb_error_t *failed = thb_completions_error(taken, at);
        CHECK((status == THB_OK) == (failed == NULL) && (failed == NULL || strlen(thb_error_message(failed)) > 0));
        thb_details_t *details = thb_completions_take_details(taken, at);
        CHECK(details == NULL || (status == THB_OK && thb_details_count(details) == 0));
        thb_details_free(details);
        outstanding--;
    }
    thb_completions_free(taken);
}

static void *harvest(void *seed) {
    unsigned state = (unsigned)(uintptr_t)seed;
    int32_t fd;
    CHECK(is(THB_OK, thb_queue_open_fd(queue, &fd, NULL)));
    while (!is_over) {
        struct pollfd polled = {fd, POLLIN, 0};
        if (state % 2) CHECK(poll(&polled, 1, 10) >= 0);
        take(&state, state % 2 ? 0 : 10);
    }
    close(fd);
    return NULL;
}

static void *cancel_calls(void *unused) {
    unsigned state = 7;
    while (!is_over) {
        uint64_t count = submitted;
        /* At the end all calls, of which the server never answers some. */
        for (uint64_t number = 0; has_submitted_all && number < count; number++)
            if (completed[number] == 0) CHECK(is(THB_OK, thb_queue_cancel(queue, number, NULL)));
        if (count > 0) CHECK(is(THB_OK, thb_queue_cancel(queue, draw(&state, (unsigned)count), NULL)));
        usleep(100);
    }
    return unused;
}

static void in_child(void) {
    alarm(200);
    thb_completions_t *taken;
    CHECK(is(THB_FORKED, thb_queue_next(queue, 1, 0, &taken, NULL)));
    CHECK(is(THB_FORKED, thb_queue_cancel(queue, 1, NULL)));
    CHECK(is(THB_FORKED, thb_queue_close(queue, NULL)));
    thb_queue_t own;
    CHECK(is(THB_OK, thb_queue_open(&own, NULL)));
    thb_status_t status = thb_queue_submit_heartbeat(own, 1, "child", 5, THB_ENCODING_JSON, "1", 1, 60000, NULL);
    CHECK(status == THB_NOT_CONNECTED || is(THB_OK, status)); /* the parent may have been disconnected */
    if (status == THB_OK) {
        CHECK(is(THB_OK, thb_queue_next(own, 1, 60000, &taken, NULL)) && taken != NULL);
        CHECK(is(THB_OK, thb_completions_statuses(taken)[0]));
        thb_completions_free(taken);
    }
    CHECK(is(THB_OK, thb_disconnect(1000, NULL)));
    _exit(0);
}

static void *fork_children(void *count) {
    for (uintptr_t left = (uintptr_t)count; left > 0 && !is_over; left--) {
        pid_t child = fork();
        if (child == 0) in_child();
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return NULL;
}

static void reconnect(void) {
    CHECK(is(THB_OK, thb_disconnect(0, NULL)));
    CHECK(is(THB_OK, thb_connect(NULL, 0, NULL)));
}

/* Closes a queue with calls in flight. */
static void abandon_calls(void) {
    thb_queue_t other;
    CHECK(is(THB_OK, thb_queue_open(&other, NULL)));
    for (uint64_t number = 0; number < 4; number++) {
        const char *token = number % 2 ? "abandoned" : "abandoned silent";
        CHECK(is(THB_OK, thb_queue_submit_heartbeat(other, number, token, strlen(token), THB_ENCODING_JSON, "1", 1, 1000, NULL)));
    }
    CHECK(is(THB_OK, thb_queue_close(other, NULL)));
}

static thb_status_t submit(unsigned *state, uint64_t number) {
    static const char *const kinds[] = {"token", "token", "token", "gone", "silent"};
    char token[64];
    size_t len = (size_t)snprintf(token, sizeof token, "%s %u", kinds[draw(state, 5)], draw(state, 500));
    switch (draw(state, 4)) {
    case 0: return thb_queue_submit_complete(queue, number, token, len, THB_ENCODING_NONE, NULL, 0, 30000, NULL);
    case 1: return thb_queue_submit_fail(queue, number, token, len, NULL, 0, 1 + draw(state, 20), NULL);
    default: return thb_queue_submit_heartbeat(queue, number, token, len, THB_ENCODING_JSON, "1", 1, 30000, NULL);
    }
}

static thb_status_t submit_to(thb_activity_t activity, unsigned *state, uint64_t number) {
    switch (draw(state, 4)) {
    case 0: return thb_queue_submit_activity_get_details(queue, number, activity, 30000, NULL);
    case 1: return thb_queue_submit_activity_flush(queue, number, activity, 30000, NULL);
    case 2: return thb_queue_submit_activity_complete(queue, number, activity, THB_ENCODING_NONE, NULL, 0, 30000, NULL);
    default: return thb_queue_submit_activity_close(queue, number, activity, 30000, NULL);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    uint64_t calls = (uint64_t)atoi(argv[1]);
    CHECK(calls <= MOST_CALLS);
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_queue_open(&queue, err));
    pthread_t threads[HARVESTERS + 2];
    for (uintptr_t at = 0; at < HARVESTERS; at++) CHECK(pthread_create(&threads[at], NULL, harvest, (void *)at) == 0);
    CHECK(pthread_create(&threads[HARVESTERS], NULL, cancel_calls, NULL) == 0);
    CHECK(pthread_create(&threads[HARVESTERS + 1], NULL, fork_children, (void *)(uintptr_t)atoi(argv[2])) == 0);
    unsigned state = 1;
    thb_activity_t activity = 0;
    for (uint64_t number = 0; number < calls; number++) {
        submitted++;
        outstanding++;
        thb_status_t status;
        if (number % 8 == 0) {
            /* The handle of an earlier round may be closed, or its calls may still run. */
            char token[64];
            size_t len = (size_t)snprintf(token, sizeof token, "held %u", draw(&state, 20));
            thb_activity_t opened;
            if (thb_activity_open(token, len, "{\"initial_details\":\"\"}", 22, &opened, NULL) == THB_OK) {
                if (draw(&state, 2)) thb_activity_close(activity, 0, NULL);
                activity = opened;
                CHECK(is(THB_OK, thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, NULL)));
            }
        }
        status = number % 4 == 0 ? submit_to(activity, &state, number) : submit(&state, number);
        accepted[number] = status == THB_OK;
        if (status != THB_OK) {
            CHECK(completed[number] == 0);
            outstanding--;
        }
        if (number % (calls / 10) == 5) reconnect();
        if (number % 100 == 50) abandon_calls();
    }
    has_submitted_all = true;
    while (outstanding > 0) usleep(1000);
    is_over = true;
    for (int at = 0; at < HARVESTERS + 2; at++) pthread_join(threads[at], NULL);
    for (uint64_t number = 0; number < calls; number++) CHECK(completed[number] == accepted[number]);
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, 1, 0, &taken, err));
    CHECK(taken == NULL);
    SUCCEEDS(thb_queue_close(queue, err));
    SUCCEEDS(thb_disconnect(0, err));
    return 0;
}
