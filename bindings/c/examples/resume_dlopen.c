/* The work of a Temporal Activity in plain C. It opens the library at run time, so it isn't linked with it.
 *
 *     resume_dlopen ITEMS FILE
 *
  * The token is read from TEMPORAL_ACTIVITY_TASK_TOKEN, the server from TEMPORAL_ADDRESS. Each finished item adds a line to
  * FILE, and sends one heartbeat. If the program is killed, the Activity's next attempt, in this or any other language,
  * resumes after the last item that the server has.
 */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "temporal_heartbeat.h" /* for its types and constants */

enum { TIMEOUT_MS = 10000, ITEM_MS = 100, PAUSE_MS = 500 };

#define FUNCTIONS(X)                                                                                       \
    X(check_abi) X(connect) X(disconnect) X(token_from_env) X(text_data) X(text_free)                      \
    X(get_details) X(details_data) X(details_attempt) X(details_free)                                      \
    X(heartbeat) X(complete) X(fail) X(report_cancelled) X(status_name) X(error_message) X(error_free)

/* One pointer per function, with the header's type, so that the types always match. (gcc and clang have __typeof__, C23 typeof.) */
static struct {
#define FIELD(name) __typeof__(thb_##name) *name;
    FUNCTIONS(FIELD)
} thb;

static void *must(void *found) {
    if (found) return found;
    fprintf(stderr, "%s\n(TEMPORAL_HEARTBEAT_LIBRARY may name the library.)\n", dlerror());
    exit(EXIT_FAILURE);
}

static void load_library(void) {
    const char *path = getenv("TEMPORAL_HEARTBEAT_LIBRARY");
    void *library = must(dlopen(path ? path : "libtemporal_heartbeat.so.0", RTLD_NOW | RTLD_LOCAL));
    /* ISO C has no cast from an object pointer to a function pointer. POSIX guarantees that copying the bytes works. */
#define RESOLVE(name) memcpy(&thb.name, &(void *){must(dlsym(library, "thb_" #name))}, sizeof(void *));
    FUNCTIONS(RESOLVE)
}

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void do_item(FILE *file, int32_t attempt, long item) {
    sleep_ms(ITEM_MS); /* the work */
    fprintf(file, "%d c %ld\n", (int)attempt, item);
    fflush(file);
}

/* Reads the details: the number of the last finished item, as JSON. 0: none. */
static long last_item(const thb_details_t *details) {
    char text[24] = "";
    size_t len;
    const void *data = thb.details_data(details, 0, &len);
    if (data && len < sizeof text) memcpy(text, data, len);
    return strtol(text, NULL, 10);
}

/* Sends the progress to the server. While the activity is paused, only repeats this: without heartbeats it would time out. */
static thb_status_t beat(const void *token, size_t token_len, long item, uint32_t *signals, thb_error_t **error) {
    char json[24];
    size_t len = (size_t)snprintf(json, sizeof json, "%ld", item);
    for (;;) {
        thb_status_t status =
            thb.heartbeat(token, token_len, THB_ENCODING_JSON, json, len, TIMEOUT_MS, signals, error);
        int stop = (*signals & (THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET)) != 0;
        if (status != THB_OK || stop || !(*signals & THB_SIGNAL_PAUSED)) return status;
        sleep_ms(PAUSE_MS);
    }
}

static thb_status_t work(const void *token, size_t token_len, long items, FILE *file, thb_error_t **error) {
    thb_details_t *details;
    thb_status_t status = thb.get_details(token, token_len, TIMEOUT_MS, &details, error);
    if (status != THB_OK) return status;
    int32_t attempt = thb.details_attempt(details);
    long item = last_item(details);
    thb.details_free(details);
    printf("attempt %d resumes after item %ld\n", (int)attempt, item);

    while (item < items) {
        uint32_t signals = 0;
        do_item(file, attempt, ++item);
        status = beat(token, token_len, item, &signals, error);
        if (status != THB_OK) return status;
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb.report_cancelled(token, token_len, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
        if (signals & THB_SIGNAL_RESET) { /* ending this attempt lets the next one start at once */
            static const char reset[] = "{\"message\": \"stopped for the reset\"}";
            return thb.fail(token, token_len, reset, sizeof reset - 1, TIMEOUT_MS, error);
        }
    }
    char json[24];
    size_t len = (size_t)snprintf(json, sizeof json, "%ld", item);
    return thb.complete(token, token_len, THB_ENCODING_JSON, json, len, TIMEOUT_MS, error);
}

int main(int argc, char **argv) {
    long items = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    FILE *file = items > 0 ? fopen(argv[2], "a") : NULL;
    if (!file) {
        fprintf(stderr, "usage: %s ITEMS FILE (a writable file)\n", argv[0]);
        return EXIT_FAILURE;
    }
    load_library();

    thb_error_t *error = NULL;
    thb_text_t *token = NULL;
    thb_status_t status = thb.check_abi(THB_ABI_VERSION);
    if (status == THB_OK) status = thb.token_from_env(&token, &error);
    if (status == THB_OK) status = thb.connect(NULL, 0, &error);
    if (status == THB_OK) {
        size_t len;
        const void *bytes = thb.text_data(token, &len);
        status = work(bytes, len, items, file, &error);
    }
    /* NOT_FOUND isn't an error of this program: the attempt is over, and so is the work. */
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb.status_name(status), thb.error_message(error));
    thb.error_free(error);
    thb.text_free(token);
    thb.disconnect(TIMEOUT_MS, NULL);
    fclose(file);
    return status == THB_OK || status == THB_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}
