/* Reads one byte after a value, on purpose, to show that the tools detect it. */
#include "check.h"

int main(void) {
    thb_details_t *details;
    SUCCEEDS(thb_details_new(&details, err));
    SUCCEEDS(thb_details_add(details, THB_ENCODING_BINARY, "0123456789", 10, err));
    size_t len;
    const volatile char *payloads = thb_details_payloads(details, &len);
    int behind = 0;
    for (size_t i = 0; i <= len + 64; i++) behind += payloads[i]; /* the library's vector has spare capacity after it */
    printf("%d\n", behind);
    thb_details_free(details);
    return 0;
}
