/* The work of a Temporal Activity in plain C, linked with the library.
 *
 *     resume ITEMS FILE
 *
  * The token is read from TEMPORAL_ACTIVITY_TASK_TOKEN, the server from TEMPORAL_ADDRESS. Each finished item adds a line to
  * FILE, and sends one heartbeat. If the program is killed, the Activity's next attempt, in this or any other language,
  * resumes after the last item that the server has.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000, ITEM_MS = 100, PAUSE_MS = 500 };

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
    const void *data = thb_details_data(details, 0, &len);
    if (data && len < sizeof text) memcpy(text, data, len);
    return strtol(text, NULL, 10);
}

/* Sends the progress to the server. While the activity is paused, only repeats this: without heartbeats it would time out. */
static thb_status_t beat(const void *token, size_t token_len, long item, uint32_t *signals, thb_error_t **error) {
    char json[24];
    size_t len = (size_t)snprintf(json, sizeof json, "%ld", item);
    for (;;) {
        thb_status_t status =
            thb_heartbeat(token, token_len, THB_ENCODING_JSON, json, len, TIMEOUT_MS, signals, error);
        int stop = (*signals & (THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET)) != 0;
        if (status != THB_OK || stop || !(*signals & THB_SIGNAL_PAUSED)) return status;
        sleep_ms(PAUSE_MS);
    }
}

static thb_status_t work(const void *token, size_t token_len, long items, FILE *file, thb_error_t **error) {
    thb_details_t *details;
    thb_status_t status = thb_get_details(token, token_len, TIMEOUT_MS, &details, error);
    if (status != THB_OK) return status;
    int32_t attempt = thb_details_attempt(details);
    long item = last_item(details);
    thb_details_free(details);
    printf("attempt %d resumes after item %ld\n", (int)attempt, item);

    while (item < items) {
        uint32_t signals = 0;
        do_item(file, attempt, ++item);
        status = beat(token, token_len, item, &signals, error);
        if (status != THB_OK) return status;
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb_report_cancelled(token, token_len, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
        if (signals & THB_SIGNAL_RESET) { /* ending this attempt lets the next one start at once */
            static const char reset[] = "{\"message\": \"stopped for the reset\"}";
            return thb_fail(token, token_len, reset, sizeof reset - 1, TIMEOUT_MS, error);
        }
    }
    char json[24];
    size_t len = (size_t)snprintf(json, sizeof json, "%ld", item);
    return thb_complete(token, token_len, THB_ENCODING_JSON, json, len, TIMEOUT_MS, error);
}

int main(int argc, char **argv) {
    long items = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    FILE *file = items > 0 ? fopen(argv[2], "a") : NULL;
    if (!file) {
        fprintf(stderr, "usage: %s ITEMS FILE (a writable file)\n", argv[0]);
        return EXIT_FAILURE;
    }

    thb_error_t *error = NULL;
    thb_text_t *token = NULL;
    thb_status_t status = thb_check_abi(THB_ABI_VERSION);
    if (status == THB_OK) status = thb_token_from_env(&token, &error);
    if (status == THB_OK) status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) {
        size_t len;
        const void *bytes = thb_text_data(token, &len);
        status = work(bytes, len, items, file, &error);
    }
    /* NOT_FOUND isn't an error of this program: the attempt is over, and so is the work. */
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_text_free(token);
    thb_disconnect(TIMEOUT_MS, NULL);
    fclose(file);
    return status == THB_OK || status == THB_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}
