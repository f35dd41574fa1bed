/* Calls a server that accepts connections and never answers. The number of descriptors doesn't grow.
 *
 *     silent_server CALLS TIMEOUT_MS
 */
#include <dirent.h>

#include "check.h"

/* The number of additional connections: one is being opened, and one is being closed. */
enum { MORE = 4 };

static int descriptors(void) {
    int count = 0;
    DIR *all = opendir("/proc/self/fd");
    CHECK(all != NULL);
    while (readdir(all) != NULL) count++;
    closedir(all);
    return count;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    int calls = atoi(argv[1]), first = 0, most = 0;
    uint32_t timeout_ms = (uint32_t)atoi(argv[2]);
    SUCCEEDS(thb_connect("{\"lazy\":true}", 13, err));
    for (int call = 0; call < calls; call++) {
        CHECK(is(THB_TIMEOUT, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, timeout_ms, NULL, NULL)));
        int now = descriptors();
        if (call == 0) first = now;
        if (now > most) most = now;
    }
    printf("%d descriptors after the first call, at most %d after %d\n", first, most, calls);
    fflush(stdout);
    if (most > first + MORE) fprintf(stderr, "%d descriptors after the first call, %d later\n", first, most);
    CHECK(most <= first + MORE);
    SUCCEEDS(thb_disconnect(1000, err));
    return 0;
}
