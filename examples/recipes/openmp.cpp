// A loop over many items in parallel, by OpenMP threads; as a program of MPI ranks it would be rank 0 that holds the Activity.
//
//     openmp ITEMS
//
// Any thread may record. Items end in any order, so that what is recorded is the first one that isn't done: a retry goes on there.
#include <cstdint>
#include <iostream>
#include <mutex>
#include <set>
#include <string>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

// Knows up to where all is done.
class Progress {
public:
    explicit Progress(std::int64_t first) : next_(first) {}

    // Takes note of an item, and returns the first that isn't done.
    std::int64_t done(std::int64_t item) {
        ahead_.insert(item);
        while (!ahead_.empty() && *ahead_.begin() == next_) {
            ahead_.erase(ahead_.begin());
            ++next_;
        }
        return next_;
    }

private:
    std::int64_t next_;
    std::set<std::int64_t> ahead_;
};

std::int64_t compute(std::int64_t item) {  // the work
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < 3000000; ++i) sum += (i ^ item) & 7;
    return sum;
}

}  // namespace

int main(int argc, char **argv) try {
    const std::int64_t items = argc > 1 ? std::stoll(argv[1]) : 1000;
    thb::Client client = thb::Client::connect().value();
    thb::Activity activity = thb::Activity::from_env().value();
    const std::int64_t first = activity.details().value().integer().value_or(0);
    std::cout << "from item " << first << std::endl;

    Progress progress(first);
    std::mutex mutex;
    bool stop = false;
#pragma omp parallel for schedule(dynamic)
    for (std::int64_t item = first; item < items; ++item) {
        {
            const std::lock_guard<std::mutex> lock(mutex);
            if (stop) continue;  // a loop of OpenMP has no break
        }
        volatile std::int64_t result = compute(item);
        (void)result;
        const std::lock_guard<std::mutex> lock(mutex);
        // Recorded under the lock, so that no older progress follows newer; it takes well under a microsecond.
        const thb::Result<thb::Signals> signals = activity.heartbeat(progress.done(item));
        stop = !signals || signals.value().cancel_requested() || signals.value().lease_lost();
        if (item % 100 == 0) std::cout << "item " << item << " done" << std::endl;
    }
    const thb::Signals signals = activity.signals().value();
    if (signals.cancel_requested()) return !activity.report_cancelled();
    if (stop) return 1;  // the activity is over, or may be: another attempt goes on
    activity.complete(items).value();
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
