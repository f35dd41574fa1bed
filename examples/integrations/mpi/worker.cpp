// An MPI job that is an activity worker: rank 0 takes the tasks of a task queue, and all ranks work on each. Only rank 0 uses the
// library.
//
//     mpirun -n 4 ./worker TASK_QUEUE TASKS
//
// A task's argument is a number of steps. Its result is pi, integrated with that many steps of which each rank does a part. The
// job ends after this number of tasks.
#include <mpi.h>

#include <iostream>
#include <string>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

constexpr int parts = 100;   // between two parts rank 0 records the progress
constexpr double over = -1;  // instead of a number of steps: there are no more tasks

// Integrates one part, in all ranks. Rank 0 gets the sum.
double integrate(double steps, int part) {
    int rank = 0, ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    double own = 0, sum = 0;
    for (double step = part + parts * static_cast<double>(rank); step < steps; step += parts * static_cast<double>(ranks)) {
        const double x = (step + 0.5) / steps;
        own += 4 / (1 + x * x) / steps;
    }
    MPI_Reduce(&own, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    return sum;
}

// The other ranks receive each task from rank 0, and work on it, until there are no more tasks.
void follow() {
    for (;;) {
        double steps = over;
        MPI_Bcast(&steps, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
        if (steps < 0) return;
        for (int part = 0; part < parts; ++part) integrate(steps, part);
    }
}

void lead(const std::string &task_queue, const std::string &tasks) {
    thb::Client client = thb::Client::connect().value();  // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
    thb::Worker worker(task_queue, "{\"max_tasks\": " + tasks + "}");
    worker.on("pi", [](thb::Task &task) {
        double steps = task.input().number().value_or(1e6), pi = 0;
        MPI_Bcast(&steps, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
        for (int part = 0; part < parts; ++part) {
            pi += integrate(steps, part);
            // The ranks must stay together, so nothing is thrown here. If the attempt is over, its result is refused.
            static_cast<void>(task.activity().heartbeat(part));
        }
        return pi;
    });
    std::cout << "running" << std::endl;
    const thb::Result<void> ran = worker.run();
    if (!ran) std::cerr << ran.error().what() << '\n';
    double none = over;
    MPI_Bcast(&none, 1, MPI_DOUBLE, 0, MPI_COMM_WORLD);
}

}  // namespace

int main(int count, char **arguments) {
    MPI_Init(&count, &arguments);
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    try {
        if (rank != 0) follow();
        else lead(count > 1 ? arguments[1] : "models", count > 2 ? arguments[2] : "1");
    } catch (const thb::Error &error) {
        std::cerr << error.what() << std::endl;
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
}
