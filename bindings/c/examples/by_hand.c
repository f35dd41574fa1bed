/* Processes the items of a Temporal Activity, if a parent handed one over. Also runs by hand, without Temporal.
 *
 *     by_hand ITEMS
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000 };

static const char CONNECT[] = "{\"when_absent\": \"inactive\"}";
static const char OPEN[] = "{\"from_env\": true, \"when_absent\": \"inactive\"}";

static thb_status_t work(thb_activity_t activity, long items, thb_error_t **error) {
    char json[24] = "-1"; /* the last item that was done */
    size_t len = 0;
    thb_details_t *details;
    thb_status_t status = thb_activity_get_details(activity, TIMEOUT_MS, &details, error);
    const char *last = thb_details_data(details, 0, &len);
    if (last) snprintf(json, sizeof json, "%.*s", (int)len, last);
    thb_details_free(details);

    uint32_t signals = 0;
    for (long item = strtol(json, NULL, 10) + 1; status == THB_OK && item < items; item++) {
        printf("item %ld\n", item); /* the work */
        snprintf(json, sizeof json, "%ld", item);
        status = thb_activity_heartbeat(activity, THB_ENCODING_JSON, json, strlen(json), &signals, error);
        if (signals & THB_SIGNAL_CANCEL_REQUESTED)
            return thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
    }
    snprintf(json, sizeof json, "%ld", items);
    if (status != THB_OK) return status;
    return thb_activity_complete(activity, THB_ENCODING_JSON, json, strlen(json), TIMEOUT_MS, error);
}

int main(int argc, char **argv) {
    long items = argc == 2 ? strtol(argv[1], NULL, 10) : 10;
    thb_error_t *error = NULL;
    thb_activity_t activity = 0;
    thb_status_t status = thb_connect(CONNECT, strlen(CONNECT), &error);
    if (status == THB_OK) status = thb_activity_open(NULL, 0, OPEN, strlen(OPEN), &activity, &error);
    if (status == THB_OK) status = work(activity, items, &error);
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(TIMEOUT_MS, NULL);
    return status == THB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
