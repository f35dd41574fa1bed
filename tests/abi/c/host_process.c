/* The library changes nothing of the host's process, starts no thread before it needs one, and no more threads than it needs. The
 * server acknowledges every beat. */
#include <ctype.h>
#include <dirent.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

#define NO_SEED "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51

extern char **environ;

/* The properties of a process that a library could change. */
static struct state {
    struct sigaction actions[65];
    sigset_t mask, pending;
    char locale[64], directory[512];
    int rounding;
    mode_t umask;
    struct itimerval timer;
    char **environment;
    unsigned long sum_of_environment;
} before;

static struct state look(void) {
    struct state now;
    memset(&now, 0, sizeof now);
    for (int number = 1; number < 65; number++) sigaction(number, NULL, &now.actions[number]);
    pthread_sigmask(SIG_SETMASK, NULL, &now.mask);
    sigpending(&now.pending);
    snprintf(now.locale, sizeof now.locale, "%s", setlocale(LC_ALL, NULL));
    CHECK(getcwd(now.directory, sizeof now.directory) != NULL);
    now.rounding = fegetround();
    umask(now.umask = umask(0));
    getitimer(ITIMER_REAL, &now.timer);
    now.environment = environ;
    for (char **variable = environ; *variable; variable++)
        for (char *at = *variable; *at; at++) now.sum_of_environment = now.sum_of_environment * 31 + (unsigned char)*at;
    return now;
}

static void nothing_has_changed(void) {
    struct state now = look();
    for (int number = 1; number < 65; number++) {
        CHECK(now.actions[number].sa_handler == before.actions[number].sa_handler);
        CHECK(now.actions[number].sa_flags == before.actions[number].sa_flags);
    }
    for (int number = 1; number < 65; number++) {
        CHECK(sigismember(&now.mask, number) == sigismember(&before.mask, number));
        CHECK(sigismember(&now.pending, number) == sigismember(&before.pending, number));
    }
    CHECK(strcmp(now.locale, before.locale) == 0 && strcmp(now.directory, before.directory) == 0);
    CHECK(now.rounding == before.rounding && now.umask == before.umask);
    CHECK(now.timer.it_value.tv_sec == 0 && now.timer.it_value.tv_usec == 0);
    CHECK(now.environment == before.environment && now.sum_of_environment == before.sum_of_environment);
}

/* Returns the number of other threads, and checks that each has the library's thread name and blocks all signals. */
static int threads(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/task");
    CHECK(all != NULL);
    for (struct dirent *one; (one = readdir(all));) {
        if (!isdigit((unsigned char)*one->d_name) || atoi(one->d_name) == getpid()) continue;
        char path[300], line[256], name[64] = "";
        unsigned long long blocked = 0;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", one->d_name);
        FILE *status = fopen(path, "r");
        if (!status) continue; /* the thread has just ended */
        while (fgets(line, sizeof line, status)) {
            sscanf(line, "Name: %63s", name);
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(status);
        CHECK(strncmp(name, "thb-", 4) == 0);
        /* All signals except four that can't be blocked: KILL, STOP, and the two that the C library reserves. */
        CHECK((blocked | 1ull << 8 | 1ull << 18 | 3ull << 31) == ~0ull);
        count++;
    }
    closedir(all);
    return count;
}

int main(void) {
    setlocale(LC_ALL, "C");
    CHECK(fesetround(FE_UPWARD) == 0);
    signal(SIGUSR1, SIG_IGN);
    before = look();
    CHECK(threads() == 0);
    /* Calls that need no server need no thread. */
    CHECK(thb_check_abi(THB_ABI_VERSION) == THB_OK);
    thb_details_t *details;
    SUCCEEDS(thb_details_new(&details, err));
    thb_details_free(details);
    FAILS(THB_NOT_CONNECTED, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 1000, NULL, err));
    CHECK(threads() == 0);
    nothing_has_changed();

    SUCCEEDS(thb_connect(NULL, 0, err));
    CHECK(threads() <= 2);
    thb_activity_t activity;
    SUCCEEDS(thb_activity_open(TOKEN, TOKEN_LEN, NO_SEED, &activity, err));
    for (int i = 0; i < 1000; i++) SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_BINARY, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_flush(activity, 30000, err));
    SUCCEEDS(thb_heartbeat("other", 5, THB_ENCODING_NONE, NULL, 0, 30000, NULL, err));
    CHECK(threads() >= 1 && threads() <= 2);
    nothing_has_changed();
    /* The thread for name resolution has ended. */
    for (int i = 0; threads() > 1; i++) {
        CHECK(i < 300);
        usleep(100 * 1000);
    }

    SUCCEEDS(thb_activity_close(activity, 30000, err));
    SUCCEEDS(thb_disconnect(30000, err));
    for (int i = 0; threads() > 0; i++) {
        CHECK(i < 300);
        usleep(100 * 1000);
    }
    nothing_has_changed();
    return 0;
}
