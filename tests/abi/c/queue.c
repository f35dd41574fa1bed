/* Asynchronous calls. The server answers NOT_FOUND to tokens that begin with "gone", nothing to tokens that begin with "silent", and
 * acknowledges the others. */
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define NO_SEED "{\"initial_details\":\"\"}", 22

static thb_queue_t queue;

static void connected(void) {
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_queue_open(&queue, err));
    CHECK(queue > 0 && queue < (uint64_t)1 << 53);
}

/* Submits a heartbeat with the token "<kind><number>". */
static thb_status_t beat(const char *kind, uint64_t number, uint32_t timeout_ms) {
    char token[64];
    size_t len = (size_t)snprintf(token, sizeof token, "%s%llu", kind, (unsigned long long)number);
    return thb_queue_submit_heartbeat(queue, number, token, len, THB_ENCODING_JSON, "1", 1, timeout_ms, err);
}

/* Takes one completion, which must have this user_data, and returns its status. */
static thb_status_t next_of(uint64_t user_data) {
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, 1, 30000, &taken, err));
    CHECK(thb_completions_count(taken) == 1 && thb_completions_user_data(taken)[0] == user_data);
    thb_status_t status = thb_completions_statuses(taken)[0];
    const thb_error_t *failed = thb_completions_error(taken, 0);
    CHECK((failed == NULL) == (status == THB_OK) && (failed == NULL || thb_error_code(failed) == status));
    thb_completions_free(taken);
    return status;
}

static bool is_empty(void) {
    thb_completions_t *taken = POISONED(thb_completions_t);
    SUCCEEDS(thb_queue_next(queue, 1, 0, &taken, err));
    CHECK(taken == NULL || thb_completions_count(taken) == 1);
    thb_completions_free(taken);
    return taken == NULL;
}

enum { MOST_CALLS = 10000 };

/* The number of calls in flight. */
static size_t calls;
/* How often each call has completed, and the status that it had. */
static unsigned char seen[MOST_CALLS];
static thb_status_t found[MOST_CALLS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t completed;

static void take_all(size_t max, size_t count) {
    for (;;) {
        pthread_mutex_lock(&lock);
        bool is_over = completed >= count;
        pthread_mutex_unlock(&lock);
        if (is_over) return;
        thb_completions_t *taken;
        CHECK(is(THB_OK, thb_queue_next(queue, max, 100, &taken, NULL)));
        CHECK(thb_completions_count(taken) <= max);
        pthread_mutex_lock(&lock);
        for (size_t at = 0; at < thb_completions_count(taken); at++) {
            uint64_t number = thb_completions_user_data(taken)[at];
            CHECK(number < calls && ++seen[number] == 1);
            found[number] = thb_completions_statuses(taken)[at];
            CHECK(thb_completions_signals(taken)[at] == 0 && thb_completions_details(taken, at) == NULL);
        }
        completed += thb_completions_count(taken);
        pthread_mutex_unlock(&lock);
        thb_completions_free(taken);
    }
}

static void calls_in_flight_have_their_own_results(void) {
    connected();
    for (uint64_t number = 0; number < calls; number++) SUCCEEDS(beat(number % 3 ? "token" : "gone", number, 60000));
    take_all(64, calls);
    for (size_t number = 0; number < calls; number++) CHECK(is(number % 3 ? THB_OK : THB_NOT_FOUND, found[number]));
    CHECK(is_empty());
}

static void *take_in_a_thread(void *unused) {
    take_all(7, calls);
    return unused;
}

static void four_threads_take_each_completion_once(void) {
    connected();
    pthread_t threads[4];
    for (int at = 0; at < 4; at++) CHECK(pthread_create(&threads[at], NULL, take_in_a_thread, NULL) == 0);
    for (uint64_t number = 0; number < calls; number++) SUCCEEDS(beat("token", number, 60000));
    for (int at = 0; at < 4; at++) pthread_join(threads[at], NULL);
    CHECK(completed == calls && is_empty());
}

static void connect_and_disconnect_are_submitted_too(void) {
    SUCCEEDS(thb_queue_open(&queue, err));
    FAILS(THB_NOT_CONNECTED, beat("token", 1, 1000));
    FAILS(THB_CONFIG, thb_queue_submit_connect(queue, 1, "{\"adress\":1}", 12, err));
    SUCCEEDS(thb_queue_submit_disconnect(queue, 2, 1000, err));
    CHECK(is(THB_OK, next_of(2)));
    SUCCEEDS(thb_queue_submit_connect(queue, 3, NULL, 0, err));
    FAILS(THB_ALREADY_CONNECTED, thb_queue_submit_connect(queue, 4, NULL, 0, err));
    CHECK(is(THB_OK, next_of(3)));
    SUCCEEDS(beat("token", 5, 30000));
    CHECK(is(THB_OK, next_of(5)));
    SUCCEEDS(beat("silent", 6, 30000));
    SUCCEEDS(thb_queue_submit_disconnect(queue, 7, 30000, err));
    CHECK(is(THB_NOT_CONNECTED, next_of(6)));
    CHECK(is(THB_OK, next_of(7)));
    FAILS(THB_NOT_CONNECTED, beat("token", 8, 1000));
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(beat("token", 9, 30000));
    CHECK(is(THB_OK, next_of(9)));
    CHECK(is_empty());
}

static void what_needs_no_server_is_refused_at_once(void) {
    connected();
    thb_queue_t none = POISON;
    thb_completions_t *taken = POISONED(thb_completions_t);
    thb_activity_t activity;
    int32_t fd = 7;
    char *large = calloc(3 << 20, 1);
    FAILS(THB_INVALID_ARGUMENT, thb_queue_open(NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_next(queue, 0, 0, &taken, err));
    CHECK(taken == NULL);
    FAILS(THB_INVALID_ARGUMENT, thb_queue_next(queue, 1, 0, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_next(queue, 1, (uint32_t)INT32_MAX + 1, &taken, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_open_fd(queue, NULL, err));
    FAILS(THB_INVALID_HANDLE, thb_queue_open_fd(queue + 1, &fd, err));
    FAILS(THB_INVALID_HANDLE, thb_queue_cancel(0, 1, err));
    FAILS(THB_INVALID_HANDLE, thb_queue_close(none, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_submit_heartbeat(queue, 1, NULL, 1, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_submit_heartbeat(queue, 1, "x", (size_t)-1, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_submit_heartbeat(queue, 1, "x", 1, THB_ENCODING_NULL, "1", 1, 1000, err));
    FAILS(THB_TIMEOUT, beat("token", 1, 0));
    FAILS(THB_TOO_LARGE, thb_queue_submit_complete(queue, 1, "x", 1, THB_ENCODING_BINARY, large, 3 << 20, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_queue_submit_fail(queue, 1, "x", 1, "{\"a\":1}", 7, 1000, err));
    FAILS(THB_INVALID_HANDLE, thb_queue_submit_activity_flush(queue, 1, 7, 1000, err));
    FAILS(THB_INVALID_HANDLE, thb_queue_submit_activity_close(queue, 1, 7, 1000, err));
    SUCCEEDS(thb_activity_open("held", 4, NO_SEED, &activity, err));
    FAILS(THB_ALREADY_OPEN, thb_queue_submit_complete(queue, 1, "held", 4, THB_ENCODING_NONE, NULL, 0, 1000, err));
    SUCCEEDS(thb_activity_complete(activity, THB_ENCODING_NONE, NULL, 0, 30000, err));
    FAILS(THB_ENDED, thb_queue_submit_activity_complete(queue, 1, activity, THB_ENCODING_NONE, NULL, 0, 1000, err));
    FAILS(THB_ENDED, thb_queue_submit_activity_fail(queue, 1, activity, NULL, 0, 1000, err));
    CHECK(is_empty() && fd == 7 && none == POISON);
    CHECK(thb_completions_count(NULL) == 0 && thb_completions_statuses(NULL) == NULL && thb_completions_error(NULL, 0) == NULL);
    CHECK(thb_completions_take_details(NULL, 0) == NULL);
    thb_completions_free(NULL);
    free(large);
}

static bool is_readable(int fd) {
    struct pollfd polled = {fd, POLLIN, 0};
    return poll(&polled, 1, 0) == 1;
}

static void descriptor_is_readable_while_completions_wait(void) {
    connected();
    int32_t fd, other;
    SUCCEEDS(thb_queue_open_fd(queue, &fd, err));
    CHECK(!is_readable(fd));
    for (uint64_t number = 0; number < 3; number++) SUCCEEDS(beat("token", number, 30000));
    struct pollfd polled = {fd, POLLIN, 0};
    for (uint64_t number = 0; number < 3; number++) {
        CHECK(poll(&polled, 1, 30000) == 1);
        SUCCEEDS(thb_queue_open_fd(queue, &other, err));
        CHECK(is_readable(other));
        close(other);
        CHECK(is(THB_OK, next_of(number)));
    }
    CHECK(is_empty() && !is_readable(fd));
    SUCCEEDS(beat("token", 9, 30000));
    CHECK(poll(&polled, 1, 30000) == 1);
    CHECK(!is_empty());
    SUCCEEDS(thb_queue_close(queue, err));
    CHECK(is_readable(fd));
    close(fd);
}

static void calls_of_a_handle_run_in_order(void) {
    connected();
    thb_activity_t activity, again;
    uint32_t signals;
    SUCCEEDS(thb_activity_open("held", 4, NO_SEED, &activity, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "41", 2, NULL, err));
    SUCCEEDS(thb_queue_submit_activity_get_details(queue, 0, activity, 30000, err));
    SUCCEEDS(thb_queue_submit_activity_flush(queue, 1, activity, 30000, err));
    SUCCEEDS(thb_queue_submit_activity_complete(queue, 2, activity, THB_ENCODING_JSON, "42", 2, 30000, err));
    /* Refused if the activity is completed already. */
    thb_status_t late = thb_queue_submit_activity_fail(queue, 3, activity, NULL, 0, 30000, NULL);
    CHECK(late == THB_OK || late == THB_ENDED);
    SUCCEEDS(thb_queue_submit_activity_close(queue, 4, activity, 30000, err));
    thb_text_t *info;
    FAILS(THB_INVALID_HANDLE, thb_activity_get_signals(activity, &signals, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_get_info(activity, &info, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_heartbeat(activity, THB_ENCODING_JSON, "43", 2, NULL, err));
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, 1, 30000, &taken, err));
    CHECK(thb_completions_user_data(taken)[0] == 0 && thb_completions_statuses(taken)[0] == THB_OK);
    const thb_details_t *shown = thb_completions_details(taken, 0);
    CHECK(shown != NULL && thb_details_count(shown) == 0);
    thb_details_t *own = thb_completions_take_details(taken, 0);
    CHECK(own == shown && thb_completions_take_details(taken, 0) == NULL && thb_completions_details(taken, 0) == NULL);
    thb_completions_free(taken);
    CHECK(thb_details_count(own) == 0);
    thb_details_free(own);
    CHECK(is(THB_OK, next_of(1)));
    CHECK(is(THB_OK, next_of(2)));
    if (late == THB_OK) CHECK(is(THB_ENDED, next_of(3)));
    CHECK(is(THB_OK, next_of(4)));
    SUCCEEDS(thb_activity_open("held", 4, NO_SEED, &again, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_get_signals(activity, &signals, err));
    /* The token is held until the newest record is sent. */
    SUCCEEDS(thb_activity_open("silent", 6, NO_SEED, &activity, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "41", 2, NULL, err));
    SUCCEEDS(thb_queue_submit_activity_close(queue, 5, activity, 200, err));
    FAILS(THB_ALREADY_OPEN, thb_activity_open("silent", 6, NO_SEED, &activity, err));
    CHECK(is(THB_TIMEOUT, next_of(5)));
    SUCCEEDS(thb_activity_open("silent", 6, NO_SEED, &activity, err));
    SUCCEEDS(thb_disconnect(0, err));
}

static void cancelled_calls_end_at_once(void) {
    connected();
    for (uint64_t number = 0; number < calls; number++) SUCCEEDS(beat("silent", number, 3600000));
    SUCCEEDS(thb_queue_submit_complete(queue, calls, "silent", 6, THB_ENCODING_NONE, NULL, 0, 3600000, err));
    for (uint64_t number = 0; number < calls; number++) SUCCEEDS(thb_queue_cancel(queue, number, err));
    take_all(calls, calls);
    for (size_t number = 0; number < calls; number++) CHECK(is(THB_TIMEOUT, found[number]));
    CHECK(is_empty());
    SUCCEEDS(thb_queue_cancel(queue, calls, err));
    CHECK(is(THB_TIMEOUT, next_of(calls)));
    SUCCEEDS(thb_queue_cancel(queue, calls, err));
}

static void disconnect_completes_the_calls_before_it_returns(void) {
    connected();
    for (uint64_t number = 0; number < 100; number++) SUCCEEDS(beat("silent", number, 60000));
    SUCCEEDS(thb_disconnect(0, err));
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, calls, 0, &taken, err));
    CHECK(thb_completions_count(taken) == 100);
    for (int at = 0; at < 100; at++) CHECK(is(THB_NOT_CONNECTED, thb_completions_statuses(taken)[at]));
    SUCCEEDS(thb_queue_close(queue, err));
    CHECK(strstr(thb_error_message(thb_completions_error(taken, 99)), "disconnected"));
    CHECK(thb_completions_error(taken, 100) == NULL);
    thb_completions_free(taken);
}

static void *wait_until_closed(void *unused) {
    thb_completions_t *taken;
    CHECK(is(THB_INVALID_HANDLE, thb_queue_next(queue, 1, THB_FOREVER, &taken, NULL)));
    CHECK(taken == NULL);
    return unused;
}

static void close_wakes_the_waiting_threads_and_drops_results(void) {
    connected();
    pthread_t threads[4];
    for (int at = 0; at < 4; at++) CHECK(pthread_create(&threads[at], NULL, wait_until_closed, NULL) == 0);
    SUCCEEDS(beat("silent", 1, 60000));
    SUCCEEDS(thb_queue_close(queue, err));
    for (int at = 0; at < 4; at++) pthread_join(threads[at], NULL);
    FAILS(THB_INVALID_HANDLE, beat("token", 1, 1000));
    thb_queue_t closed = queue;
    SUCCEEDS(thb_queue_open(&queue, err));
    CHECK(queue != closed);
    SUCCEEDS(beat("token", 2, 30000));
    CHECK(is(THB_OK, next_of(2)));
    SUCCEEDS(thb_disconnect(0, err));
}

static void child_has_no_calls_of_its_parent(void) {
    connected();
    SUCCEEDS(beat("token", 1, 30000));
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, 1, 30000, &taken, err));
    SUCCEEDS(beat("silent", 2, 60000));
    pid_t child = fork();
    if (child == 0) {
        thb_completions_t *none;
        FAILS(THB_FORKED, thb_queue_next(queue, 1, 1000, &none, err));
        FAILS(THB_FORKED, beat("token", 3, 1000));
        FAILS(THB_FORKED, thb_queue_close(queue, err));
        CHECK(thb_completions_count(taken) == 1 && thb_completions_user_data(taken)[0] == 1);
        thb_completions_free(taken);
        SUCCEEDS(thb_queue_open(&queue, err));
        SUCCEEDS(beat("token", 4, 30000));
        CHECK(is(THB_OK, next_of(4)));
        CHECK(is_empty());
        SUCCEEDS(thb_disconnect(0, err));
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(thb_completions_user_data(taken)[0] == 1);
    thb_completions_free(taken);
    SUCCEEDS(beat("token", 5, 30000));
    CHECK(is(THB_OK, next_of(5)));
    SUCCEEDS(thb_disconnect(0, err));
    CHECK(is(THB_NOT_CONNECTED, next_of(2)));
}

enum { MAX_CALLS = 65536, LARGE = 1 << 20 };

static void outstanding_calls_are_limited(void) {
    connected();
    for (uint64_t number = 0; number < MAX_CALLS; number++) SUCCEEDS(beat("silent", number, 600000));
    FAILS_BECAUSE(THB_LOCAL_LIMIT, beat("token", 1, 60000));
    CHECK(strstr(thb_error_message(error), "65536"));
    thb_error_free(error);
    /* A call is outstanding until its completion is taken. */
    SUCCEEDS(thb_queue_cancel(queue, 1, err));
    int32_t fd;
    SUCCEEDS(thb_queue_open_fd(queue, &fd, err));
    CHECK(poll(&(struct pollfd){fd, POLLIN, 0}, 1, 30000) == 1);
    close(fd);
    FAILS(THB_LOCAL_LIMIT, beat("token", 1, 60000));
    CHECK(is(THB_TIMEOUT, next_of(1)));
    SUCCEEDS(beat("silent", 1, 600000));
    FAILS(THB_LOCAL_LIMIT, beat("token", 1, 60000));
    SUCCEEDS(thb_disconnect(0, err));
    thb_completions_t *taken;
    SUCCEEDS(thb_queue_next(queue, SIZE_MAX, 0, &taken, err));
    CHECK(thb_completions_count(taken) == MAX_CALLS);
    thb_completions_free(taken);
}

/* Not the resident memory: the allocator keeps freed memory, and how much depends on the threads. */
static size_t bytes_in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void take_max_calls(void) {
    for (size_t left = MAX_CALLS; left > 0;) {
        thb_completions_t *taken;
        SUCCEEDS(thb_queue_next(queue, 1000, 60000, &taken, err));
        CHECK(taken != NULL);
        left -= thb_completions_count(taken);
        thb_completions_free(taken);
    }
}

/* The completions aren't taken while ten million submissions are refused, and then again and again. */
static void refused_submissions_and_untaken_completions_use_limited_memory(void) {
    enum { ROUNDS = 10, REFUSED = 10000000 };
    connected();
    size_t bytes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        /* One of them is sent. The others wait for their turn until their time is over. */
        for (int number = 0; number < MAX_CALLS; number++) SUCCEEDS(beat("silent", 0, 1));
        err = NULL;
        for (int refused = 0; refused < REFUSED / ROUNDS; refused++) CHECK(beat("token", 1, THB_FOREVER) == THB_LOCAL_LIMIT);
        take_max_calls();
        if (round == 1) bytes = bytes_in_use();
    }
    printf("%zu bytes in use after two rounds, %zu after %d\n", bytes, bytes_in_use(), ROUNDS);
    CHECK(bytes_in_use() < bytes + bytes / 10);
    CHECK(is_empty());
}

static void inputs_of_outstanding_calls_are_limited(void) {
    connected();
    char *large = calloc(LARGE, 1);
    for (int number = 0; number < 63; number++) {
        SUCCEEDS(thb_queue_submit_heartbeat(queue, 2, "a token", 7, THB_ENCODING_BINARY, large, LARGE, 60000, err));
    }
    FAILS_BECAUSE(THB_LOCAL_LIMIT, thb_queue_submit_heartbeat(queue, 2, "a token", 7, THB_ENCODING_BINARY, large, LARGE, 60000, err));
    CHECK(strstr(thb_error_message(error), "64 MiB"));
    thb_error_free(error);
    SUCCEEDS(beat("token", 2, 30000));
    for (int number = 0; number < 64; number++) CHECK(is(THB_OK, next_of(2)));
    SUCCEEDS(thb_queue_submit_heartbeat(queue, 3, "a token", 7, THB_ENCODING_BINARY, large, LARGE, 60000, err));
    CHECK(is(THB_OK, next_of(3)));
    free(large);
}

/* The options are too large for what the untaken completions leave. */
static void refused_connect_leaves_no_connection(void) {
    connected();
    char *large = calloc(LARGE, 1);
    for (int number = 0; number < 63; number++) {
        SUCCEEDS(thb_queue_submit_heartbeat(queue, 1, "silent", 6, THB_ENCODING_BINARY, large, LARGE, 60000, err));
    }
    SUCCEEDS(thb_disconnect(0, err));
    memset(large, ' ', LARGE);
    memcpy(large, "{\"lazy\":true}", 13);
    FAILS(THB_LOCAL_LIMIT, thb_queue_submit_connect(queue, 2, large, LARGE, err));
    FAILS(THB_NOT_CONNECTED, beat("token", 3, 30000));
    SUCCEEDS(thb_connect(large, LARGE, err));
    SUCCEEDS(beat("token", 4, 30000));
    for (int number = 0; number < 63; number++) CHECK(is(THB_NOT_CONNECTED, next_of(1)));
    CHECK(is(THB_OK, next_of(4)));
    free(large);
}

static void program_may_end_with_calls_outstanding(void) {
    connected();
    for (uint64_t number = 0; number < 100; number++) SUCCEEDS(beat("token", number, 60000));
}

static void exit_waits_a_limited_time_for_calls(void) {
    connected();
    SUCCEEDS(beat("silent", 1, 60000));
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } cases[] = {
        {"results", calls_in_flight_have_their_own_results},
        {"threads", four_threads_take_each_completion_once},
        {"connect", connect_and_disconnect_are_submitted_too},
        {"refused", what_needs_no_server_is_refused_at_once},
        {"descriptor", descriptor_is_readable_while_completions_wait},
        {"activity", calls_of_a_handle_run_in_order},
        {"cancel", cancelled_calls_end_at_once},
        {"disconnect", disconnect_completes_the_calls_before_it_returns},
        {"close", close_wakes_the_waiting_threads_and_drops_results},
        {"fork", child_has_no_calls_of_its_parent},
        {"limit", outstanding_calls_are_limited},
        {"flood", refused_submissions_and_untaken_completions_use_limited_memory},
        {"inputs", inputs_of_outstanding_calls_are_limited},
        {"refused_connect", refused_connect_leaves_no_connection},
        {"exit", program_may_end_with_calls_outstanding},
        {"silent_exit", exit_waits_a_limited_time_for_calls},
    };
    CHECK(argc == 3);
    calls = (size_t)atoi(argv[2]);
    CHECK(calls <= MOST_CALLS);
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        if (strcmp(cases[at].name, argv[1]) == 0) {
            cases[at].run();
            return 0;
        }
    }
    CHECK(!"a known case");
    return 0;
}
