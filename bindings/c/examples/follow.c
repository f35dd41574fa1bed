/* Waits until its Temporal Activity is cancelled, and prints the report on it, which contains the reason. By the option
 * follow_server, a cancellation is noticed at once, not with the next heartbeat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000 };
static const uint32_t STOP =
    THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET | THB_SIGNAL_GONE | THB_SIGNAL_LEASE_LOST;

static const char OPEN[] = "{\"from_env\": true, \"follow_server\": true}";

static thb_status_t wait_for_the_end(thb_activity_t activity, thb_error_t **error) {
    printf("waiting\n");
    fflush(stdout);
    uint32_t signals = 0;
    /* in a thread beside the work, or instead of it */
    thb_status_t status = thb_activity_wait(activity, STOP, 0, THB_FOREVER, &signals, error);
    if (status != THB_OK || !(signals & THB_SIGNAL_CANCEL_REQUESTED)) return status;

    thb_text_t *info = NULL;
    status = thb_activity_get_info(activity, &info, error);
    if (status != THB_OK) return status;
    printf("cancelled: %s\n", thb_text_data(info, NULL)); /* JSON with cancel_reason */
    thb_text_free(info);
    return thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, TIMEOUT_MS, error);
}

int main(void) {
    thb_error_t *error = NULL;
    thb_activity_t activity = 0;
    thb_status_t status = thb_connect(NULL, 0, &error);
    if (status == THB_OK) status = thb_activity_open(NULL, 0, OPEN, strlen(OPEN), &activity, &error);
    if (status == THB_OK) status = wait_for_the_end(activity, &error);
    if (status != THB_OK) fprintf(stderr, "%s: %s\n", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    thb_disconnect(TIMEOUT_MS, NULL);
    return status == THB_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
