/* The host's signals: its handlers run on its threads, and don't interrupt calls. */
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include "check.h"

static pthread_t host;
static volatile sig_atomic_t mine, others;

static void on_alarm(int number) {
    (void)number;
    if (pthread_equal(pthread_self(), host))
        mine++;
    else
        others++;
}

int main(void) {
    host = pthread_self();
    SUCCEEDS(thb_connect(NULL, 0, err));
    /* Without SA_RESTART, so that interruptible system calls are interrupted. */
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_alarm;
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval every = {{0, 10000}, {0, 10000}};
    CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    /* The server answers after a second. */
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 30000, NULL, err));
    CHECK(mine > 10 && others == 0);
    /* While the host's thread blocks the signal, no other thread receives it. */
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    CHECK(pthread_sigmask(SIG_BLOCK, &alarms, NULL) == 0);
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 30000, NULL, err));
    CHECK(others == 0);
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
