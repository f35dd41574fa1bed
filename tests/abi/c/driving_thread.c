/* One thread with a stack of 64 KiB makes call after call, so that this thread drives the connection itself. The host's signals
 * interrupt it, and the server closes one connection after the other. The thread has a CPU and a network namespace of its own. No socket
 * and no other thread of the library inherits them. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "check.h"

/* The sanitizer adds red zones around each object on the stack. */
#ifdef __SANITIZE_ADDRESS__
enum { STACK = 1 << 20, CALLS = 300 };
#else
enum { STACK = 64 << 10, CALLS = 300 };
#endif

static volatile sig_atomic_t interrupted;

static void interrupt(int signal) {
    (void)signal;
    interrupted++;
}

/* Describes what a thread inherits from its creator: the CPUs that it may use, and its network namespace. */
static void describe(const char *thread, char *name, char *inherited) {
    char path[300], line[256], namespace[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/ns/net", thread);
    CHECK(readlink(path, namespace, sizeof namespace - 1) > 0);
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    FILE *status = fopen(path, "r");
    CHECK(status != NULL);
    *name = *inherited = '\0';
    while (fgets(line, sizeof line, status)) {
        sscanf(line, "Name: %63s", name);
        if (sscanf(line, "Cpus_allowed_list: %63s", inherited) == 1) strcat(strcat(inherited, " "), namespace);
    }
    fclose(status);
}

static void the_library_inherits_from_the_thread_that_connected(const char *connecting) {
    char name[64], inherited[200];
    int own = 0;
    DIR *all = opendir("/proc/self/task");
    CHECK(all != NULL);
    for (struct dirent *one; (one = readdir(all));) {
        if (*one->d_name == '.') continue;
        describe(one->d_name, name, inherited);
        if (strncmp(name, "thb-", 4) != 0) continue;
        CHECK(strcmp(inherited, connecting) == 0);
        own++;
    }
    closedir(all);
    CHECK(own >= 1);
}

static void *beat(void *unused) {
    cpu_set_t last;
    CPU_ZERO(&last);
    CPU_SET((int)sysconf(_SC_NPROCESSORS_CONF) - 1, &last);
    sched_setaffinity(0, sizeof last, &last);
    unshare(CLONE_NEWNET); /* as root only */
    for (int i = 0; i < CALLS; i++) {
        uint32_t signals;
        SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "41", 2, 60000, &signals, err));
    }
    return unused;
}

int main(void) {
    char name[64], connecting[200], pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    describe(pid, name, connecting);
    SUCCEEDS(thb_connect(NULL, 0, err));
    struct sigaction action = {.sa_handler = interrupt};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, STACK) == 0);
    CHECK(pthread_create(&thread, &attributes, beat, NULL) == 0);

    /* Only the other thread receives the signals. */
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0);
    struct itimerval often = {{0, 1000}, {0, 1000}};
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(interrupted > 0);
    the_library_inherits_from_the_thread_that_connected(connecting);
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
