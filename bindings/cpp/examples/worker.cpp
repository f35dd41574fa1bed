// A solver as an activity worker: takes tasks from the task queue "models", and solves them in four threads.
//
//     worker TASK_QUEUE
#include <csignal>
#include <iostream>
#include <thread>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

// One step of Newton's method.
static double improved(double root, double square) { return (root + square / root) / 2; }

static double solve(thb::Task &task) {
    const double square = task.input().number().value_or(2);
    double root = task.details().number().value_or(square);  // where the previous attempt has stopped
    for (double before = 0; root != before;) {
        before = root;
        root = improved(root, square);
        const thb::Signals signals = task.activity().heartbeat(root).value();  // never waits
        if (signals.cancel_requested()) throw thb::Cancelled(signals);
    }
    return root;  // completes the activity
}

int main(int, char **arguments) try {
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stops, nullptr);  // one thread waits for them

    thb::Client client = thb::Client::connect().value();  // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
    thb::Worker worker(arguments[1] != nullptr ? arguments[1] : "models");
    worker.on("solve", solve);
    std::thread([&] {
        int signal = 0;
        sigwait(&stops, &signal);
        worker.shutdown();
    }).detach();
    std::cout << "running" << std::endl;
    worker.run(4).value();
} catch (const thb::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
