// Iterates over the items of a Temporal Activity. If the program is killed, the next attempt resumes after the last item.
//
//     track ITEMS
#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

int main(int argc, char **argv) try {
    const int items = argc > 1 ? std::stoi(argv[1]) : 20;
    const thb::Client client = thb::Client::connect().value();
    const thb::Activity activity = thb::Activity::from_env().value();
    try {
        for (int item : thb::track(items, activity)) {  // also a vector, or any other range
            std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the work
            std::cout << "c++: item " << item << " done" << std::endl;
        }
        activity.complete(items).value();
    } catch (const thb::Cancelled &cancelled) {
        if (cancelled.signals().cancel_requested()) activity.report_cancelled().value();
        throw;
    }
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
