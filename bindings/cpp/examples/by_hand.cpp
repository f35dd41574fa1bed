// Processes the items of a Temporal Activity, if a parent handed one over. Also runs by hand, without Temporal.
//
//     by_hand_cpp ITEMS
#include <cstdint>
#include <iostream>
#include <string>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

int main(int argc, char **argv) try {
    const std::int64_t items = argc == 2 ? std::stoll(argv[1]) : 10;
    const char *options = R"({"when_absent": "inactive"})";
    const thb::Client client = thb::Client::connect(options).value();
    const thb::Activity activity = thb::Activity::from_env(options).value();
    const std::int64_t last = activity.details().value().integer().value_or(-1);  // the last item that was done
    for (std::int64_t item = last + 1; item < items; ++item) {
        std::cout << "item " << item << '\n';  // the work
        if (activity.heartbeat(item).value().cancel_requested()) {
            activity.report_cancelled().value();
            return 1;
        }
    }
    activity.complete(items).value();
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
