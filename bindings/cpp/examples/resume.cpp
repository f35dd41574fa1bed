// The work of a Temporal Activity in C++17 that sends each heartbeat itself and waits for its answer.
//
//     resume_cpp ITEMS FILE
//
// The token is read from TEMPORAL_ACTIVITY_TASK_TOKEN, the server from TEMPORAL_ADDRESS. Each finished item adds a line to
// FILE, and sends one heartbeat. If the program is killed, the Activity's next attempt, in this or any other language,
// resumes after the last item that the server has. (activity.cpp does the same without waiting.)
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

// Sends the progress to the server. While the activity is paused, only repeats this: without heartbeats it would time out.
thb::Signals beat(const std::string &token, std::int64_t item) {
    for (;;) {
        const thb::Signals signals = thb::heartbeat(token, item).value();
        if (!signals.paused() || signals.cancel_requested() || signals.reset()) return signals;
        std::this_thread::sleep_for(500ms);
    }
}

void work(const std::string &token, std::int64_t items, std::ostream &file) {
    const thb::Details details = thb::get_details(token).value();
    const std::int64_t last = details.integer().value_or(0);  // the last finished item; 0: none
    std::cout << "attempt " << details.attempt() << " resumes after item " << last << '\n';
    for (std::int64_t item = last + 1; item <= items; ++item) {
        std::this_thread::sleep_for(100ms);  // the work
        file << details.attempt() << " c++ " << item << std::endl;
        const thb::Signals signals = beat(token, item);
        if (signals.cancel_requested()) return thb::report_cancelled(token).value();
        // Ending this attempt lets the next one start at once.
        if (signals.reset()) return thb::fail(token, "stopped for the reset").value();
    }
    thb::complete(token, items).value();
}

}  // namespace

int main(int argc, char **argv) try {
    const std::int64_t items = argc == 3 ? std::stoll(argv[1]) : 0;
    std::ofstream file(argc == 3 ? argv[2] : "", std::ios::app);
    if (items <= 0 || !file) throw std::runtime_error("usage: resume_cpp ITEMS FILE (a writable file)");
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
