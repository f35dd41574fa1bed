// Asynchronous calls of the C++ wrapper. The server answers NOT_FOUND to tokens with "gone", nothing to tokens with "silent", and
// acknowledges the others.
#include "temporal_heartbeat.hpp"

#include <poll.h>
#include <sys/wait.h>

#include <thread>
#include <vector>

#include "check.h"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

using Beat = thb::Result<thb::Signals>;
static_assert(std::is_nothrow_move_constructible_v<thb::Queue> && !std::is_copy_constructible_v<thb::Queue>);
static_assert(std::is_nothrow_move_assignable_v<thb::Queue> && std::is_nothrow_destructible_v<thb::Queue>);

static constexpr std::string_view unseeded = R"({"initial_details": ""})";
static std::size_t calls;

static std::string token(const char *kind, std::size_t number) { return kind + std::to_string(number); }

// Runs the queue until the condition holds.
template <typename Condition>
static void run_until(const thb::Queue &queue, Condition holds) {
    while (!holds()) CHECK(queue.run_one(30s));
}

template <typename T>
static bool has_result(const std::future<T> &future) {
    return future.wait_for(0s) == std::future_status::ready;
}

static void callbacks_run_in_the_callers_loop() {
    const thb::Queue queue = *thb::Queue::open();
    std::vector<thb_status_t> found(calls, -1);
    const auto loop = std::this_thread::get_id();
    std::size_t done = 0;
    for (std::size_t at = 0; at < calls; ++at) {
        const auto number = queue.heartbeat(token(at % 3 ? "token" : "gone", at), at, 60s, [&, at](const Beat &beat) {
            CHECK(found[at] == -1 && std::this_thread::get_id() == loop);
            CHECK(beat ? !beat->any() : beat.error().grpc_code() == 5);
            found[at] = beat.status();
            ++done;
        });
        CHECK(number && *number > 0);
    }
    pollfd polled = {*queue.fd(), POLLIN, 0};
    CHECK(*queue.fd() == polled.fd);
    while (done < calls) {
        CHECK(poll(&polled, 1, 30000) == 1);
        const std::size_t before = done;
        CHECK(*queue.run_ready() == done - before && done > before);
    }
    for (std::size_t at = 0; at < calls; ++at) CHECK(is(at % 3 ? THB_OK : THB_NOT_FOUND, found[at]));
    CHECK(*queue.run_ready() == 0 && *queue.run_one(0ms) == 0 && poll(&polled, 1, 0) == 0);
}

static void futures_are_fulfilled_by_the_loop() {
    const thb::Queue queue = *thb::Queue::open();
    std::vector<thb::Future<thb::Signals>> beats;
    for (std::size_t at = 0; at < calls / 10; ++at) beats.push_back(queue.heartbeat(token("token", at), at, 60s));
    std::atomic<bool> over{false};
    std::vector<std::thread> loops;
    for (int each = 0; each < 2; ++each)
        loops.emplace_back([&] {
            while (!over) CHECK(queue.run_one(50ms));
        });
    for (auto &beat : beats) CHECK(beat.get());
    over = true;
    for (std::thread &loop : loops) loop.join();

    std::future<thb::Result<void>> gone = queue.complete("gone", 1);
    run_until(queue, [&] { return has_result(gone); });
    CHECK(is(THB_NOT_FOUND, gone.get().status()));
    CHECK(is(THB_INVALID_ARGUMENT, queue.fail("token", thb::Failure::json("{")).get().status()));
    CHECK(is(THB_TIMEOUT, queue.report_cancelled("token", 1, 0s).get().status()));
}

static void calls_of_an_activity_run_in_order() {
    const thb::Queue queue = *thb::Queue::open();
    thb::Activity activity = *thb::Activity::open("held", unseeded);
    CHECK(activity.heartbeat(41));
    auto details = queue.details(activity);
    auto flushed = queue.flush(activity);
    auto completed = queue.complete(activity, "done");
    auto failed = queue.fail(activity, "late");
    auto cancelled = queue.report_cancelled(activity);
    auto closed = queue.close(activity);
    CHECK(activity.handle() == 0 && is(THB_INVALID_HANDLE, queue.close(activity).get().status()));
    run_until(queue, [&] { return has_result(closed); });
    CHECK(details.get()->empty() && flushed.get() && completed.get() && closed.get());
    CHECK(is(THB_ENDED, failed.get().status()) && is(THB_ENDED, cancelled.get().status()));
    CHECK(thb::Activity::open("held", unseeded));
}

static void cancelled_calls_end_at_once() {
    const thb::Queue queue = *thb::Queue::open();
    thb_status_t status = THB_OK;
    const auto number = queue.heartbeat("silent 1", 1, thb::forever, [&](Beat beat) { status = beat.status(); });
    auto beat = queue.heartbeat("silent 2", 1, thb::forever);
    CHECK(queue.cancel(*number) && queue.cancel(beat.number()) && queue.cancel(0));
    run_until(queue, [&] { return status != THB_OK && has_result(beat); });
    CHECK(is(THB_TIMEOUT, status) && is(THB_TIMEOUT, beat.get().status()));
}

static void connect_and_disconnect_are_submitted_too() {
    const thb::Queue queue = *thb::Queue::open();
    CHECK(is(THB_CONFIG, queue.connect("{").get().status()));
    CHECK(is(THB_NOT_CONNECTED, queue.heartbeat("token", 1).get().status()));
    auto connected = queue.connect();
    run_until(queue, [&] { return has_result(connected); });
    thb::Client client = *connected.get();
    CHECK(is(THB_ALREADY_CONNECTED, queue.connect().get().status()));
    auto silent = queue.heartbeat("silent", 1, thb::forever);
    auto disconnected = queue.disconnect(client);
    run_until(queue, [&] { return has_result(disconnected); });
    CHECK(disconnected.get() && is(THB_NOT_CONNECTED, silent.get().status()));
    CHECK(is(THB_INVALID_HANDLE, queue.disconnect(client).get().status()));
}

// Counts the copies that exist.
struct Counted {
    explicit Counted(int &existing) : count(&existing) { ++*count; }
    Counted(Counted &&other) noexcept : count(std::exchange(other.count, nullptr)) {}
    ~Counted() {
        if (count != nullptr) --*count;
    }
    void operator()(const Beat &) const { CHECK(!"this is called"); }
    int *count;
};

static void destroyed_queue_calls_nothing_and_ends_futures() {
    int existing = 0;
    std::future<Beat> beat;
    {
        const thb::Queue queue = *thb::Queue::open();
        CHECK(queue.heartbeat("silent 1", 1, 60s, Counted(existing)) && existing == 1);
        CHECK(is(THB_TIMEOUT, queue.heartbeat("silent 1", 1, 0s, Counted(existing)).status()) && existing == 1);
        beat = queue.heartbeat("silent 2", 1, 60s);
    }
    CHECK(existing == 0 && is(THB_INVALID_HANDLE, beat.get().status()));

    thb::Queue queue = *thb::Queue::open(), moved;
    beat = queue.heartbeat("silent 2", 1, 60s);
    moved = std::move(queue);
    CHECK(is(THB_INVALID_HANDLE, queue.run_ready().status()) && is(THB_INVALID_HANDLE, queue.fd().status()));
    CHECK(is(THB_INVALID_HANDLE, queue.heartbeat("token", 1).get().status()) && moved.run_ready() && !has_result(beat));
    CHECK(moved.close() && moved.close() && is(THB_INVALID_HANDLE, beat.get().status()));
    CHECK(is(THB_INVALID_HANDLE, moved.heartbeat("token", 1).get().status()) && moved.run_ready().status() == THB_INVALID_HANDLE);
}

static void callback_may_destroy_its_queue() {
    auto queue = std::make_unique<thb::Queue>(*thb::Queue::open());
    for (std::size_t at = 0; at < 8; ++at) CHECK(queue->heartbeat(token("token", at), 1, 30s, [&](const Beat &) {
        CHECK(queue != nullptr);
        queue.reset();
    }));
    while (queue) CHECK(queue->run_one(30s));
}

static void child_runs_nothing_of_its_parents_queue(int children) {
    thb::Queue queue = *thb::Queue::open();
    int existing = 0;
    auto beat = queue.heartbeat("silent 1", 1, thb::forever);
    CHECK(queue.heartbeat("silent 2", 1, thb::forever, Counted(existing)));
    std::atomic<bool> over{false};
    std::thread loop([&] {
        for (std::size_t at = 0; !over; ++at) {
            auto other = queue.heartbeat(token("token", at), 1, 60s);
            run_until(queue, [&] { return has_result(other); });
        }
    });
    for (int child = 0; child < children; ++child) {
        const pid_t forked = fork();
        if (forked == 0) {
            alarm(60);
            bool is_forked = queue.run_ready().status() == THB_FORKED && queue.fd().status() == THB_FORKED &&
                             queue.heartbeat("token", 1).get().status() == THB_FORKED;
            queue = thb::Queue();
            _exit(is_forked && existing == 1 && !has_result(beat) ? 0 : 1);
        }
        int status = -1;
        CHECK(waitpid(forked, &status, 0) == forked && status == 0);
    }
    over = true;
    loop.join();
    CHECK(queue.cancel(beat.number()));
    run_until(queue, [&] { return has_result(beat); });
}

#ifdef __cpp_exceptions
static void exception_of_a_callback_loses_no_completion() {
    const thb::Queue queue = *thb::Queue::open();
    int thrown = 0, caught = 0;
    for (std::size_t at = 0; at < 100; ++at) CHECK(queue.heartbeat(token("token", at), 1, 30s, [&](const Beat &) { throw ++thrown; }));
    while (thrown < 100) {
        const int before = thrown;
        try {
            CHECK(queue.run_one(30s) && queue.run_ready());
        } catch (int first) {
            CHECK(first == before + 1);
            ++caught;
        }
    }
    CHECK(caught > 0);
}
#endif

#ifdef __cpp_impl_coroutine
// A coroutine that runs until its first suspension, and is destroyed with its frame.
struct Task {
    struct promise_type {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
#ifdef __cpp_exceptions
        void unhandled_exception() { throw; }
#else
        void unhandled_exception() {}
#endif
    };
    explicit Task(std::coroutine_handle<promise_type> handle) : coroutine(handle) {}
    Task(Task &&other) noexcept : coroutine(std::exchange(other.coroutine, {})) {}
    ~Task() {
        if (coroutine) coroutine.destroy();
    }
    std::coroutine_handle<promise_type> coroutine;
};

static Task beat_twice(const thb::Queue &queue, std::size_t number, std::size_t &done) {
    const std::string own = token("token", number);
    CHECK(co_await queue.heartbeat(own, number, 60s));
    const Beat gone = co_await queue.heartbeat(token("gone", number), number, 60s);
    CHECK(is(THB_NOT_FOUND, gone.status()));
    CHECK(is(THB_TIMEOUT, (co_await queue.heartbeat(own, number, 0s)).status()));
    ++done;
}

static Task wait_for(const thb::Queue &queue, const char *of, std::vector<thb_status_t> &found) {
    auto beat = queue.heartbeat(of, 1, thb::forever);
    found.push_back((co_await beat).status());
}

static void coroutines_resume_in_the_callers_loop() {
    std::size_t done = 0;
    std::vector<thb_status_t> found;
    std::vector<Task> tasks;
    {
        const thb::Queue queue = *thb::Queue::open();
        for (std::size_t at = 0; at < calls / 10; ++at) tasks.push_back(beat_twice(queue, at, done));
        run_until(queue, [&] { return done == tasks.size(); });
        for (const Task &task : tasks) CHECK(task.coroutine.done());
        { const Task destroyed = wait_for(queue, "token", found); }
        auto after = queue.heartbeat("token", 2, 60s);
        run_until(queue, [&] { return has_result(after); });
        CHECK(found.empty());
        tasks.push_back(wait_for(queue, "silent", found));
    }
    CHECK(found.size() == 1 && is(THB_INVALID_HANDLE, found[0]));
}

#ifdef __cpp_exceptions
static Task throw_when_resumed(const thb::Queue &queue, int number, int &thrown) {
    co_await queue.heartbeat(token("silent", static_cast<std::size_t>(number)), 1, 60s);
    throw ++thrown;
}

static void exception_of_a_coroutine_resumes_the_others_at_the_close() {
    int thrown = 0;
    std::vector<Task> tasks;
    {
        thb::Queue queue = *thb::Queue::open();
        const thb::Queue destroyed = *thb::Queue::open();
        for (int number = 0; number < 10; ++number)
            tasks.push_back(throw_when_resumed(number % 2 ? queue : destroyed, number, thrown));
        int first = 0;
        try {
            static_cast<void>(queue.close());
        } catch (int caught) {
            first = caught;
        }
        CHECK(first == 1 && thrown == 5);
    }
    CHECK(thrown == 10);
}
#endif
#endif

int main(int, char **argv) {
    calls = static_cast<std::size_t>(std::atoi(argv[1]));
    connect_and_disconnect_are_submitted_too();
    const thb::Client client = *thb::Client::connect();
    callbacks_run_in_the_callers_loop();
    futures_are_fulfilled_by_the_loop();
    calls_of_an_activity_run_in_order();
    cancelled_calls_end_at_once();
    destroyed_queue_calls_nothing_and_ends_futures();
    callback_may_destroy_its_queue();
    child_runs_nothing_of_its_parents_queue(std::atoi(argv[2]));
#ifdef __cpp_exceptions
    exception_of_a_callback_loses_no_completion();
#endif
#ifdef __cpp_impl_coroutine
    coroutines_resume_in_the_callers_loop();
#ifdef __cpp_exceptions
    exception_of_a_coroutine_resumes_the_others_at_the_close();
#endif
#endif
    return 0;
}
