// A thread connects and beats for three seconds on a stack of known content. Prints how much of the stack was used.
// Reads options and token from the environment.
//
// A thread that makes one call after the other drives the connection itself. When the server closes the connection, the
// next handshake runs on the caller's stack, and needs more of it than anything else.
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <temporal_heartbeat.h>
#include <time.h>

// The promise of the header, and the actual size: a thread that needs more than promised reports it instead of crashing.
enum { PROMISED = 64 << 10, STACK = 256 << 10, PAINT = 0xA5 };
enum { SECONDS = 3 };

static thb_status_t beat(const char *token, size_t len, thb_error_t **error) {
    for (time_t end = time(NULL) + SECONDS; time(NULL) < end;) {
        thb_status_t status = thb_heartbeat(token, len, THB_ENCODING_JSON, "41", 2, 10000, NULL, error);
        if (status != THB_OK) return status;
    }
    return THB_OK;
}

static void *connect_and_beat(void *unused) {
    thb_error_t *error = NULL;
    thb_text_t *token = NULL;
    size_t len = 0;
    thb_status_t status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) status = thb_token_from_env(&token, &error);
    const char *bytes = thb_text_data(token, &len);
    if (status == THB_OK) status = beat(bytes, len, &error);
    printf("%s %s\n", thb_status_name(status), thb_error_message(error));
    thb_text_free(token);
    thb_error_free(error);
    thb_disconnect(1000, NULL);
    return unused;
}

int main(void) {
    unsigned char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) return 1;
    memset(stack, PAINT, STACK);
    pthread_t thread;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) || pthread_attr_setstack(&attributes, stack, STACK)) return 1;
    if (pthread_create(&thread, &attributes, connect_and_beat, NULL) || pthread_join(thread, NULL)) return 1;
    size_t unused = 0;
    while (unused < STACK && stack[unused] == PAINT) unused++;
    printf("%zu bytes of the stack used, %d are promised to be enough\n", STACK - unused, PROMISED);
    return STACK - unused > PROMISED;
}
