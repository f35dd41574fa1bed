/* The process is stopped while the server ends the activity. The result isn't lost: the call returns OK, or its repetition is in doubt. */
#include "check.h"

int main(void) {
    SUCCEEDS(thb_connect(NULL, 0, err));
    for (char round = 'a'; round < 'g'; round++) {
        char token[] = "token of round x";
        token[sizeof token - 2] = round;
        thb_status_t status = thb_complete(token, sizeof token - 1, THB_ENCODING_NONE, NULL, 0, 200, NULL);
        if (status == THB_OK) continue;
        CHECK(is(THB_TIMEOUT, status));
        CHECK(is(THB_IN_DOUBT, thb_complete(token, sizeof token - 1, THB_ENCODING_NONE, NULL, 0, 30000, NULL)));
    }
    return 0;
}
