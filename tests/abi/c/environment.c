/* Prints the statuses of a connect and of the task token in the environment. */
#include "check.h"

int main(void) {
    thb_text_t *token;
    static const char options[] = "{\"lazy\":true}", encrypted[] = "{\"lazy\":true,\"tls\":true}";
    printf("%s ", thb_status_name(thb_connect(options, strlen(options), NULL)));
    printf("%s ", thb_status_name(thb_token_from_env(&token, NULL)));
    thb_disconnect(0, NULL);
    printf("%s\n", thb_status_name(thb_connect(encrypted, strlen(encrypted), NULL)));
    thb_text_free(token);
    return 0;
}
