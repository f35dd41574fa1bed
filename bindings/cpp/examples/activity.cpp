// The work of a Temporal Activity in C++17. The library sends its heartbeats in the background.
//
//     activity_cpp ITEMS FILE
//
// The token is read from TEMPORAL_ACTIVITY_TASK_TOKEN, the server from TEMPORAL_ADDRESS. Each finished item adds a line to
// FILE, and is recorded. If the program is killed, the Activity's next attempt, in this or any other language, resumes
// after the last item that the server has.
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "temporal_heartbeat.hpp"

using namespace std::chrono_literals;
namespace thb = temporal_heartbeat;

namespace {

// Records the progress, and returns the signals. Waits for the end of a pause, during which the heartbeats continue.
thb::Signals record(const thb::Activity &activity, std::int64_t item) {
    const thb::Signals signals = activity.heartbeat(item).value();
    return signals.paused() ? activity.wait_while_paused().value() : signals;
}

void work(const thb::Activity &activity, std::int64_t items, std::ostream &file) {
    const thb::Details details = activity.details().value();
    const std::int64_t last = details.integer().value_or(0);  // the last finished item; 0: none
    std::cout << "attempt " << details.attempt() << " resumes after item " << last << '\n';
    for (std::int64_t item = last + 1; item <= items; ++item) {
        std::this_thread::sleep_for(100ms);  // the work
        file << details.attempt() << " c++ " << item << std::endl;
        if (!file) throw std::system_error(errno, std::generic_category(), "can't write item " + std::to_string(item));
        const thb::Signals signals = record(activity, item);
        if (signals.cancel_requested()) return activity.report_cancelled().value();
        // Ending this attempt lets the next one start at once.
        if (signals.reset()) return activity.fail("stopped for the reset").value();
        if (signals.lease_lost()) throw std::runtime_error("no heartbeat was acknowledged in time: another attempt may be running");
    }
    activity.complete(items).value();
}

}  // namespace

int main(int argc, char **argv) try {
    const std::int64_t items = argc == 3 ? std::stoll(argv[1]) : 0;
    std::ofstream file(argc == 3 ? argv[2] : "", std::ios::app);
    if (items <= 0 || !file) throw std::runtime_error("usage: activity_cpp ITEMS FILE (a writable file)");
    const thb::Client client = thb::Client::connect().value();
    // With a stall timeout, heartbeats stop when the work hangs, so the server retries it.
    const thb::Activity activity = thb::Activity::from_env(R"({"stall_timeout_ms": 60000})").value();
    try {
        work(activity, items, file);
    } catch (const std::exception &error) {
        // A failed attempt is retried at once, and shows its reason. The server refuses it if the attempt is over.
        static_cast<void>(activity.fail(error));
        throw;
    }
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return error.status() == THB_NOT_FOUND ? 0 : 1;  // not found: the attempt is over, and so is the work
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
