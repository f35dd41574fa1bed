/* Forks in the middle of calls, from a thread, and in children of children. argv[1] is the number of forks. The server
 * acknowledges every beat. */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define CALLERS 4
#define NO_SEED "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51

static atomic_bool over;
static atomic_uint calls, failures;
static thb_activity_t parents;

static thb_status_t beat(void) {
    return thb_heartbeat("other", 5, THB_ENCODING_JSON, "1", 1, 30000, NULL, NULL);
}

static void *call_all_the_time(void *unused) {
    while (!over) {
        if (beat() != THB_OK) failures++;
        if (thb_activity_heartbeat(parents, THB_ENCODING_JSON, "2", 1, NULL, NULL) != THB_OK) failures++;
        calls++;
        usleep(1000); /* because the server keeps a list of all calls */
    }
    return unused;
}

/* Returns the number of sockets and other descriptors that aren't files in this process. */
static int descriptors(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    for (struct dirent *one; (one = readdir(all));) {
        struct stat status;
        int fd = atoi(one->d_name);
        if (fd > 2 && fd != dirfd(all) && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode)) count++;
    }
    closedir(all);
    return count;
}

static void works(const char *token, size_t len) {
    CHECK(is(THB_OK, thb_heartbeat(token, len, THB_ENCODING_JSON, "3", 1, 30000, NULL, NULL)));
    thb_activity_t own = 0;
    CHECK(is(THB_OK, thb_activity_open(token, len, NO_SEED, &own, NULL)));
    CHECK(is(THB_OK, thb_activity_heartbeat(own, THB_ENCODING_JSON, "4", 1, NULL, NULL)));
    CHECK(is(THB_OK, thb_activity_flush(own, 30000, NULL)));
    CHECK(is(THB_OK, thb_activity_close(own, 30000, NULL)));
}

/* Runs a child, its child, and so on. */
static void generations_of_children(int generations) {
    pid_t born = 0;
    while (born == 0) {
        alarm(120); /* makes a hanging child fail */
        CHECK(descriptors() == 0);
        CHECK(is(THB_FORKED, thb_activity_touch(parents, NULL, NULL)));
        CHECK(is(THB_FORKED, thb_activity_close(parents, 1000, NULL)));
        works("child", 5);
        if (--generations <= 0) break;
        CHECK((born = fork()) >= 0);
    }
    int status = 0;
    if (born > 0) {
        CHECK(waitpid(born, &status, 0) == born);
        works("child", 5);
    }
    CHECK(is(THB_OK, thb_disconnect(1000, NULL)));
    _exit(status == 0 ? 0 : 1);
}

static void *fork_many(void *count) {
    for (int i = 0; i < *(int *)count; i++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) generations_of_children(i % 8 == 0 ? 3 : 1);
        int status = -1;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    int count = atoi(argv[1]);
    /* The descriptors that the parent process left open. */
    for (int fd = 3; fd < 256; fd++) close(fd);
    CHECK(descriptors() == 0);
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_activity_open(TOKEN, TOKEN_LEN, NO_SEED, &parents, err));
    thb_watch_t watch;
    SUCCEEDS(thb_watch_open(&watch, err));
    SUCCEEDS(thb_watch_add(watch, parents, UINT32_MAX, 1, err));
    CHECK(descriptors() > 0);

    pthread_t callers[CALLERS], forker;
    for (int i = 0; i < CALLERS; i++) CHECK(pthread_create(&callers[i], NULL, call_all_the_time, NULL) == 0);
    CHECK(pthread_create(&forker, NULL, fork_many, &count) == 0);
    CHECK(pthread_join(forker, NULL) == 0);
    over = true;
    for (int i = 0; i < CALLERS; i++) CHECK(pthread_join(callers[i], NULL) == 0);

    CHECK(failures == 0 && calls > 0);
    SUCCEEDS(thb_activity_flush(parents, 30000, err));
    uint32_t signals = POISON;
    SUCCEEDS(thb_activity_get_signals(parents, &signals, err));
    CHECK(signals == 0 && beat() == THB_OK);
    printf("%d forks, %u calls at the same time\n", count, calls);
    return 0;
}
