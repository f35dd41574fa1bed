// The work of a Temporal Activity in C++17 that is held open: heartbeats go out in the background.
//
//     activity_cpp ITEMS FILE
//
// The token comes in TEMPORAL_ACTIVITY_TASK_TOKEN, the server in TEMPORAL_ADDRESS. Each item that is done is one line in
// FILE, and is recorded. Killed at any moment, the Activity's next attempt, in this or in any other language, goes on
// after the last item that the server knows of.
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>

#include "temporal_heartbeat.hpp"

using namespace std::chrono_literals;
namespace thb = temporal_heartbeat;

namespace {

// Records how far we are, and what is asked of us. A pause is waited for; the beats go on meanwhile.
thb::Signals record(const thb::Activity &activity, std::int64_t item) {
    thb::Signals signals = activity.heartbeat(item).value();
    while (signals == thb::Signals(THB_SIGNAL_PAUSED)) signals = activity.wait(thb::forever, signals).value();
    return signals;
}

void work(const thb::Activity &activity, std::int64_t items, std::ostream &file) {
    const thb::Details details = activity.details().value();
    const std::int64_t last = details.integer().value_or(0);  // nobody has done any yet: 0
    std::cout << "attempt " << details.attempt() << " goes on after item " << last << '\n';
    for (std::int64_t item = last + 1; item <= items; ++item) {
        std::this_thread::sleep_for(100ms);  // the work
        file << details.attempt() << " c++ " << item << std::endl;
        const thb::Signals signals = record(activity, item);
        if (signals.cancel_requested()) return activity.report_cancelled().value();
        // Ending this attempt lets the next one begin at once.
        if (signals.reset()) return activity.fail(R"({"message": "stopped for the reset"})").value();
        if (signals.lease_lost()) throw std::runtime_error("nobody heard of us for too long: another attempt may run");
    }
    activity.complete(items).value();
}

}  // namespace

int main(int argc, char **argv) try {
    const std::int64_t items = argc == 3 ? std::stoll(argv[1]) : 0;
    std::ofstream file(argc == 3 ? argv[2] : "", std::ios::app);
    if (items <= 0 || !file) throw std::runtime_error("usage: activity_cpp ITEMS FILE (which can be written)");
    const thb::Client client = thb::Client::connect().value();
    // With a stall timeout the server hears no more of work that hangs, and retries it.
    work(thb::Activity::from_env(R"({"stall_timeout_ms": 60000})").value(), items, file);
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return error.status() == THB_NOT_FOUND ? 0 : 1;  // not found: the attempt is over, and so is the work
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
