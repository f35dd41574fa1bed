// A program that hangs: it waits for a lock twice. Arguments: the options of connect, and the status of the activity.
//
// It lets the library send the signal, read the stack and fail the attempt. bindings/cpp/examples/stalled.cpp does that itself.
#include <execinfo.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <stdexcept>
#include <string>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

int stack_pipe[2];

void write_stack(int) {
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), stack_pipe[1]);
    (void)!write(stack_pipe[1], "", 1);  // the NUL ends the text
}

// Returns the options of open.
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

pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;

}  // namespace

// Not static, so that it is a dynamic symbol, which backtrace can name.
[[gnu::noinline]] void wait_for_the_table() { pthread_mutex_lock(&table); }

int main(int, char **arguments) try {
    const thb::Client client = thb::Client::connect(arguments[1]).value();
    const thb::Activity activity = thb::Activity::from_env(with_stacks()).value();
    activity.set_status(arguments[2]).value();
    for (;;) wait_for_the_table();
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
