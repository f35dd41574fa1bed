// A C++17 program that hangs at its third item: it waits for a lock that another thread never releases. The attempt fails,
// and the failure in the workflow shows the stack of this thread.
//
//     stalled_cpp            (linked with -rdynamic, so that the stack has names of functions)
//
// The library installs no handler. In a stall it sends SIGUSR2 to the thread that opened the Activity. The handler of this
// program writes the thread's stack to a pipe, from which the library reads it.
#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <future>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

int stack_pipe[2];

void write_stack(int) {
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), stack_pipe[1]);
    (void)!write(stack_pipe[1], "", 1);  // the NUL ends the text
}

// Call this before the work begins. Returns the options of open.
std::string with_stacks() {
    if (pipe(stack_pipe) != 0) throw std::runtime_error("no pipe");
    for (const int end : stack_pipe) fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(stack_pipe[1], F_SETFL, O_NONBLOCK);  // so that a full pipe doesn't block the handler
    void *frame[1];
    backtrace(frame, 1);  // the first call loads a library, which a handler must not do
    struct sigaction action = {};
    action.sa_handler = write_stack;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR2, &action, nullptr);
    return R"({"stall_timeout_ms": 500, "stall_action": "fail", "stall_signal": )" + std::to_string(SIGUSR2) +
           R"(, "stall_stack_fd": )" + std::to_string(stack_pipe[0]) + "}";
}

std::mutex table;

}  // namespace

// Not static, so that it is a dynamic symbol, which backtrace can name.
void wait_for_the_table() { const std::lock_guard<std::mutex> lock(table); }

int main() try {
    const thb::Client client = thb::Client::connect().value();
    const thb::Activity activity = thb::Activity::from_env(with_stacks()).value();
    for (std::int64_t item = 0; item < 100; ++item) {
        activity.set_status("item " + std::to_string(item)).value();
        if (item == 2) {
            std::promise<void> is_locked;
            std::thread([&] {
                table.lock();
                is_locked.set_value();
                pause();
            }).detach();
            is_locked.get_future().wait();
        }
        wait_for_the_table();
        activity.heartbeat(item).value();
    }
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
