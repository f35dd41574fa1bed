/* A program that hangs at its third item: it waits for a lock that another thread never releases. Its watchdog thread
 * notices that, and fails the attempt with the stack of the hung thread: the failure in the workflow names the function.
 *
 *     stalled            (linked with -rdynamic -pthread, so that the stack has names of functions)
 *
 * The library installs no handler. The handler of this program only stores where the hung thread is. The watchdog finds
 * the names, because a handler may call hardly any function. */
#define _GNU_SOURCE /* open_memstream, backtrace */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000, STACK_TIMEOUT_S = 2, MAX_FRAMES = 64 };

/* With "warn" the library leaves the attempt to the watchdog. In earnest: minutes. */
static const char OPEN[] = "{\"from_env\": true, \"stall_timeout_ms\": 500, \"stall_action\": \"warn\"}";

static thb_activity_t activity;
static pthread_t worker;
static atomic_int item;

static void *frames[MAX_FRAMES];
static int frame_count;
static sem_t is_stored;

static void store_stack(int signal) {
    (void)signal;
    const int error = errno;
    frame_count = backtrace(frames, MAX_FRAMES);
    sem_post(&is_stored);
    errno = error;
}

/* Call this before the work begins. */
static void prepare_handler(void) {
    void *frame[1];
    backtrace(frame, 1); /* the first call loads a library, which a handler must not do */
    sem_init(&is_stored, 0, 0);
    struct sigaction action = {0};
    action.sa_handler = store_stack;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, NULL);
}

/* Makes the worker store its stack. Fails if that thread can't handle signals, for example in a dead file system. */
static int get_stack(void) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += STACK_TIMEOUT_S;
    while (sem_trywait(&is_stored) == 0) {} /* an earlier stack that came too late */
    int failed = pthread_kill(worker, SIGUSR2);
    while (failed == 0 && sem_timedwait(&is_stored, &end) != 0) failed = errno == EINTR ? 0 : errno;
    return failed;
}

static void write_json_text(FILE *json, const char *text) {
    for (; *text != '\0'; ++text) {
        const unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') fprintf(json, "\\%c", byte);
        else fputc(byte >= ' ' && byte < 0x7f ? byte : '?', json);
    }
}

/* Returns the failure_json of thb_activity_fail. The caller frees it. */
static char *failure_json(int has_stack) {
    char *text = NULL;
    size_t size = 0;
    FILE *json = open_memstream(&text, &size);
    fprintf(json, "{\"type\": \"Stalled\", \"message\": \"no progress at item %d\", \"stack_trace\": \"", item);
    char **names = has_stack ? backtrace_symbols(frames, frame_count) : NULL;
    for (int frame = 2; names != NULL && frame < frame_count; ++frame) { /* 0 and 1: the handler */
        write_json_text(json, names[frame]);
        fputs("\\n", json);
    }
    free(names);
    fputs("\"}", json);
    fclose(json);
    return text;
}

static void *watch(void *unused) {
    thb_error_t *error = NULL;
    uint32_t signals = 0;
    thb_status_t status;
    while ((status = thb_activity_wait(activity, THB_SIGNAL_STALLED, 0, THB_FOREVER, &signals, NULL)) == THB_OK) {
        const int has_stack = get_stack() == 0;
        /* The work may have continued. */
        status = thb_activity_get_signals(activity, &signals, NULL);
        if (status != THB_OK || !(signals & THB_SIGNAL_STALLED)) continue;

        char *failure = failure_json(has_stack);
        status = thb_activity_fail(activity, failure, strlen(failure), TIMEOUT_MS, &error);
        free(failure);
        if (status == THB_ENDED) break; /* by the worker */
        if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
        /* A hung thread can't be ended. If the failure wasn't sent, the server times the attempt out. */
        _exit(EXIT_FAILURE);
    }
    thb_error_free(error);
    return unused; /* the work is done, and the handle is closed */
}

static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

static void *keep_the_table(void *is_locked) {
    pthread_mutex_lock(&table);
    sem_post(is_locked);
    for (;;) pause();
    return NULL;
}

/* Not static, so that it is a dynamic symbol, which backtrace_symbols can name. */
void wait_for_the_table(void);
__attribute__((noinline)) void wait_for_the_table(void) {
    pthread_mutex_lock(&table);
    pthread_mutex_unlock(&table);
}

static thb_status_t work(thb_error_t **error) {
    for (item = 0; item < 100; ++item) {
        if (item == 2) {
            sem_t is_locked;
            pthread_t other;
            sem_init(&is_locked, 0, 0);
            pthread_create(&other, NULL, keep_the_table, &is_locked);
            while (sem_wait(&is_locked) != 0) {}
        }
        wait_for_the_table();
        const thb_status_t status = thb_activity_touch(activity, NULL, error);
        if (status != THB_OK) return status;
    }
    return thb_activity_complete(activity, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
}

int main(void) {
    thb_error_t *error = NULL;
    prepare_handler();
    thb_status_t status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) status = thb_activity_open(NULL, 0, OPEN, strlen(OPEN), &activity, &error);
    if (status == THB_OK) {
        pthread_t watchdog;
        worker = pthread_self();
        pthread_create(&watchdog, NULL, watch, NULL);
        status = work(&error);
        thb_activity_close(activity, TIMEOUT_MS, NULL); /* ends the watchdog's wait */
        pthread_join(watchdog, NULL);
    }
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(TIMEOUT_MS, NULL);
    return status == THB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
