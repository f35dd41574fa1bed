/* Iterates over the items of a Temporal Activity, as `track` of the other languages does: in C it is a loop.
 *
 *     track ITEMS
 *
 * Records the index of the last item that is done, from 0. So if the program is killed, the Activity's next attempt resumes
 * after that item, in this or any other language.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000 };

static const char OPTIONS[] = "{\"from_env\": true}";
static const uint32_t STOP =
    THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET | THB_SIGNAL_GONE | THB_SIGNAL_LEASE_LOST;

/* Returns the index of the first item that isn't done, or -1 if the details aren't an index. */
static long first_item(const thb_details_t *details, long items) {
    size_t len = 0;
    const char *last = thb_details_data(details, 0, &len);
    if (!last) return 0; /* the first attempt, or it had done nothing */
    char text[24], *end = text;
    snprintf(text, sizeof text, "%.*s", (int)len, last);
    long index = strtol(text, &end, 10);
    int is_index = thb_details_count(details) == 1 && len < sizeof text && end == text + len;
    return is_index && index >= 0 && index < items ? index + 1 : -1;
}

static thb_status_t work(thb_activity_t activity, long items, thb_error_t **error) {
    thb_details_t *details = NULL;
    thb_status_t status = thb_activity_get_details(activity, TIMEOUT_MS, &details, error);
    if (status != THB_OK) return status;
    long item = first_item(details, items);
    thb_details_free(details);
    if (item < 0) return THB_INVALID_ARGUMENT; /* another program recorded them */

    char json[24] = "";
    for (; item < items; item++) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* the work */
        printf("c: item %ld done\n", item);
        fflush(stdout);

        uint32_t signals = 0;
        size_t len = (size_t)snprintf(json, sizeof json, "%ld", item);
        status = thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, len, &signals, error);
        if (status == THB_OK && (signals & THB_SIGNAL_PAUSED)) /* the heartbeats continue */
            status = thb_activity_wait(activity, THB_SIGNAL_PAUSED | STOP, THB_SIGNAL_PAUSED, THB_FOREVER, &signals, error);
        if (status != THB_OK) return status;
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
        if (signals & STOP) return THB_NOT_FOUND; /* the attempt is over, or another one may be running */
    }
    size_t len = (size_t)snprintf(json, sizeof json, "%ld", items);
    return thb_activity_complete(activity, THB_ENCODING_JSON, json, len, TIMEOUT_MS, error);
}

int main(int argc, char **argv) {
    thb_error_t *error = NULL;
    thb_activity_t activity = 0;
    thb_status_t status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) status = thb_activity_open(NULL, 0, OPTIONS, sizeof OPTIONS - 1, &activity, &error);
    if (status == THB_OK) status = work(activity, argc > 1 ? strtol(argv[1], NULL, 10) : 20, &error);
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(TIMEOUT_MS, NULL); /* sends the last record, and closes the activity */
    return status == THB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
