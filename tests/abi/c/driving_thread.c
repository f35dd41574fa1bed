/* One thread with a stack of 64 KiB makes call after call, so that this thread drives the connection itself. The host's signals
 * interrupt it, and the server closes one connection after the other. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

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

static void *beat(void *unused) {
    for (int i = 0; i < CALLS; i++) {
        uint32_t signals;
        SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_JSON, "41", 2, 60000, &signals, err));
    }
    return unused;
}

int main(void) {
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
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
