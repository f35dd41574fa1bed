/* An activity worker in C: takes tasks from a task queue, and completes each after a hundred steps.
 *
 *     worker TASK_QUEUE
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

static volatile sig_atomic_t is_stopping = 0;

static void stop(int signal) {
    (void)signal;
    is_stopping = 1;
}

/* Does the work of a task, and ends its activity. */
static thb_status_t work_on(const thb_task_t *task, thb_error_t **error) {
    thb_activity_t activity = thb_task_activity(task);
    size_t len = 0;
    const char *last = thb_details_data(thb_task_details(task), 0, &len); /* of the previous attempt */
    char json[16] = "0";
    if (last) snprintf(json, sizeof json, "%.*s", (int)len, last);
    for (int step = atoi(json) + 1; step <= 100; step++) {
        /* ... the work ... */
        int digits = snprintf(json, sizeof json, "%d", step);
        uint32_t signals = 0;
        thb_status_t status = thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, (size_t)digits, &signals, error);
        if (status != THB_OK) return status; /* THB_NOT_FOUND: the attempt is over */
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, 10000, error);
    }
    return thb_activity_complete(activity, THB_ENCODING_JSON, "\"100 steps\"", 11, 10000, error);
}

int main(int count, char **arguments) {
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    char options[256];
    snprintf(options, sizeof options, "{\"task_queue\": \"%s\", \"max_concurrent\": 1}", count > 1 ? arguments[1] : "models");
    thb_error_t *error = NULL;
    thb_worker_t worker = 0;
    thb_status_t status = thb_connect(NULL, 0, &error); /* TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE */
    if (status == THB_OK) status = thb_worker_open(options, strlen(options), &worker, &error);
    if (status == THB_OK) puts("running"), fflush(stdout);
    while (status == THB_OK) {
        thb_task_t *task = NULL;
        status = thb_worker_next(worker, 1000, &task, &error);
        if (is_stopping) thb_worker_shutdown(worker, 0, NULL); /* then THB_ENDED follows the last task */
        if (task == NULL) continue;
        printf("%s\n", thb_task_activity_type(task)), fflush(stdout);
        if (work_on(task, &error) != THB_OK) fprintf(stderr, "%s\n", thb_error_message(error));
        thb_error_free(error);
        error = NULL;
        thb_activity_close(thb_task_activity(task), 10000, NULL);
        thb_task_free(task);
    }
    if (status != THB_ENDED) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(10000, NULL);
    return status != THB_ENDED;
}
