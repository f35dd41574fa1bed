// Processes many items in parallel with OpenMP threads. In an MPI program, rank 0 would open the Activity.
//
//     openmp ITEMS
//
// Any thread may record. Items finish in any order, so the program records the first item that isn't done. A retry resumes there.
#include <cstdint>
#include <iostream>
#include <mutex>
#include <set>
#include <string>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

// Tracks the first item that isn't done.
class Progress {
public:
    explicit Progress(std::int64_t first) : next_(first) {}

    // Marks an item as done, and returns the first item that isn't done.
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
            if (stop) continue;  // an OpenMP loop can't break
        }
        volatile std::int64_t result = compute(item);
        (void)result;
        const std::lock_guard<std::mutex> lock(mutex);
        // Record under the lock, so that progress never goes backwards. Recording takes well under a microsecond.
        thb::Result<thb::Signals> signals = activity.heartbeat(progress.done(item));
        if (signals && signals.value().paused()) signals = activity.wait_while_paused();  // all threads wait for the lock
        stop = !signals || signals.value().any(thb::Signals::stop);
        if (item % 100 == 0) std::cout << "item " << item << " done" << std::endl;
    }
    const thb::Signals signals = activity.signals().value();
    if (signals.cancel_requested()) return !activity.report_cancelled();
    if (stop) return 1;  // the attempt is over, or may be over: the next attempt resumes
    activity.complete(items).value();
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
