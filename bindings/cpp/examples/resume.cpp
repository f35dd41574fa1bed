// The work of a Temporal Activity in C++17 that sends each heartbeat itself and waits for its answer.
//
//     resume_cpp ITEMS FILE
//
// The token comes in TEMPORAL_ACTIVITY_TASK_TOKEN, the server in TEMPORAL_ADDRESS. Each item that is done is one line in
// FILE and one heartbeat. Killed at any moment, the Activity's next attempt, in this or in any other language, goes on
// after the last item that the server knows of. (activity.cpp does the same without waiting.)
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

// Tells the server how far we are. While the activity is paused nothing is done but this: silence would end it.
thb::Signals beat(const std::string &token, std::int64_t item) {
    for (;;) {
        const thb::Signals signals = thb::heartbeat(token, item).value();
        if (!signals.paused() || signals.cancel_requested() || signals.reset()) return signals;
        std::this_thread::sleep_for(500ms);
    }
}

void work(const std::string &token, std::int64_t items, std::ostream &file) {
    const thb::Details details = thb::get_details(token).value();
    const std::int64_t last = details.integer().value_or(0);  // nobody has done any yet: 0
    std::cout << "attempt " << details.attempt() << " goes on after item " << last << '\n';
    for (std::int64_t item = last + 1; item <= items; ++item) {
        std::this_thread::sleep_for(100ms);  // the work
        file << details.attempt() << " c++ " << item << std::endl;
        const thb::Signals signals = beat(token, item);
        if (signals.cancel_requested()) return thb::report_cancelled(token).value();
        // Ending this attempt lets the next one begin at once.
        if (signals.reset()) return thb::fail(token, R"({"message": "stopped for the reset"})").value();
    }
    thb::complete(token, items).value();
}

}  // namespace

int main(int argc, char **argv) try {
    const std::int64_t items = argc == 3 ? std::stoll(argv[1]) : 0;
    std::ofstream file(argc == 3 ? argv[2] : "", std::ios::app);
    if (items <= 0 || !file) throw std::runtime_error("usage: resume_cpp ITEMS FILE (which can be written)");
    const std::string token = thb::token_from_env().value();
    const thb::Client client = thb::Client::connect().value();
    work(token, items, file);
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return error.status() == THB_NOT_FOUND ? 0 : 1;  // not found: the attempt is over, and so is the work
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
