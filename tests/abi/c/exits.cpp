// Ends the process in the way that argv[1] names. When the end begins, argv[2] is recorded but not sent, some threads are in calls that the
// server never answers, and others record continuously. Workers have a task that was taken, one that wasn't, and polls in progress. Prints
// the time when the end begins on stdout, in nanoseconds of the monotonic clock.
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

static constexpr char options[] = R"({"initial_details":"","heartbeat_timeout_ms":60000,"pulse":false})";
static std::string last;
static thb_activity_t activity, noisy;

static void open_as(const char *token, thb_activity_t *opened) {
    SUCCEEDS(thb_activity_open(token, strlen(token), options, strlen(options), opened, err));
}

static thb_worker_t open_worker(const char *worker_options) {
    thb_worker_t worker = 0;
    SUCCEEDS(thb_worker_open(worker_options, strlen(worker_options), &worker, err));
    return worker;
}

// Opens a worker with a task that is taken and one that isn't, and one whose poll and caller wait for ever.
static void open_workers() {
    thb_task_t *task = nullptr;
    SUCCEEDS(thb_worker_next(open_worker(R"({"task_queue":"busy","max_concurrent":2})"), 30000, &task, err));
    CHECK(task != nullptr);
    const thb_worker_t idle = open_worker(R"({"task_queue":"idle"})");
    std::thread([idle] {
        thb_task_t *none = nullptr;
        thb_worker_next(idle, THB_FOREVER, &none, nullptr);
    }).detach();
}

static void record(thb_activity_t where, const std::string &json) {
    CHECK(thb_activity_heartbeat(where, THB_ENCODING_JSON, json.data(), json.size(), nullptr, nullptr) == THB_OK);
}

static void work() {
    SUCCEEDS(thb_connect(nullptr, 0, err));
    open_as("quiet", &activity);
    open_as("noisy", &noisy);
    open_workers();
    // The first record is sent at once. The next one is due long after the end of this process.
    record(activity, "\"first\"");
    SUCCEEDS(thb_activity_flush(activity, 30000, err));
    record(activity, last);
}

static void make_noise() {
    for (int i = 0; i < 2; i++)
        std::thread([] { thb_heartbeat("silence", 7, THB_ENCODING_NONE, nullptr, 0, THB_FOREVER, nullptr, nullptr); }).detach();
    for (int i = 0; i < 2; i++)
        std::thread([] {
            for (;; usleep(50)) thb_activity_heartbeat(noisy, THB_ENCODING_JSON, "1", 1, nullptr, nullptr);
        }).detach();
}

static void say_when() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const long long nanoseconds = now.tv_sec * 1000000000LL + now.tv_nsec;
    CHECK(write(STDOUT_FILENO, &nanoseconds, sizeof nanoseconds) == sizeof nanoseconds);
}

// Constructed before any static object of the library, so destroyed after all of them.
static struct Late {
    bool calls = false;
    ~Late() {
        if (!calls) return;
        record(activity, last);
        SUCCEEDS(thb_activity_flush(activity, 30000, err));
        SUCCEEDS(thb_activity_close(activity, 30000, err));
        FAILS(THB_INVALID_HANDLE, thb_activity_touch(activity, nullptr, err));
    }
} late;

static int end(const std::string &how) {
    if (how != "exit_in_a_handler") say_when();
    if (how == "exit") exit(0);
    if (how == "exit_of_a_thread") std::thread([] { exit(0); }).join();
    if (how == "exit_in_a_call") {
        std::thread([] { usleep(1000), exit(0); }).detach();
        thb_activity_wait(activity, 0, 0, THB_FOREVER, nullptr, nullptr);
    }
    if (how == "static_destructor") late.calls = true;
    if (how == "exit_in_a_handler") {
        // Not allowed, but hosts do it: the interrupted code may hold any lock.
        signal(SIGALRM, [](int) { say_when(), exit(0); });
        ualarm(2000, 0);
        for (;;) {
            record(activity, last);
            for (volatile int i = 0; i < 100000; i++) {}  // otherwise nearly all time is spent in the call
        }
    }
    if (how == "quick_exit") quick_exit(0);
    if (how == "_exit") _exit(0);
    if (how == "exception") throw std::runtime_error("of the host");
    if (how == "sigterm") raise(SIGTERM);
    if (how == "sigkill") raise(SIGKILL);
    if (how == "abort") abort();
    if (how == "exec") execl("/bin/true", "true", nullptr);
    return 0;  // for "return", "static_destructor" and "unused"
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const std::string how = argv[1];
    last = argv[2];
    if (how != "unused") work();
    if (how != "unused" && how != "exit_in_a_handler") make_noise();
    return end(how);
}
