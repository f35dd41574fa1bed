// Waits until its Activity is cancelled, and prints the reason. By the option follow_server, a cancellation is noticed at
// once, not with the next heartbeat.
#include <iostream>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

int main() try {
    const thb::Client client = thb::Client::connect().value();
    const thb::Activity activity = thb::Activity::from_env(R"({"follow_server": true})").value();
    std::cout << "waiting" << std::endl;  // the work runs in another thread
    const thb::Signals signals = activity.wait(thb::forever, {}, thb::Signals::stop).value();
    if (signals.cancel_requested()) {
        std::cout << "cancelled: " << activity.reason().value() << std::endl;
        activity.report_cancelled().value();
    }
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
