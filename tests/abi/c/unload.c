/* dlclose doesn't unload the library: its thread keeps running, and so does a call. Linked with nothing; argv[1] is the library. */
#include <dlfcn.h>
#include <pthread.h>
#include <time.h>

#include "check.h"

static thb_status_t (*heartbeat)(const void *, size_t, thb_encoding_t, const void *, size_t, uint32_t, uint32_t *,
                                 thb_error_t **);

static void *beat_for_ever(void *unused) {
    CHECK(heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, THB_FOREVER, NULL, NULL) == THB_NOT_CONNECTED);
    return unused;
}

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

/* Closes the library during a call, which ends when the client disconnects. */
static void *close_while_it_works(void *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    thb_status_t (*connect)(const char *, size_t, thb_error_t **);
    thb_status_t (*disconnect)(uint32_t, thb_error_t **);
    *(void **)&connect = symbol(library, "thb_connect");
    *(void **)&disconnect = symbol(library, "thb_disconnect");
    *(void **)&heartbeat = symbol(library, "thb_heartbeat");
    CHECK(connect(NULL, 0, NULL) == THB_OK);
    pthread_t thread;
    pthread_create(&thread, NULL, beat_for_ever, NULL);
    nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);
    CHECK(dlclose(library) == 0);
    nanosleep(&(struct timespec){0, 100 * 1000 * 1000}, NULL);

    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL && symbol(library, "thb_connect") == *(void **)&connect);
    CHECK(connect(NULL, 0, NULL) == THB_ALREADY_CONNECTED);
    CHECK(disconnect(1000, NULL) == THB_OK);
    pthread_join(thread, NULL);
    CHECK(dlclose(library) == 0);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    pthread_t thread;
    pthread_create(&thread, NULL, close_while_it_works, argv[1]);
    pthread_join(thread, NULL);
    /* A thread that used the library keeps it loaded until the thread ends. The library stays loaded afterwards, too. */
    for (int i = 0; i < 10; i++) {
        nanosleep(&(struct timespec){0, 50 * 1000 * 1000}, NULL);
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD);
        CHECK(library != NULL && dlclose(library) == 0);
    }
    return 0;
}
