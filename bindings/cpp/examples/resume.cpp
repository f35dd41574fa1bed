// The work of a Temporal Activity in C++17, linked with the library.
//
//     resume_cpp ITEMS FILE
//
// The token comes in TEMPORAL_ACTIVITY_TASK_TOKEN, the server in TEMPORAL_ADDRESS. Each item that is done is one line in
// FILE and one heartbeat. Killed at any moment, the Activity's next attempt, in this or in any other language, goes on
// after the last item that the server knows of.
#include <chrono>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

#include "temporal_heartbeat.h"

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t timeout_ms = 10'000;

// What the library hands out is freed by the function of its kind.
template <auto free_it>
struct Free {
    template <typename T>
    void operator()(T *handed_out) const { free_it(handed_out); }
};
using Error = std::unique_ptr<thb_error_t, Free<thb_error_free>>;
using Details = std::unique_ptr<thb_details_t, Free<thb_details_free>>;
using Text = std::unique_ptr<thb_text_t, Free<thb_text_free>>;

struct Failure : std::runtime_error {
    Failure(thb_status_t status, const thb_error_t *error)
        : std::runtime_error(std::string(thb_status_name(status)) + ": " + thb_error_message(error)), status(status) {}
    thb_status_t status;
};

// Calls a function of the library, whose last parameter takes the error, and throws what it says.
template <typename Function, typename... Args>
void call(Function function, Args... args) {
    thb_error_t *raw = nullptr;
    const thb_status_t status = function(args..., &raw);
    const Error error(raw);
    if (status != THB_OK) throw Failure(status, error.get());
}

// The client of this process; there is one.
struct Connection {
    Connection() { call(thb_connect, nullptr, 0); }
    ~Connection() { thb_disconnect(timeout_ms, nullptr); }
    Connection(const Connection &) = delete;
    Connection &operator=(const Connection &) = delete;
};

// One attempt of an Activity, whose details are the number of the last item done, as JSON.
class Attempt {
public:
    explicit Attempt(std::string_view token) : token_(token) {
        thb_details_t *raw = nullptr;
        call(thb_get_details, token_.data(), token_.size(), timeout_ms, &raw);
        const Details details(raw);
        number = thb_details_attempt(raw);
        std::size_t len = 0;
        const auto *json = static_cast<const char *>(thb_details_data(raw, 0, &len));
        if (json != nullptr) last_item = std::stol(std::string(json, len));
    }

    // Tells the server how far we are. While the activity is paused nothing is done but this: silence would end it.
    std::uint32_t beat(long item) const {
        const std::string json = std::to_string(item);
        for (;;) {
            std::uint32_t signals = 0;
            call(thb_heartbeat, token_.data(), token_.size(), THB_ENCODING_JSON, json.data(), json.size(), timeout_ms,
                 &signals);
            const bool stop = signals & (THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET);
            if (stop || !(signals & THB_SIGNAL_PAUSED)) return signals;
            std::this_thread::sleep_for(500ms);
        }
    }

    void complete(long result) const {
        const std::string json = std::to_string(result);
        call(thb_complete, token_.data(), token_.size(), THB_ENCODING_JSON, json.data(), json.size(), timeout_ms);
    }
    void report_cancelled() const {
        call(thb_report_cancelled, token_.data(), token_.size(), THB_ENCODING_NONE, nullptr, 0, timeout_ms);
    }
    void fail(std::string_view failure_json) const {
        call(thb_fail, token_.data(), token_.size(), failure_json.data(), failure_json.size(), timeout_ms);
    }

    std::int32_t number = 0;
    long last_item = 0;

private:
    std::string_view token_;
};

void do_item(std::ostream &file, std::int32_t attempt, long item) {
    std::this_thread::sleep_for(100ms);  // the work
    file << attempt << " c++ " << item << std::endl;
}

void work(const Attempt &attempt, long items, std::ostream &file) {
    std::cout << "attempt " << attempt.number << " goes on after item " << attempt.last_item << '\n';
    for (long item = attempt.last_item + 1; item <= items; ++item) {
        do_item(file, attempt.number, item);
        const std::uint32_t signals = attempt.beat(item);
        if (signals & THB_SIGNAL_CANCEL_REQUESTED) return attempt.report_cancelled();
        // Ending this attempt lets the next one begin at once.
        if (signals & THB_SIGNAL_RESET) return attempt.fail(R"({"message": "stopped for the reset"})");
    }
    attempt.complete(items);
}

void run(long items, std::ostream &file) {
    if (thb_check_abi(THB_ABI_VERSION) != THB_OK) throw std::runtime_error("the library is not the header's");
    thb_text_t *raw = nullptr;
    call(thb_token_from_env, &raw);
    const Text token(raw);
    std::size_t len = 0;
    const char *bytes = thb_text_data(raw, &len);
    const Connection connection;
    work(Attempt(std::string_view(bytes, len)), items, file);
}

}  // namespace

int main(int argc, char **argv) try {
    const long items = argc == 3 ? std::stol(argv[1]) : 0;
    std::ofstream file(argc == 3 ? argv[2] : "", std::ios::app);
    if (items <= 0 || !file) throw std::runtime_error("usage: resume_cpp ITEMS FILE (which can be written)");
    run(items, file);
} catch (const Failure &failure) {
    std::cerr << failure.what() << '\n';
    return failure.status == THB_NOT_FOUND ? 0 : 1;  // not found: the attempt is over, and so is the work
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
