/* Preloaded before the library, this breaks the rule of the ABI that THB_FAULT names. It proves that the C driver
 * detects each broken rule. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

static char nothing_of_ours;

static bool fault(const char *name) {
    const char *chosen = getenv("THB_FAULT");
    return chosen != NULL && strcmp(chosen, name) == 0;
}

/* Makes the library return a real error: every call refuses an empty token. */
static thb_status_t refuse(thb_error_t **error_out) {
    return thb_complete(NULL, 0, THB_ENCODING_NONE, NULL, 0, 0, error_out);
}

thb_status_t thb_heartbeat(const void *token, size_t token_len, thb_encoding_t encoding, const void *details,
                           size_t details_len, uint32_t timeout_ms, uint32_t *signals_out, thb_error_t **error_out) {
    (void)token, (void)token_len, (void)encoding, (void)details, (void)details_len, (void)timeout_ms;
    if (fault("success leaves error_out unwritten")) {
        *signals_out = 0;
        return THB_OK;
    }
    if (fault("success brings an error")) {
        *signals_out = 0;
        refuse(error_out);
        return THB_OK;
    }
    if (fault("success leaves signals_out unwritten")) {
        *error_out = NULL;
        return THB_OK;
    }
    if (fault("failure leaves error_out unwritten")) return THB_NOT_FOUND;
    if (fault("failure brings no error")) {
        *error_out = NULL;
        return THB_NOT_FOUND;
    }
    if (fault("failure brings an error of another status")) {
        refuse(error_out);
        return THB_NOT_FOUND;
    }
    if (fault("failure writes signals_out")) {
        *signals_out = 7;
        return refuse(error_out);
    }
    abort();
}

thb_status_t thb_get_details(const void *token, size_t token_len, uint32_t timeout_ms, thb_details_t **details_out,
                             thb_error_t **error_out) {
    (void)token, (void)token_len, (void)timeout_ms;
    if (fault("failure leaves details_out unwritten")) return refuse(error_out);
    if (fault("failure writes details_out")) {
        *details_out = (thb_details_t *)&nothing_of_ours;
        return refuse(error_out);
    }
    if (fault("success brings no details")) {
        *details_out = NULL;
        *error_out = NULL;
        return THB_OK;
    }
    abort();
}

thb_status_t thb_token_from_env(thb_text_t **token_out, thb_error_t **error_out) {
    (void)token_out;
    if (fault("failure leaves token_out unwritten")) return refuse(error_out);
    abort();
}
