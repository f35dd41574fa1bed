// A C++17 program that hangs at its third item: it waits for a lock that another thread never releases. Its watchdog thread
// notices that, and fails the attempt with the stack of the hung thread: the failure in the workflow names the function.
//
//     stalled_cpp            (linked with -rdynamic -pthread, so that the stack has names of functions)
//
// The library installs no handler. The handler of this program only stores where the hung thread is. The watchdog finds
// the names, because a handler may call hardly any function.
#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <future>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

namespace {

std::array<void *, 64> frames;
std::atomic<int> frame_count;  // 0: the handler hasn't run

void store_stack(int) {
    const int error = errno;
    frame_count = backtrace(frames.data(), static_cast<int>(frames.size()));
    errno = error;
}

// Call this before the work begins.
void prepare_handler() {
    backtrace(frames.data(), 1);  // the first call loads a library, which a handler must not do
    struct sigaction action = {};
    action.sa_handler = store_stack;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, nullptr);
}

std::string describe(void *frame) {
    std::ostringstream text;
    Dl_info info = {};
    if (dladdr(frame, &info) == 0) {
        text << frame;
        return text.str();
    }
    if (info.dli_sname != nullptr) {
        int failed = 0;
        const std::unique_ptr<char, void (*)(void *)> name(
            abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &failed), std::free);
        text << (failed == 0 ? name.get() : info.dli_sname) << ' ';
    }
    // The offset is for addr2line.
    const auto offset = static_cast<char *>(frame) - static_cast<char *>(info.dli_fbase);
    text << "in " << info.dli_fname << "+0x" << std::hex << offset;
    return text.str();
}

// Returns the stack of a thread, the newest call first.
std::string stack_of(pthread_t thread) {
    frame_count = 0;
    if (pthread_kill(thread, SIGUSR2) != 0) return "the thread has ended";
    const auto end = std::chrono::steady_clock::now() + 2s;
    while (frame_count == 0) {
        // For example, it waits for a dead file system.
        if (std::chrono::steady_clock::now() > end) return "the thread can't handle signals";
        std::this_thread::sleep_for(1ms);
    }
    std::string text;
    for (int frame = 2; frame < frame_count; ++frame)  // 0 and 1: the handler
        text += describe(frames[static_cast<std::size_t>(frame)]) + '\n';
    return text;
}

// Fails the attempt, and ends this process, if the thread that creates it hangs.
class Watchdog {
public:
    explicit Watchdog(thb::Activity &activity)
        : activity_(activity), worker_(pthread_self()), thread_([this] { watch(); }) {}
    ~Watchdog() {
        (void)activity_.close();  // ends the wait
        thread_.join();
    }

private:
    void watch() const {
        while (activity_.wait(thb::forever, {}, THB_SIGNAL_STALLED)) {
            const std::string stack = stack_of(worker_);
            const auto signals = activity_.signals();
            if (!signals || !signals->any(THB_SIGNAL_STALLED)) continue;  // the work has continued

            const auto failure = thb::Failure("no progress; the stack shows where").type("Stalled").stack_trace(stack);
            const auto failed = activity_.fail(failure);
            if (failed.status() == THB_ENDED) return;  // by the worker
            if (!failed) std::cerr << failed.error().what() << '\n';
            // A hung thread can't be ended. If the failure wasn't sent, the server times the attempt out.
            _exit(EXIT_FAILURE);
        }
    }

    thb::Activity &activity_;
    const pthread_t worker_;
    std::thread thread_;
};

std::mutex table;

}  // namespace

// Not static, so that it is a dynamic symbol, which dladdr can name.
[[gnu::noinline]] void wait_for_the_table() { const std::lock_guard<std::mutex> lock(table); }

int main() try {
    prepare_handler();
    const thb::Client client = thb::Client::connect().value();
    // With "warn" the library leaves the attempt to the watchdog. In earnest: minutes.
    thb::Activity activity =
        thb::Activity::from_env(R"({"stall_timeout_ms": 500, "stall_action": "warn"})").value();
    const Watchdog watchdog(activity);
    for (std::int64_t item = 0; item < 100; ++item) {
        if (item == 2) {
            std::promise<void> is_locked;
            std::thread([&] {
                table.lock();
                is_locked.set_value();
                for (;;) pause();
            }).detach();
            is_locked.get_future().wait();
        }
        wait_for_the_table();
        activity.heartbeat(item).value();
    }
    activity.complete().value();
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
