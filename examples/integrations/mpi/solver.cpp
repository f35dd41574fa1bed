// A simulation in MPI ranks that a Temporal Activity runs. Rank 0 holds the Activity; the other ranks don't use the library.
//
//     mpirun -n 4 ./solver STEPS FOLDER
//
// Every ten steps each rank writes a checkpoint into FOLDER. When all ranks have written theirs, rank 0 records the checkpoint's
// name, from which the next attempt resumes. Between checkpoints the ranks report their steps without waiting for each other. The
// slowest rank counts: if it hangs for STALL_SECONDS (default: 60), all ranks are ended.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "temporal_heartbeat.hpp"

using namespace std::chrono_literals;
namespace thb = temporal_heartbeat;

namespace {

constexpr long every = 10;  // steps from one checkpoint to the next

// The progress of all ranks. Rank 0 receives it, and records it for the activity.
class Progress {
public:
    Progress(const thb::Activity *activity, long step, int ranks)
        : activity_(activity), checkpoint_(step), steps_(static_cast<std::size_t>(ranks), step) {
        MPI_Comm_dup(MPI_COMM_WORLD, &comm_);  // so that no other message of the program is taken for a report
    }
    ~Progress() { MPI_Comm_free(&comm_); }
    Progress(const Progress &) = delete;
    Progress &operator=(const Progress &) = delete;

    // Reports a step of this rank. Never waits.
    void done(long step) {
        if (activity_ != nullptr) {
            steps_[0] = step;
            return receive();
        }
        int is_sent = 1;
        MPI_Test(&report_, &is_sent, MPI_STATUS_IGNORE);
        if (!is_sent) return;  // the next report has a newer step
        reported_ = step;
        MPI_Isend(&reported_, 1, MPI_LONG, 0, 0, comm_, &report_);
    }

    // Waits until all ranks have written this checkpoint, and records it. Returns whether all ranks must stop.
    bool checkpoint(long step) {
        MPI_Wait(&report_, MPI_STATUS_IGNORE);
        MPI_Request all = MPI_REQUEST_NULL;
        MPI_Ibarrier(comm_, &all);
        for (int is_complete = 0; !is_complete; std::this_thread::sleep_for(1ms)) {
            if (activity_ != nullptr) receive();  // also the reports of the ranks that are behind
            MPI_Test(&all, &is_complete, MPI_STATUS_IGNORE);
        }
        int stop = 0;
        if (activity_ != nullptr) {
            checkpoint_ = step;
            record(step);
            activity_->flush().value();  // the server has the checkpoint before any rank continues
            stop = activity_->wait_while_paused().value().any(thb::Signals::stop);
        }
        MPI_Bcast(&stop, 1, MPI_INT, 0, comm_);
        return stop != 0;
    }

private:
    // Receives the reports that have arrived. If the slowest rank has advanced, records its step.
    void receive() {
        MPI_Status status;
        for (int has_arrived = 1;;) {
            MPI_Iprobe(MPI_ANY_SOURCE, 0, comm_, &has_arrived, &status);
            if (!has_arrived) break;
            MPI_Recv(&steps_[static_cast<std::size_t>(status.MPI_SOURCE)], 1, MPI_LONG, status.MPI_SOURCE, 0, comm_,
                     MPI_STATUS_IGNORE);
        }
        const auto slowest = std::min_element(steps_.begin(), steps_.end());
        if (*slowest != recorded_) record(*slowest);
        activity_->set_status("the slowest rank is " + std::to_string(slowest - steps_.begin()) + ", after step " +
                              std::to_string(*slowest)).value();
    }

    void record(long slowest) {
        recorded_ = slowest;
        thb::Details details;
        details.add("step-" + std::to_string(checkpoint_)).value();
        details.add(slowest).value();
        activity_->heartbeat(details).value();
    }

    const thb::Activity *activity_;  // nullptr: not rank 0
    MPI_Comm comm_ = MPI_COMM_NULL;
    long checkpoint_;
    long recorded_ = -1;
    std::vector<long> steps_;
    long reported_ = 0;
    MPI_Request report_ = MPI_REQUEST_NULL;
};

// Ends all ranks if one of them hangs, or the attempt is over. When one rank exits without MPI_Finalize, mpirun kills the others.
void watch(const thb::Activity &activity) {
    const auto mask = THB_SIGNAL_STALLED | THB_SIGNAL_GONE | THB_SIGNAL_LEASE_LOST;
    const thb::Result<thb::Signals> signals = activity.wait(thb::forever, {}, mask);
    if (!signals) return;  // the activity was closed as usual
    std::cerr << (signals->stalled() ? "a rank hangs: " : "the attempt is over: ") << activity.info().value_or("") << std::endl;
    std::_Exit(3);
}

// The work of this rank on one step. FOLDER/journal shows which rank of which attempt has worked on what.
long work(long step, const std::string &folder, int rank, int ranks) {
    static std::ofstream journal(folder + "/journal", std::ios::app);
    const long item = step * ranks + rank;
    const std::string attempt = std::getenv("TEMPORAL_ACTIVITY_ATTEMPT");
    const std::string line = " " + std::to_string(item) + " " + attempt + " " + std::to_string(getpid()) + "\n";
    journal << "begin" + line << std::flush;
    std::this_thread::sleep_for(50ms);
    journal << "end" + line << std::flush;
    return item;
}

std::filesystem::path file_of(const std::string &folder, long step, int rank) {
    return std::filesystem::path(folder) / ("step-" + std::to_string(step) + ".rank-" + std::to_string(rank));
}

// Writes the state of this rank. A file with the final name is always complete.
void save(const std::string &folder, long step, int rank, long sum) {
    const std::filesystem::path file = file_of(folder, step, rank);
    std::ofstream(file.string() + ".new") << sum << std::endl;
    std::filesystem::rename(file.string() + ".new", file);
}

void simulate(long steps, const std::string &folder, int rank, int ranks) {
    thb::Client client;
    thb::Activity activity;
    std::thread watcher;
    long step = 0;
    if (rank == 0) {
        const char *stall = std::getenv("STALL_SECONDS");
        client = thb::Client::connect().value();
        activity = thb::Activity::from_env("{\"stall_timeout_ms\": " + std::string(stall ? stall : "60") + "000}").value();
        watcher = std::thread(watch, std::cref(activity));
        std::filesystem::create_directories(folder);
        const thb::Details details = activity.details().value();
        if (!details.empty()) step = std::stol(details.text().value().substr(std::string("step-").size()));
        std::cout << "from step " << step << std::endl;
    }
    MPI_Bcast(&step, 1, MPI_LONG, 0, MPI_COMM_WORLD);
    long sum = 0;
    if (step > 0 && !(std::ifstream(file_of(folder, step, rank)) >> sum))
        throw std::runtime_error("rank " + std::to_string(rank) + " can't read its checkpoint");

    Progress progress(rank == 0 ? &activity : nullptr, step, ranks);
    bool stop = false;
    while (step < steps && !stop) {
        sum += work(step, folder, rank, ranks);
        progress.done(++step);
        if (step % every == 0 || step == steps) {
            save(folder, step, rank, sum);
            stop = progress.checkpoint(step);
        }
    }
    long total = 0;
    MPI_Reduce(&sum, &total, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank != 0) return;
    if (!stop) activity.complete(total).value();
    else if (activity.signals().value().cancel_requested()) activity.report_cancelled().value();
    else activity.fail("stopped for a reset").value();
    activity.close().value();  // wakes the watcher
    watcher.join();
}

}  // namespace

int main(int argc, char **argv) {
    int rank = 0, ranks = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    try {
        if (argc != 3) throw std::runtime_error("usage: mpirun -n RANKS solver STEPS FOLDER");
        simulate(std::stol(argv[1]), argv[2], rank, ranks);
    } catch (const std::exception &error) {
        std::cerr << "rank " << rank << ": " << error.what() << std::endl;
        std::_Exit(1);  // mpirun ends the other ranks
    }
    MPI_Finalize();
}
