/* token_from_env returns the token's bytes, followed by a NUL. Here it equals TOKEN. */
#include "check.h"

int main(void) {
    thb_text_t *text = POISONED(thb_text_t);
    SUCCEEDS(thb_token_from_env(&text, err));
    size_t len;
    const char *bytes = thb_text_data(text, &len);
    CHECK(len == TOKEN_LEN && memcmp(bytes, TOKEN, len) == 0 && bytes[len] == '\0');
    CHECK(thb_text_data(text, NULL) == bytes);
    thb_text_free(text);
    return 0;
}
