/* A worker takes a task. A forked child can read the task, but not use it: argv[1] is whether to fork. The program ends while a poll is in
 * progress. */
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define OPTIONS "{\"task_queue\":\"q\",\"max_concurrent\":2}", 37

/* Reads what a task contains. */
static void is_readable(const thb_task_t *task) {
    size_t len = 0;
    CHECK(strcmp(thb_task_activity_type(task), "t") == 0);
    CHECK(thb_task_token(task, &len) != NULL && len > 0);
    CHECK(strstr(thb_task_info(task), "\"activity_id\":\"1\"") != NULL);
    CHECK(strstr(thb_task_info(task), "\"heartbeat_timeout_ms\":60000") != NULL);
    CHECK(thb_details_count(thb_task_input(task)) == 0 && thb_details_count(thb_task_details(task)) == 0);
}

/* Checks what a forked child can do. */
static void use_in_child(thb_worker_t worker, thb_task_t *task) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60); /* makes a hanging child fail */
        thb_task_t *none = NULL;
        is_readable(task);
        CHECK(is(THB_FORKED, thb_worker_next(worker, 0, &none, NULL)));
        CHECK(is(THB_FORKED, thb_worker_shutdown(worker, 0, NULL)));
        CHECK(is(THB_FORKED, thb_worker_close(worker, 0, NULL)));
        CHECK(is(THB_FORKED, thb_activity_touch(thb_task_activity(task), NULL, NULL)));
        thb_task_free(task);
        exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    thb_worker_t worker = 7;
    CHECK(is(THB_NOT_CONNECTED, thb_worker_open(OPTIONS, &worker, NULL)) && worker == 7);
    SUCCEEDS(thb_connect(NULL, 0, err));
    CHECK(is(THB_CONFIG, thb_worker_open("{}", 2, &worker, NULL)) && worker == 7);
    SUCCEEDS(thb_worker_open(OPTIONS, &worker, err));
    CHECK(worker > 0 && worker < (uint64_t)1 << 53);

    int32_t descriptor = -1;
    SUCCEEDS(thb_worker_open_fd(worker, &descriptor, err));
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};
    CHECK(poll(&readable, 1, 30000) == 1);
    thb_task_t *task = POISONED(thb_task_t);
    SUCCEEDS(thb_worker_next(worker, 0, &task, err));
    CHECK(task != NULL);
    is_readable(task);
    thb_task_t *none = POISONED(thb_task_t);
    SUCCEEDS(thb_worker_next(worker, 0, &none, err));
    CHECK(none == NULL && poll(&readable, 1, 0) == 0);
    close(descriptor);

    thb_activity_t activity = thb_task_activity(task);
    if (strcmp(argv[1], "forks") == 0) use_in_child(worker, task);

    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_complete(activity, THB_ENCODING_JSON, "2", 1, 30000, err));
    SUCCEEDS(thb_activity_close(activity, 30000, err));
    /* The poll never ends. */
    CHECK(is(THB_TIMEOUT, thb_worker_shutdown(worker, 0, NULL)));
    CHECK(is(THB_TIMEOUT, thb_worker_close(worker, 0, NULL)));
    CHECK(is(THB_INVALID_HANDLE, thb_worker_next(worker, 30000, &none, NULL)));
    is_readable(task); /* tasks outlive their workers */
    thb_task_free(task);
    SUCCEEDS(thb_worker_open(OPTIONS, &worker, err));
    return 0;
}
