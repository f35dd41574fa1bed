/* An activity worker whose activities do nothing, through the shared library. Prints one line of JSON when it has done all tasks.
 *
 *     worker ADDRESS TASK_QUEUE TASKS THREADS
 */
#include "measure.h"

#include <pthread.h>

static thb_worker_t worker;

static void *take_tasks(void *unused) {
    for (;;) {
        thb_task_t *task = NULL;
        thb_error_t *error = NULL;
        thb_status_t status = thb_worker_next(worker, THB_FOREVER, &task, &error);
        if (status == THB_ENDED) return unused;
        check(status, error);
        thb_activity_t activity = thb_task_activity(task);
        check(thb_activity_complete(activity, THB_ENCODING_NULL, NULL, 0, TIMEOUT_MS, &error), error);
        check(thb_activity_close(activity, TIMEOUT_MS, &error), error);
        thb_task_free(task);
    }
}

int main(int count, char **arguments) {
    if (count != 5) return EXIT_FAILURE;
    char options[512];
    thb_error_t *error = NULL;
    int len = snprintf(options, sizeof options, "{\"address\": \"%s\"}", arguments[1]);
    check(thb_connect(options, (size_t)len, &error), error);
    const long began = now_ns();
    len = snprintf(options, sizeof options, "{\"task_queue\": \"%s\", \"max_tasks\": %s, \"max_concurrent\": %s}", arguments[2],
                   arguments[3], arguments[4]);
    check(thb_worker_open(options, (size_t)len, &worker, &error), error);
    pthread_t threads[256];
    const int used = atoi(arguments[4]);
    for (int i = 0; i < used; i++) pthread_create(&threads[i], NULL, take_tasks, NULL);
    for (int i = 0; i < used; i++) pthread_join(threads[i], NULL);
    printf("{\"tasks\": %s, \"seconds\": %.3f, \"cpu_s\": %.3f, \"rss_mb\": %.1f}\n", arguments[3],
           (double)(now_ns() - began) / 1e9, cpu_s(), peak_memory_mb());
    return EXIT_SUCCESS;
}
