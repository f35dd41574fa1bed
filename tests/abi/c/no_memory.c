/* If there is no memory for the caller's data or for a thread, calls return THB_LOCAL_LIMIT. The library works again when there is. */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

#define LARGE ((size_t)256 << 20)

static char *large;

/* Limits the address space to the part that is in use, and `room` bytes. */
static void leave(size_t room) {
    long pages = 0;
    FILE *used = fopen("/proc/self/statm", "r");
    CHECK(used != NULL && fscanf(used, "%ld", &pages) == 1);
    fclose(used);
    struct rlimit limit = {(rlim_t)pages * 4096 + room, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void leave_all(void) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
}

static void no_memory_for_a_value(void) {
    thb_details_t *details;
    thb_activity_t activity;
    thb_text_t *info;
    SUCCEEDS(thb_details_new(&details, err));
    SUCCEEDS(thb_activity_open(TOKEN, TOKEN_LEN, "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51, &activity, err));
    SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_BINARY, "before", 6, NULL, err));
    leave(16 << 20);
    FAILS_BECAUSE(THB_LOCAL_LIMIT, thb_details_add(details, THB_ENCODING_BINARY, large, LARGE, err));
    CHECK(strstr(thb_error_message(error), "no memory for the 268435456 bytes of data"));
    thb_error_free(error);
    CHECK(thb_details_count(details) == 0);
    FAILS(THB_LOCAL_LIMIT, thb_activity_heartbeat(activity, THB_ENCODING_BINARY, large, LARGE, NULL, err));
    FAILS(THB_LOCAL_LIMIT, thb_activity_complete(activity, THB_ENCODING_BINARY, large, LARGE, 1000, err));
    FAILS(THB_LOCAL_LIMIT, thb_heartbeat("other", 5, THB_ENCODING_BINARY, large, LARGE, 1000, NULL, err));
    FAILS(THB_LOCAL_LIMIT, thb_complete("other", 5, THB_ENCODING_BINARY, large, LARGE, 1000, err));
    FAILS(THB_LOCAL_LIMIT, thb_report_cancelled("other", 5, THB_ENCODING_BINARY, large, LARGE, 1000, err));
    /* The library checks the sizes of these arguments first. */
    FAILS(THB_INVALID_ARGUMENT, thb_heartbeat(large, LARGE, THB_ENCODING_NONE, NULL, 0, 1000, NULL, err));
    FAILS(THB_TOO_LARGE, thb_fail("other", 5, large, LARGE, 1000, err));
    FAILS(THB_CONFIG, thb_activity_open("other", 5, large, LARGE, &(thb_activity_t){0}, err));
    /* The earlier details are still there. */
    SUCCEEDS(thb_details_add(details, THB_ENCODING_BINARY, "small", 5, err));
    CHECK(thb_details_count(details) == 1);
    SUCCEEDS(thb_activity_flush(activity, 30000, err));
    SUCCEEDS(thb_activity_get_info(activity, &info, err));
    thb_text_free(info);
    leave_all();
    SUCCEEDS(thb_details_add(details, THB_ENCODING_BINARY, large, LARGE, err));
    CHECK(thb_details_count(details) == 2);
    thb_details_free(details);
    SUCCEEDS(thb_activity_close(activity, 30000, err));
}

static void no_memory_for_a_thread(void) {
    leave(512 << 10); /* its stack takes 2 MiB */
    FAILS_BECAUSE(THB_LOCAL_LIMIT, thb_connect(NULL, 0, err));
    CHECK(thb_error_is_retryable(error) == 1 && strstr(thb_error_message(error), "limits of threads"));
    thb_error_free(error);
    leave_all();
    SUCCEEDS(thb_connect(NULL, 0, err));
}

static bool logged(const char *event) {
    for (;;) {
        thb_text_t *record;
        SUCCEEDS(thb_log_next(10000, &record, err));
        if (record == NULL) return false;
        bool found = strstr(thb_text_data(record, NULL), event) != NULL;
        thb_text_free(record);
        if (found) return true;
    }
}

static void write_key(const char *path, const char *key) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(key, file) >= 0 && fclose(file) == 0);
}

/* The thread that rereads files is made a second after connect, and again after an idle time. */
static bool has_more_threads_than(int count) {
    int threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) threads += task->d_name[0] != '.';
    closedir(tasks);
    return threads > count;
}

static void no_memory_for_the_thread_that_rereads_files(char **argv) {
    const char *path = argv[2];
    char options[400];
    snprintf(options, sizeof options, "{\"api_key_path\":\"%s\",\"tls\":{\"disabled\":true}}", path);
    write_key(path, "one");
    SUCCEEDS(thb_connect(options, strlen(options), err));
    leave(512 << 10);
    if (has_more_threads_than(2)) { /* too late: it was made before */
        leave_all();
        execv("/proc/self/exe", argv);
    }
    CHECK(logged("renewal_failed"));
    leave_all();
    write_key(path, "two");
    CHECK(logged("credentials_renewed"));
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 10000, NULL, err));
    SUCCEEDS(thb_disconnect(1000, err));
}

/* Runs one case a process, because a new thread can take the stack of one that has ended, and then needs no memory. */
int main(int argc, char **argv) {
    CHECK(argc >= 2);
    if (strcmp(argv[1], "rereads") == 0) {
        CHECK(argc == 3);
        no_memory_for_the_thread_that_rereads_files(argv);
        return 0;
    }
    large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(large != MAP_FAILED);
    no_memory_for_a_thread();
    no_memory_for_a_value();
    SUCCEEDS(thb_disconnect(30000, err));
    return 0;
}
