/* If the process has no free descriptors, calls return THB_LOCAL_LIMIT. The library works again when descriptors are free. */
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

int main(void) {
    struct rlimit limit, none;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 3;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    FAILS_BECAUSE(THB_LOCAL_LIMIT, thb_connect(NULL, 0, err));
    CHECK(thb_error_is_retryable(error) == 1 && strstr(thb_error_message(error), "ulimit"));
    thb_error_free(error);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    SUCCEEDS(thb_connect(NULL, 0, err));
    SUCCEEDS(thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 10000, NULL, err));
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
