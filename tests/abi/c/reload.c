/* dlopen, use and dlclose, argv[2] times. Each time the library is at the same address, and nothing grows. argv[1] is the library.
 * Every other time the client stays connected, so the library's thread keeps running. */
#include <dirent.h>
#include <dlfcn.h>
#include <unistd.h>

#include "check.h"

static size_t entries(const char *folder) {
    size_t count = 0;
    DIR *all = opendir(folder);
    CHECK(all != NULL);
    while (readdir(all)) count++;
    closedir(all);
    return count;
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

#define FUNCTION(name) \
    __typeof__(&thb_##name) name; \
    *(void **)&name = symbol(library, "thb_" #name)

/* Uses the library, and returns its address. */
static void *use(const char *path, bool connected, bool disconnects) {
    static const char options[] = "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}";
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    FUNCTION(connect);
    FUNCTION(heartbeat);
    FUNCTION(activity_open);
    FUNCTION(activity_heartbeat);
    FUNCTION(activity_flush);
    FUNCTION(activity_close);
    FUNCTION(worker_open);
    FUNCTION(worker_next);
    FUNCTION(disconnect);
    CHECK(connect(NULL, 0, NULL) == (connected ? THB_ALREADY_CONNECTED : THB_OK));
    CHECK(heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "1", 1, 30000, NULL, NULL) == THB_OK);
    thb_activity_t activity;
    CHECK(activity_open("held", 4, options, sizeof options - 1, &activity, NULL) == THB_OK);
    CHECK(activity_heartbeat(activity, THB_ENCODING_JSON, "2", 1, NULL, NULL) == THB_OK);
    CHECK(activity_flush(activity, 30000, NULL) == THB_OK);
    CHECK(activity_close(activity, 30000, NULL) == THB_OK);
    /* Nothing but a disconnect closes the worker and its task. */
    thb_worker_t worker;
    thb_task_t *task;
    CHECK(worker_open("{\"task_queue\":\"q\",\"max_concurrent\":2}", 37, &worker, NULL) == THB_OK);
    CHECK(worker_next(worker, 30000, &task, NULL) == THB_OK && task != NULL);
    FUNCTION(task_free);
    task_free(task);
    if (disconnects) CHECK(disconnect(30000, NULL) == THB_OK);
    CHECK(dlclose(library) == 0);
    return *(void **)&connect;
}

/* Waits, because a stopped thread keeps its resources for a moment. */
static void wait_for_at_most(size_t limit, const char *folder) {
    for (int i = 0; entries(folder) > limit; i++) {
        CHECK(i < 10000);
        usleep(1000);
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const int times = atoi(argv[2]);
    void *where = NULL;
    size_t threads = 0, descriptors = 0;
    for (int i = 0; i < times; i++) {
        void *here = use(argv[1], i % 2 == 1, i % 2 == 1);
        CHECK(where == NULL || here == where);
        where = here;
        if (i == 1) threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
    }
    wait_for_at_most(threads, "/proc/self/task");
    wait_for_at_most(descriptors, "/proc/self/fd");
    printf("%d times opened, used and closed\n", times);
    return 0;
}
