/* Leaks an error. A leak detector must find it. */
#include "check.h"

int main(void) {
    thb_error_t *lost = NULL;
    CHECK(thb_details_new(NULL, &lost) == THB_INVALID_ARGUMENT);
    lost = NULL;
    return lost != NULL;
}
