/* A pre-fork server: the parent connects, listens and forks its workers. Each worker accepts connections, and beats for the activity
 * that a client names. argv[1] is the number of workers, argv[2] the number of clients, which connect one after the other. The
 * parent beats for its own activity during that time. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define NO_SEED "{\"initial_details\":\"\",\"heartbeat_timeout_ms\":60000}", 51
#define STOP "stop"
#define MAX_WORKERS 16

static void beat(thb_activity_t activity, const char *json) {
    CHECK(is(THB_OK, thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, strlen(json), NULL, NULL)));
    CHECK(is(THB_OK, thb_activity_flush(activity, 30000, NULL)));
}

static void serve(int listener, thb_activity_t parents) {
    alarm(120); /* makes a hanging worker fail */
    CHECK(is(THB_FORKED, thb_activity_touch(parents, NULL, NULL)));
    for (;;) {
        int client = accept(listener, NULL, NULL);
        CHECK(client >= 0);
        char token[64];
        ssize_t len = recv(client, token, sizeof token, 0);
        CHECK(len > 0);
        if (len == sizeof STOP - 1 && memcmp(token, STOP, sizeof STOP - 1) == 0) break;
        thb_activity_t activity = 0;
        CHECK(is(THB_OK, thb_activity_open(token, (size_t)len, NO_SEED, &activity, NULL)));
        beat(activity, "1");
        beat(activity, "2");
        CHECK(is(THB_OK, thb_activity_complete(activity, THB_ENCODING_JSON, "3", 1, 30000, NULL)));
        CHECK(is(THB_OK, thb_activity_close(activity, 30000, NULL)));
        CHECK(send(client, token, (size_t)len, 0) == len);
        close(client);
    }
    _exit(0);
}

/* Sends a token, and checks that the server answers with the same token if `answers`. */
static void ask(const struct sockaddr_in *address, const char *token, bool answers) {
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0 && connect(client, (const struct sockaddr *)address, sizeof *address) == 0);
    CHECK(send(client, token, strlen(token), 0) == (ssize_t)strlen(token));
    char answer[64];
    ssize_t len = recv(client, answer, sizeof answer, 0);
    if (answers) CHECK(len == (ssize_t)strlen(token) && memcmp(answer, token, strlen(token)) == 0);
    close(client);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const int workers = atoi(argv[1]), clients = atoi(argv[2]);
    CHECK(workers <= MAX_WORKERS);
    SUCCEEDS(thb_connect(NULL, 0, err));
    thb_activity_t own = 0;
    SUCCEEDS(thb_activity_open("parents", 7, NO_SEED, &own, err));
    beat(own, "1");

    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(listener, 128) == 0 && getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    pid_t children[MAX_WORKERS];
    for (int i = 0; i < workers; i++) {
        CHECK((children[i] = fork()) >= 0);
        if (children[i] == 0) serve(listener, own);
        beat(own, "2");
    }
    for (int i = 0; i < clients; i++) {
        char token[32];
        snprintf(token, sizeof token, "of client %d.", i);
        ask(&address, token, true);
        beat(own, "3");
    }
    for (int i = 0; i < workers; i++) ask(&address, STOP, false);
    for (int i = 0; i < workers; i++) {
        int status = -1;
        CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
    }
    SUCCEEDS(thb_activity_complete(own, THB_ENCODING_JSON, "4", 1, 30000, err));
    return 0;
}
