// A worker whose functions throw, return and do what they should not. Each attempt ends, and run returns.
// argv[1]: whether a function forks.
#include <dlfcn.h>
#include <sys/wait.h>

#include <cerrno>
#include <stdexcept>

#include "check.h"
#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

static std::atomic<int> threads_left{-1};

// Refuses threads while `threads_left` is 0.
extern "C" int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    static const auto next = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
    if (threads_left == 0) return EAGAIN;
    if (threads_left > 0) --threads_left;
    return next(thread, attributes, start, argument);
}

struct Unreadable {};

static int number_of(const thb::Task &task) {
    const std::string_view info = task.info(), key = "\"activity_id\":\"";
    return std::atoi(info.data() + info.find(key) + key.size());
}

// The server has a task for each case.
static thb::Value misbehave(thb::Worker &worker, thb::Task &task) {
    switch (number_of(task)) {
        case 0: throw std::runtime_error("not UTF-8: \xff\xc0\x80\xed\xa0\x80\xe2\x82");
        case 1: throw std::runtime_error(std::string(10'000'000, '\x01'));
        case 2: throw Unreadable();
        case 3: throw thb::Cancelled(thb::Signals(THB_SIGNAL_LEASE_LOST));
        case 4: throw thb::Error(THB_CONFIG, "an error");
        case 5: return "not UTF-8: \xff";
        case 6: return thb::Value::json("{");
        case 7: return std::string(10'000'000, 'x');
        case 8: task.activity().complete(8).value(); return 9;
        case 9: CHECK(task.activity().fail(thb::Failure("\xff\xf4\x90\x80\x80").type("\xfe").stack_trace("\xfd").source("\xfc"))); return 9;
        case 10: CHECK(is(THB_INVALID_ARGUMENT, worker.run().status())); return "runs already";
        case 11: CHECK(is(THB_INVALID_ARGUMENT, worker.run(4).status())); worker.shutdown(); return "last";
    }
    return thb::Value::null();
}

static int run_functions() {
    thb::Worker worker("q", R"({"max_tasks": 12})");
    worker.on("t", [&](thb::Task &task) { return misbehave(worker, task); });
    const thb::Result<void> ended = worker.run(4);
    CHECK(is(THB_OK, ended.status()) && is(THB_INVALID_ARGUMENT, worker.run().status()));
    return 0;
}

static void refuse_misuse() {
    thb::Worker empty("q"), twice("q"), wrong("q", "[]"), nameless("");
    CHECK(is(THB_INVALID_ARGUMENT, empty.run().status()));
    const auto nothing = [](thb::Task &) {};
    CHECK(is(THB_INVALID_ARGUMENT, twice.on("t", nothing).on("t", nothing).run().status()));
    CHECK(is(THB_CONFIG, wrong.on("t", nothing).run().status()));
    CHECK(is(THB_CONFIG, nameless.on("t", nothing).run().status()));
    // A worker that could not begin can try again.
    CHECK(is(THB_CONFIG, nameless.run().status()));
    CHECK(is(THB_CONFIG, thb::Worker("q").on("t", nothing).run(1'000'000).status()));
}

static void miss_threads() {
    thb::Worker worker("q");
    worker.on("t", [](thb::Task &) {});
    threads_left = 2;
    const thb::Result<void> ended = worker.run(5);
    threads_left = -1;
    CHECK(is(THB_LOCAL_LIMIT, ended.status()));
    CHECK(std::string_view(ended.error().what()).find("3 of 5 threads") != std::string_view::npos);
}

static void register_late() {
    thb::Worker worker("q");
    worker.on("t", [&](thb::Task &) { worker.on("u", [](thb::Task &) {}); });
    CHECK(is(THB_INVALID_ARGUMENT, worker.run().status()));
}

static void disconnect_in_a_function(thb::Client &client) {
    thb::Worker worker("q");
    worker.on("t", [&](thb::Task &) { static_cast<void>(client.disconnect()); });
    CHECK(is(THB_NOT_CONNECTED, worker.run(2).status()));
}

// The child has the thread of run, and no other one.
static void fork_in_a_function() {
    const pid_t parent = getpid();
    pid_t child = 0;
    thb::Worker worker("q");
    worker.on("t", [&](thb::Task &) {
        if ((child = fork()) == 0) alarm(60);  // makes a hanging child fail
        else worker.shutdown();
    });
    const thb::Result<void> ended = worker.run(1);
    if (getpid() != parent) _exit(ended.status() == THB_FORKED ? 0 : 1);
    int status = 0;
    CHECK(is(THB_OK, ended.status()) && waitpid(child, &status, 0) == child && status == 0);
}

int main(int, char **arguments) {
    thb::Client client = thb::Client::connect().value();
    run_functions();
    refuse_misuse();
    miss_threads();
    register_late();
    if (std::string_view(arguments[1]) == "forks") fork_in_a_function();
    disconnect_in_a_function(client);
}
