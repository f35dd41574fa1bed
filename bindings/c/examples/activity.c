/* The work of a Temporal Activity in plain C. The library sends its heartbeats in the background.
 *
 *     activity ITEMS FILE
 *
  * The token is read from TEMPORAL_ACTIVITY_TASK_TOKEN, the server from TEMPORAL_ADDRESS. Each finished item adds a line to
  * FILE, and is recorded. If the program is killed, the Activity's next attempt, in this or any other language, resumes
  * after the last item that the server has.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000 };

/* The work waits while PAUSED is the only one of these signals that is set. */
static const uint32_t WHILE_PAUSED = THB_SIGNAL_PAUSED | THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET |
                                     THB_SIGNAL_GONE | THB_SIGNAL_LEASE_LOST;

/* With a stall timeout, heartbeats stop when the work hangs, so the server retries it. */
static const char OPTIONS[] = "{\"from_env\": true, \"stall_timeout_ms\": 60000}";
static const char RESET[] = "{\"message\": \"stopped for the reset\"}";

static thb_status_t work(thb_activity_t activity, long items, FILE *file, thb_error_t **error) {
    char json[24] = "0"; /* the last finished item; 0: none */
    size_t len = 1;
    thb_details_t *details;
    thb_status_t status = thb_activity_get_details(activity, TIMEOUT_MS, &details, error);
    if (status != THB_OK) return status;
    const char *last = thb_details_data(details, 0, &len);
    if (last) snprintf(json, sizeof json, "%.*s", (int)len, last);
    int attempt = (int)thb_details_attempt(details);
    thb_details_free(details);
    printf("attempt %d resumes after item %s\n", attempt, json);

    for (long item = strtol(json, NULL, 10) + 1; item <= items; item++) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the work */
        fprintf(file, "%d c %ld\n", attempt, item);
        fflush(file);

        uint32_t signals;
        len = (size_t)snprintf(json, sizeof json, "%ld", item);
        status = thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, len, &signals, error);
        if (status == THB_OK && (signals & THB_SIGNAL_PAUSED)) /* the heartbeats continue */
            status = thb_activity_wait(activity, WHILE_PAUSED, THB_SIGNAL_PAUSED, THB_FOREVER, &signals, error);
        if (status != THB_OK) return status;
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
        if (signals & THB_SIGNAL_RESET) /* ending this attempt lets the next one start at once */
            return thb_activity_fail(activity, RESET, sizeof RESET - 1, TIMEOUT_MS, error);
        if (signals & THB_SIGNAL_LEASE_LOST) return THB_NOT_FOUND; /* another attempt may be running */
    }
    return thb_activity_complete(activity, THB_ENCODING_JSON, json, len, TIMEOUT_MS, error);
}

int main(int argc, char **argv) {
    long items = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    FILE *file = items > 0 ? fopen(argv[2], "a") : NULL;
    if (!file) {
        fprintf(stderr, "usage: %s ITEMS FILE (a writable file)\n", argv[0]);
        return EXIT_FAILURE;
    }

    thb_error_t *error = NULL;
    thb_activity_t activity = 0;
    thb_status_t status = thb_check_abi(THB_ABI_VERSION);
    if (status == THB_OK) status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) status = thb_activity_open(NULL, 0, OPTIONS, sizeof OPTIONS - 1, &activity, &error);
    if (status == THB_OK) status = work(activity, items, file, &error);
    /* NOT_FOUND isn't an error of this program: the attempt is over, and so is the work. */
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(TIMEOUT_MS, NULL); /* sends the last record, and closes the activity */
    fclose(file);
    return status == THB_OK || status == THB_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
}
