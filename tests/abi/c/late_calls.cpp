// Calls at the end of a program: after main, from a static object's destructor, from a thread-local destructor, from atexit.
#include "check.h"

static thb_status_t beat() {
    return thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, nullptr, 0, 10000, nullptr, nullptr);
}

static bool connected_by_main = false, disconnected_by_main = false;
static int told = 0;

static void late_calls() {
    told++;
    if (connected_by_main && !disconnected_by_main) CHECK(beat() == THB_OK);
    if (disconnected_by_main) CHECK(beat() == THB_NOT_CONNECTED);
    if (!connected_by_main) {
        // The first call into the library.
        CHECK(thb_connect(nullptr, 0, nullptr) == THB_OK);
        CHECK(beat() == THB_OK);
        CHECK(thb_disconnect(1000, nullptr) == THB_OK);
    }
    FAILS(THB_INVALID_ARGUMENT, thb_details_add(nullptr, THB_ENCODING_JSON, "1", 1, err));
}

struct Late {
    ~Late() { late_calls(); }
};

static struct Last {
    ~Last() {
        late_calls();
        thb_disconnect(1000, nullptr);
        CHECK(beat() == THB_NOT_CONNECTED);
        CHECK(told == 3);
        puts("all late calls were made");
    }
} last;
static thread_local Late of_the_thread;

int main(int argc, char **argv) {
    CHECK(argc == 2);
    (void)&of_the_thread;
    const volatile Late *use = &of_the_thread;
    (void)use;
    connected_by_main = strcmp(argv[1], "unused") != 0;
    disconnected_by_main = strcmp(argv[1], "disconnected") == 0;
    CHECK(atexit(late_calls) == 0);
    if (connected_by_main) CHECK(thb_connect(nullptr, 0, nullptr) == THB_OK && beat() == THB_OK);
    if (disconnected_by_main) CHECK(thb_disconnect(1000, nullptr) == THB_OK);
    return 0;
}
