/* The functions of the library that worker.R calls. Compile it with the library:
 *
 *     PKG_LIBS=-ltemporal_heartbeat R CMD SHLIB worker.c
 */
#include <stdio.h>
#include <string.h>

#define R_NO_REMAP
#include <R.h>
#include <Rinternals.h>

#include "temporal_heartbeat.h"

enum { TIMEOUT_MS = 10000 };

/* Raises an R error with the library's message if the status isn't THB_OK. */
static void must(thb_status_t status, thb_error_t *error) {
    if (status == THB_OK) return;
    char message[1024];
    snprintf(message, sizeof message, "%s: %s", thb_status_name(status), thb_error_message(error));
    thb_error_free(error);
    Rf_error("%s", message);
}

static thb_task_t *task_of(SEXP pointer) { return R_ExternalPtrAddr(pointer); }

static void free_task(SEXP pointer) {
    thb_task_free(task_of(pointer));
    R_ClearExternalPtr(pointer);
}

SEXP heartbeat_connect(void) {
    thb_error_t *error;
    must(thb_connect(NULL, 0, &error), error);
    return R_NilValue;
}

/* Opens a worker. A handle is below 2^53, so a double holds it. */
SEXP heartbeat_worker(SEXP options) {
    const char *json = CHAR(STRING_ELT(options, 0));
    thb_worker_t worker = 0;
    thb_error_t *error;
    must(thb_worker_open(json, strlen(json), &worker, &error), error);
    return Rf_ScalarReal((double)worker);
}

/* Returns the next task; NULL after the last one. Waits in short calls, so that R can be interrupted. */
SEXP heartbeat_next(SEXP worker) {
    for (;;) {
        thb_task_t *task = NULL;
        thb_error_t *error;
        thb_status_t status = thb_worker_next((thb_worker_t)Rf_asReal(worker), 200, &task, &error);
        if (status == THB_ENDED) {
            thb_error_free(error);
            return R_NilValue;
        }
        must(status, error);
        if (task != NULL) {
            SEXP pointer = PROTECT(R_MakeExternalPtr(task, R_NilValue, R_NilValue));
            R_RegisterCFinalizer(pointer, free_task);
            UNPROTECT(1);
            return pointer;
        }
        R_CheckUserInterrupt();
    }
}

/* Returns the JSON that the previous attempt recorded, or NULL. */
SEXP heartbeat_details(SEXP task) {
    size_t len;
    const char *data = thb_details_data(thb_task_details(task_of(task)), 0, &len);
    return data == NULL ? R_NilValue : Rf_ScalarString(Rf_mkCharLen(data, (int)len));
}

SEXP heartbeat_record(SEXP task, SEXP json) {
    const char *text = CHAR(STRING_ELT(json, 0));
    thb_error_t *error;
    must(thb_activity_heartbeat(thb_task_activity(task_of(task)), THB_ENCODING_JSON, text, strlen(text), NULL, &error), error);
    return R_NilValue;
}

SEXP heartbeat_complete(SEXP task, SEXP json) {
    const char *text = CHAR(STRING_ELT(json, 0));
    thb_activity_t activity = thb_task_activity(task_of(task));
    thb_error_t *error;
    must(thb_activity_complete(activity, THB_ENCODING_JSON, text, strlen(text), TIMEOUT_MS, &error), error);
    thb_activity_close(activity, TIMEOUT_MS, NULL);
    free_task(task);
    return R_NilValue;
}
