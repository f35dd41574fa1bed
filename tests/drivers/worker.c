/* An activity worker: records steps, and continues after the last step that the previous attempt has recorded.
 *
 *     worker TASK_QUEUE FOLDER OPTIONS THREADS
 *
 * OPTIONS are those of thb_worker_open, without the task queue: "" or a comma and members of the JSON object. An activity
 * has two arguments: the number of steps (0: as many as it takes until there is a file "go" in the folder), and the
 * milliseconds of each. The result is the number of the last step. Without arguments it does nothing.
 * SIGTERM shuts down the worker, which does the tasks that have arrived.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "temporal_heartbeat.h"

enum { MAX_THREADS = 64, TIMEOUT_MS = 60000 };

static thb_worker_t worker;
static char go[4096];
static atomic_int done;

static void check(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    exit(EXIT_FAILURE);
}

static int number(const thb_details_t *details, size_t index) {
    size_t len = 0;
    const char *text = thb_details_data(details, index, &len);
    char copy[16] = "0";
    if (text) snprintf(copy, sizeof copy, "%.*s", (int)len, text);
    return atoi(copy);
}

/* Returns OK, or why the attempt can't be completed: it is over. */
static thb_status_t work_on(const thb_task_t *task, thb_error_t **error) {
    thb_activity_t activity = thb_task_activity(task);
    const thb_details_t *input = thb_task_input(task);
    const int steps = number(input, 0), ms = number(input, 1), from = number(thb_task_details(task), 0);
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    const int is_counted = thb_details_count(input) == 2;
    if (is_counted) {
        int attempt = 0;
        char id[64] = "";
        sscanf(strstr(thb_task_info(task), "\"activity_id\":"), "\"activity_id\":\"%63[^\"]", id);
        sscanf(strstr(thb_task_info(task), "\"attempt\":"), "\"attempt\":%d", &attempt);
        printf("attempt %d of %s from %d\n", attempt, id, from);
    }
    char json[16] = "null";
    for (int step = from + 1; is_counted && (steps ? step <= steps : access(go, F_OK) != 0); step++) {
        nanosleep(&pause, NULL);
        const int len = snprintf(json, sizeof json, "%d", step);
        thb_status_t status = thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, (size_t)len, NULL, error);
        if (status != THB_OK) return status;
    }
    return thb_activity_complete(activity, THB_ENCODING_JSON, json, strlen(json), TIMEOUT_MS, error);
}

static void *take_tasks(void *unused) {
    for (;;) {
        thb_task_t *task = NULL;
        thb_error_t *error = NULL;
        thb_status_t status = thb_worker_next(worker, THB_FOREVER, &task, &error);
        if (status == THB_ENDED) return thb_error_free(error), unused;
        check(status, error);
        if (work_on(task, &error) == THB_OK) done++;
        else fprintf(stderr, "%s\n", thb_error_message(error));
        thb_error_free(error);
        thb_activity_close(thb_task_activity(task), TIMEOUT_MS, NULL);
        thb_task_free(task);
    }
}

static void *wait_for_signal(void *signals) {
    int number;
    sigwait(signals, &number);
    thb_worker_shutdown(worker, 0, NULL);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 5) return EXIT_FAILURE;
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(go, sizeof go, "%s/go", arguments[2]);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    thb_error_t *error = NULL;
    check(thb_connect(NULL, 0, &error), error); /* TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE */
    char options[512];
    int len = snprintf(options, sizeof options, "{\"task_queue\": \"%s\"%s}", arguments[1], arguments[3]);
    check(thb_worker_open(options, (size_t)len, &worker, &error), error);
    pthread_t waiter, threads[MAX_THREADS];
    pthread_create(&waiter, NULL, wait_for_signal, &signals);
    const int used = atoi(arguments[4]) < MAX_THREADS ? atoi(arguments[4]) : MAX_THREADS;
    for (int i = 0; i < used; i++) pthread_create(&threads[i], NULL, take_tasks, NULL);
    puts("running");
    for (int i = 0; i < used; i++) pthread_join(threads[i], NULL);
    printf("done %d\n", done);
    thb_disconnect(TIMEOUT_MS, NULL);
    return EXIT_SUCCESS;
}
