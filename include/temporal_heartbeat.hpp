/* temporal-heartbeat for C++17: the functions of temporal_heartbeat.h as types. Header only; link the same library.
 *
 *     #include <iostream>
 *     #include "temporal_heartbeat.hpp"
 *
 *     namespace thb = temporal_heartbeat;
 *
 *     int main() try {
 *         thb::Client client = thb::Client::connect().value();         // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
 *         thb::Activity activity = thb::Activity::from_env().value();  // TEMPORAL_ACTIVITY_TASK_TOKEN; beats start
 *         std::int64_t item = activity.details().value().integer().value_or(-1);  // the last completed item
 *         while (++item < 10) {
 *             std::cout << "working on item " << item << '\n';
 *             thb::Signals signals = activity.heartbeat(item).value();  // never waits: sent in the background
 *             if (signals.paused()) signals = activity.wait_while_paused().value();
 *             if (signals.cancel_requested()) return !activity.report_cancelled();
 *         }
 *         activity.complete("\"ten items\"").value();
 *     } catch (const thb::Error &error) {
 *         std::cerr << error.what() << '\n';
 *         return error.status() == THB_NOT_FOUND ? 0 : 1;  // not found: it is over for this attempt
 *     }
 *
 * temporal_heartbeat.h documents the statuses, signals and options, and when beats are sent. C++ adds:
 *
 * RESULTS. Each function that can fail returns a Result. value() returns the value, or throws the Error; in a build
 * without exceptions (-fno-exceptions) it prints the error and aborts. To avoid both, check the status first:
 *
 *     if (auto beat = activity.heartbeat(item); beat.status() == THB_NOT_FOUND) stop();   // THB_OK, or why not
 *     else if (!beat) log(beat.error().what());
 *
 * VALUES are JSON: a JSON text or an integer. For other encodings use Value::binary, null or payloads. A Value borrows
 * its bytes.
 *
 * TIMEOUTS are std::chrono durations. 0 or less never waits; 2^31 ms (25 days) or more is `forever`.
 *
 * THREADS. Any thread may call any function, and may close an Activity that other threads wait for. Don't move, assign
 * or destroy an object, or call Details::add, while another thread uses the object.
 *
 * LIFETIMES. Client and Activity are movable handles. A moved-from, closed or default-constructed object is closed: its
 * calls return THB_INVALID_HANDLE, and closing it again is not an error. Destructors never throw.
 */
#ifndef TEMPORAL_HEARTBEAT_HPP
#define TEMPORAL_HEARTBEAT_HPP

#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>

#include "temporal_heartbeat.h"

namespace temporal_heartbeat {
// Different types for the linker, because one program may contain code built with exceptions and code built without.
#ifdef __cpp_exceptions
inline namespace with_exceptions {
#else
inline namespace without_exceptions {
#endif

using Timeout = std::chrono::milliseconds;
/* The default timeout of blocking calls. */
inline constexpr Timeout default_timeout = std::chrono::seconds(10);
inline constexpr Timeout forever = Timeout::max();

/* Why a call failed. Result::value throws it. Copies share the text. */
class Error : public std::exception {
public:
    /* No error: THB_OK. */
    Error() noexcept = default;
    /* Takes ownership of an error that a C function returned (NULL: there is only the status). */
    explicit Error(thb_status_t status, thb_error_t *taken = nullptr) {
        const std::unique_ptr<thb_error_t, void (*)(thb_error_t *)> error(taken, thb_error_free);
        std::string what = thb_status_name(status);
        if (error) what.append(": ").append(thb_error_message(taken));
        why_ = std::make_shared<const Why>(Why{status, thb_error_grpc_code(taken), thb_error_is_retryable(taken) != 0,
                                               thb_error_retry_after_ms(taken), std::move(what)});
    }

    explicit operator bool() const noexcept { return why_ != nullptr; }
    /* One of enum thb_status, e.g. THB_NOT_FOUND; newer libraries may have more. */
    thb_status_t status() const noexcept { return why_ ? why_->status : THB_OK; }
    /* "THB_NOT_FOUND: the activity ...", for people. */
    const char *what() const noexcept override { return why_ ? why_->what.c_str() : "THB_OK"; }
    /* The gRPC code of the server's answer, e.g. 5; -1 without an answer. */
    std::int32_t grpc_code() const noexcept { return why_ ? why_->grpc_code : -1; }
    /* Whether the same call may succeed later. */
    bool retryable() const noexcept { return why_ && why_->retryable; }
    /* How long to wait before that retry, if known. */
    std::optional<Timeout> retry_after() const noexcept {
        if (!why_ || why_->retry_after_ms < 0) return std::nullopt;
        return Timeout(why_->retry_after_ms);
    }

private:
    struct Why {
        thb_status_t status;
        std::int32_t grpc_code;
        bool retryable;
        std::int64_t retry_after_ms;
        std::string what;
    };
    std::shared_ptr<const Why> why_;
};

/* The common part of all results. */
class Outcome {
public:
    explicit operator bool() const noexcept { return status() == THB_OK; }
    thb_status_t status() const noexcept { return error_.status(); }
    const Error &error() const noexcept { return error_; }

protected:
    Outcome() noexcept = default;
    explicit Outcome(Error error) noexcept : error_(std::move(error)) {}
    void check() const {
        if (*this) return;
#ifdef __cpp_exceptions
        throw error_;
#else
        std::fprintf(stderr, "%s\n", error_.what());
        std::abort();
#endif
    }

private:
    Error error_;
};

/* A value or an Error. */
template <typename T>
class [[nodiscard]] Result : public Outcome {
public:
    Result(T value) noexcept : value_(std::move(value)) {}
    Result(Error error) noexcept : Outcome(std::move(error)) {}

    /* Returns the value, or throws the error. */
    T &value() & { return check(), *value_; }
    const T &value() const & { return check(), *value_; }
    T value() && { return check(), std::move(*value_); }

private:
    std::optional<T> value_;
};

/* Success or an Error. */
template <>
class [[nodiscard]] Result<void> : public Outcome {
public:
    Result() noexcept = default;
    Result(Error error) noexcept : Outcome(std::move(error)) {}
    void value() const { check(); }
};

/* A set of THB_SIGNAL_*; see enum thb_signal. */
class Signals {
public:
    static constexpr std::uint32_t all = UINT32_MAX;
    /* The signals after which the work should stop. */
    static constexpr std::uint32_t stop =
        THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_RESET | THB_SIGNAL_GONE | THB_SIGNAL_LEASE_LOST;

    constexpr Signals(std::uint32_t bits = 0) noexcept : bits_(bits) {}
    constexpr std::uint32_t bits() const noexcept { return bits_; }
    constexpr bool any(std::uint32_t mask = all) const noexcept { return (bits_ & mask) != 0; }

    constexpr bool cancel_requested() const noexcept { return any(THB_SIGNAL_CANCEL_REQUESTED); }
    constexpr bool paused() const noexcept { return any(THB_SIGNAL_PAUSED); }
    constexpr bool reset() const noexcept { return any(THB_SIGNAL_RESET); }
    constexpr bool gone() const noexcept { return any(THB_SIGNAL_GONE); }
    constexpr bool lease_lost() const noexcept { return any(THB_SIGNAL_LEASE_LOST); }
    constexpr bool stalled() const noexcept { return any(THB_SIGNAL_STALLED); }
    constexpr bool refused() const noexcept { return any(THB_SIGNAL_REFUSED); }
    constexpr bool deadline() const noexcept { return any(THB_SIGNAL_DEADLINE); }
    constexpr bool unseeded() const noexcept { return any(THB_SIGNAL_UNSEEDED); }

    friend constexpr bool operator==(Signals a, Signals b) noexcept { return a.bits_ == b.bits_; }
    friend constexpr bool operator!=(Signals a, Signals b) noexcept { return a.bits_ != b.bits_; }

private:
    std::uint32_t bits_;
};

class Details;

/* A value to send as details or result. It borrows its bytes: construct it in the argument list of the call. */
class Value {
public:
    /* An integer, as JSON. */
    template <typename T, std::enable_if_t<std::is_integral_v<T> && (sizeof(T) > 1), int> = 0>
    Value(T number) noexcept : encoding_(THB_ENCODING_JSON), is_number_(true) {
        len_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, number).ptr - digits_);
    }
    /* One JSON text in UTF-8: checked, then sent byte for byte. */
    template <typename T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>, int> = 0>
    Value(const T &json) noexcept : Value(THB_ENCODING_JSON, std::string_view(json)) {}
    /* All values of details that were built or read before. */
    Value(const Details &details) noexcept;

    static Value binary(std::string_view bytes) noexcept { return {THB_ENCODING_BINARY, bytes}; }
    static Value binary(const void *data, std::size_t len) noexcept {
        return binary({static_cast<const char *>(data), len});
    }
    static Value null() noexcept { return {THB_ENCODING_NULL, {}}; }
    /* A serialized temporal.api.common.v1.Payloads. */
    static Value payloads(std::string_view bytes) noexcept { return {THB_ENCODING_PAYLOADS, bytes}; }
    /* No value: usual for a result. In a one-call heartbeat it ERASES the details that the server holds. */
    static Value none() noexcept { return {THB_ENCODING_NONE, {}}; }

    thb_encoding_t encoding() const noexcept { return encoding_; }
    const void *data() const noexcept { return is_number_ ? digits_ : data_; }
    std::size_t size() const noexcept { return len_; }

private:
    Value(thb_encoding_t encoding, std::string_view bytes) noexcept
        : encoding_(encoding), data_(bytes.data()), len_(bytes.size()) {}

    thb_encoding_t encoding_;
    bool is_number_ = false;
    const char *data_ = nullptr;
    std::size_t len_ = 0;
    char digits_[24] = {};
};

namespace detail {

inline std::uint32_t milliseconds(Timeout timeout) noexcept {
    if (timeout.count() <= 0) return 0;
    return timeout.count() > INT32_MAX ? THB_FOREVER : static_cast<std::uint32_t>(timeout.count());
}

/* Converts an argument to one or more arguments of a C function. */
inline auto spread(Timeout timeout) noexcept { return std::make_tuple(milliseconds(timeout)); }
inline auto spread(std::string_view bytes) noexcept { return std::make_tuple(bytes.data(), bytes.size()); }
inline auto spread(const Value &value) noexcept {
    return std::make_tuple(value.encoding(), value.data(), value.size());
}
template <typename T>
auto spread(T other) noexcept {
    return std::make_tuple(other);
}

/* Calls a C function that has error_out as its last parameter. */
template <typename Function, typename... Arguments>
Error call(Function function, const Arguments &...arguments) {
    thb_error_t *error = nullptr;
    const thb_status_t status = std::apply(function, std::tuple_cat(spread(arguments)..., std::make_tuple(&error)));
    return status == THB_OK ? Error() : Error(status, error);
}

/* Calls a C function with one output before error_out, and returns the output. */
template <typename T, typename Raw, typename Function, typename... Arguments>
Result<T> make(Function function, const Arguments &...arguments) {
    Raw raw{};
    if (Error error = call(function, arguments..., &raw)) return error;
    return T(raw);
}

/* Calls a C function that outputs a text, and returns the text. */
template <typename... Arguments>
Result<std::string> text(const Arguments &...arguments) {
    thb_text_t *made = nullptr;
    if (Error error = call(arguments..., &made)) return error;
    const std::unique_ptr<thb_text_t, void (*)(thb_text_t *)> text(made, thb_text_free);
    std::size_t len = 0;
    const char *data = thb_text_data(made, &len);
    return std::string(data, len);
}

/* A handle (0: none). If several threads close it, only the first call does. */
template <typename T, thb_status_t (*close_it)(T, std::uint32_t, thb_error_t **)>
class Owned {
public:
    Owned() noexcept = default;
    explicit Owned(T handle) noexcept : handle_(handle) {}
    Owned(Owned &&other) noexcept : handle_(other.handle_.exchange(0)) {}
    Owned &operator=(Owned &&other) noexcept {
        const T taken = other.handle_.exchange(0);
        close(default_timeout, nullptr);
        handle_ = taken;
        return *this;
    }
    ~Owned() { close(default_timeout, nullptr); }
    T get() const noexcept { return handle_; }
    thb_status_t close(Timeout timeout, thb_error_t **error) noexcept {
        const T handle = handle_.exchange(0);
        return handle == 0 ? THB_OK : close_it(handle, milliseconds(timeout), error);
    }

private:
    std::atomic<T> handle_{0};
};

}  // namespace detail

/* Zero or more values, read from the server or built here. */
class Details {
public:
    Details() noexcept = default;
    /* Takes ownership of details that a C function returned. */
    explicit Details(thb_details_t *taken) noexcept : details_(taken) {}

    Result<void> add(const Value &value) {
        thb_details_t *fresh = nullptr;
        if (details_ == nullptr)
            if (Error error = detail::call(thb_details_new, &fresh)) return error;
        if (fresh != nullptr) details_.reset(fresh);
        return detail::call(thb_details_add, details_.get(), value);
    }

    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return thb_details_count(details_.get()); }
    /* The bytes of one value (the text, for JSON), valid until add or destruction; empty if there is no such index. */
    std::string_view operator[](std::size_t index) const noexcept {
        std::size_t len = 0;
        const void *data = thb_details_data(details_.get(), index, &len);
        return {static_cast<const char *>(data), len};
    }
    /* "json/plain", "binary/plain", ...; "" if there is no such index. */
    const char *encoding(std::size_t index) const noexcept { return thb_details_encoding(details_.get(), index); }
    /* The value as an integer, if it is one. */
    std::optional<std::int64_t> integer(std::size_t index = 0) const noexcept {
        const std::string_view text = (*this)[index];
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
        return number;
    }
    /* All values, serialized, for Value::payloads. */
    std::string_view payloads() const noexcept {
        std::size_t len = 0;
        const void *data = thb_details_payloads(details_.get(), &len);
        return {static_cast<const char *>(data), len};
    }

    /* The attempt that the server has now, from 1; 0: unknown. */
    std::int32_t attempt() const noexcept { return thb_details_attempt(details_.get()); }
    /* When the server recorded them, by its clock; nullopt: never. */
    std::optional<std::chrono::system_clock::time_point> recorded_at() const noexcept {
        const std::int64_t ms = thb_details_recorded_at_unix_ms(details_.get());
        return ms == 0 ? std::nullopt : std::optional<std::chrono::system_clock::time_point>(Timeout(ms));
    }
    /* The activity's heartbeat timeout, 0 if it has none; nullopt if the server doesn't report it. */
    std::optional<Timeout> heartbeat_timeout() const noexcept {
        const std::int64_t ms = thb_details_heartbeat_timeout_ms(details_.get());
        return ms < 0 ? std::nullopt : std::optional<Timeout>(ms);
    }

private:
    struct Free {
        void operator()(thb_details_t *details) const noexcept { thb_details_free(details); }
    };
    std::unique_ptr<thb_details_t, Free> details_;
};

inline Value::Value(const Details &details) noexcept : Value(payloads(details.payloads())) {}

/* The client of this process; there is at most one. Declare it before activities. Its destructor sends their last
 * records and closes them, within 10 s. */
class Client {
public:
    Client() noexcept = default;
    /* options is the JSON of thb_connect, e.g. R"({"address": "temporal:7233"})". Blocks like thb_connect. */
    static Result<Client> connect(std::string_view options = {}) {
        if (const thb_status_t status = thb_check_abi(THB_ABI_VERSION); status != THB_OK) return Error(status);
        if (Error error = detail::call(thb_connect, options)) return error;
        Client client;
        client.connected_ = Connected(1);
        return client;
    }
    /* As thb_reconfigure, e.g. R"({"api_key": "..."})". Never waits for the server. */
    Result<void> reconfigure(std::string_view options) { return detail::call(thb_reconfigure, options); }
    /* Like the destructor, but with a timeout and a result. */
    Result<void> disconnect(Timeout timeout = default_timeout) {
        return detail::call([&](thb_error_t **error) { return connected_.close(timeout, error); });
    }

private:
    static thb_status_t end(int, std::uint32_t timeout_ms, thb_error_t **error) noexcept {
        return thb_disconnect(timeout_ms, error);
    }
    using Connected = detail::Owned<int, end>;
    Connected connected_;
};

/* An activity held open. The library sends its beats in the background until close. See the thb_activity functions. */
class Activity {
public:
    Activity() noexcept = default;
    /* Takes ownership of a handle that a C function opened. */
    explicit Activity(thb_activity_t handle) noexcept : handle_(handle) {}
    /* options is the JSON of thb_activity_open, e.g. R"({"stall_timeout_ms": 60000})". Never waits for the server. */
    static Result<Activity> open(std::string_view token, std::string_view options = {}) {
        return detail::make<Activity, thb_activity_t>(thb_activity_open, token, options);
    }
    /* Opens the activity that the parent handed over in the TEMPORAL_ACTIVITY_... variables. */
    static Result<Activity> from_env(std::string_view options = {}) {
        std::string json(options.empty() ? "{}" : options);
        if (const std::size_t brace = json.find('{'); brace != std::string::npos) {
            const std::size_t next = json.find_first_not_of(" \t\r\n", brace + 1);
            const bool alone = next != std::string::npos && json[next] == '}';
            json.insert(brace + 1, alone ? "\"from_env\": true" : "\"from_env\": true, ");
        }
        return open({}, json);
    }
    /* Records progress and returns the current signals. Never blocks. THB_NOT_FOUND: it is over; stop the work. */
    Result<Signals> heartbeat(const Value &details) const {
        return asked(thb_activity_heartbeat, details);
    }
    /* Reports progress without details, for the stall timeout, and returns the current signals. Never blocks. */
    Result<Signals> touch() const { return asked(thb_activity_touch); }
    /* Returns the current signals, also after the end. Never blocks. */
    Result<Signals> signals() const { return asked(thb_activity_get_signals); }
    /* Waits until a signal of mask differs from known, or the timeout passes. Returns the current signals. */
    Result<Signals> wait(Timeout timeout = default_timeout, Signals known = {},
                         std::uint32_t mask = Signals::all) const {
        return asked(thb_activity_wait, mask, known.bits(), timeout);
    }

    /* Waits until the activity isn't paused any more, one of Signals::stop is set, or the timeout passes. Returns the
     * current signals, at once if it isn't paused. The beats continue, and the stall timeout doesn't run. */
    Result<Signals> wait_while_paused(Timeout timeout = forever) const {
        return wait(timeout, THB_SIGNAL_PAUSED, THB_SIGNAL_PAUSED | Signals::stop);
    }

    /* Returns the previous attempt's details, as the server held them at open. Call it before the first heartbeat. */
    Result<Details> details(Timeout timeout = default_timeout) const {
        return detail::make<Details, thb_details_t *>(thb_activity_get_details, handle(), timeout);
    }
    /* Returns a report: the JSON of thb_activity_get_info. Never blocks. */
    Result<std::string> info() const { return detail::text(thb_activity_get_info, handle()); }

    /* Sends the newest record at once, and waits until the server has acknowledged it. */
    Result<void> flush(Timeout timeout = default_timeout) const {
        return call(thb_activity_flush, timeout);
    }
    /* Completes the activity. After THB_OK and THB_IN_DOUBT it is ended; after a temporary error call this again. */
    Result<void> complete(const Value &result = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_complete, result, timeout);
    }
    /* Ends this attempt with a failure, the JSON of thb_fail. The newest record is sent with it. */
    Result<void> fail(std::string_view failure, Timeout timeout = default_timeout) const {
        return call(thb_activity_fail, failure, timeout);
    }
    /* Ends it as cancelled, after Signals::cancel_requested. The details go to the workflow. */
    Result<void> report_cancelled(const Value &details = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_report_cancelled, details, timeout);
    }
    /* Sends the newest record and closes the handle, even if the send fails. Ends nothing on the server: an activity
     * that wasn't ended times out there and is retried. The destructor does the same, within 10 s. */
    Result<void> close(Timeout timeout = default_timeout) {
        return detail::call([&](thb_error_t **error) { return handle_.close(timeout, error); });
    }

    /* The handle for C functions; 0 when closed. */
    thb_activity_t handle() const noexcept { return handle_.get(); }

private:
    template <typename Function, typename... Arguments>
    Error call(Function function, const Arguments &...arguments) const {
        return detail::call(function, handle(), arguments...);
    }
    template <typename Function, typename... Arguments>
    Result<Signals> asked(Function function, const Arguments &...arguments) const {
        return detail::make<Signals, std::uint32_t>(function, handle(), arguments...);
    }
    detail::Owned<thb_activity_t, thb_activity_close> handle_;
};

/* One waiter for many activities, for event loops. See the thb_watch functions. */
class Watch {
public:
    /* An activity with changed signals, with the user_data of add; activity 0: timeout. */
    struct Event {
        thb_activity_t activity = 0;
        std::uint64_t user_data = 0;
        Signals signals;
    };

    Watch() noexcept = default;
    /* Takes ownership of a watch that a C function opened. */
    explicit Watch(thb_watch_t watch) noexcept : watch_(watch) {}
    static Result<Watch> open() { return detail::make<Watch, thb_watch_t>(thb_watch_open); }
    /* Makes next return the activity whenever a signal of mask has changed. */
    Result<void> add(const Activity &activity, std::uint64_t user_data = 0, std::uint32_t mask = Signals::all) const {
        return detail::call(thb_watch_add, watch_.get(), activity.handle(), mask, user_data);
    }
    Result<Event> next(Timeout timeout = default_timeout) const {
        Event event;
        std::uint32_t signals = 0;
        Error error = detail::call(thb_watch_next, watch_.get(), timeout, &event.activity, &event.user_data, &signals);
        if (error) return error;
        event.signals = signals;
        return event;
    }
    /* Opens a descriptor that is readable while next has a result. Only poll it. The caller closes it. */
    Result<std::int32_t> open_fd() const {
        return detail::make<std::int32_t, std::int32_t>(thb_watch_open_fd, watch_.get());
    }
    Result<void> close() {
        return detail::call([&](thb_error_t **error) { return watch_.close({}, error); });
    }

private:
    static thb_status_t end(thb_watch_t watch, std::uint32_t, thb_error_t **error) noexcept {
        return thb_watch_close(watch, error);
    }
    detail::Owned<thb_watch_t, end> watch_;
};

/* One-call functions without a handle; see the thb functions of the same names. */

/* Returns the decoded task token that the parent handed over. */
inline Result<std::string> token_from_env() { return detail::text(thb_token_from_env); }
/* Makes a token for the attempt that runs, from the ids in JSON: {"workflow_id", "run_id", "activity_id", "attempt"}. */
inline Result<std::string> token_from_ids(std::string_view ids, Timeout timeout = default_timeout) {
    return detail::text(thb_token_from_ids, ids, timeout);
}

/* Returns the process's metrics in the Prometheus text format. */
inline Result<std::string> metrics() { return detail::text(thb_get_metrics); }
/* Waits for a log record and returns the oldest, as JSON; empty on timeout. */
inline Result<std::string> next_log(Timeout timeout) { return detail::text(thb_log_next, timeout); }

inline Result<Signals> heartbeat(std::string_view token, const Value &details, Timeout timeout = default_timeout) {
    return detail::make<Signals, std::uint32_t>(thb_heartbeat, token, details, timeout);
}
inline Result<Details> get_details(std::string_view token, Timeout timeout = default_timeout) {
    return detail::make<Details, thb_details_t *>(thb_get_details, token, timeout);
}
inline Result<void> complete(std::string_view token, const Value &result = Value::none(),
                             Timeout timeout = default_timeout) {
    return detail::call(thb_complete, token, result, timeout);
}
inline Result<void> fail(std::string_view token, std::string_view failure, Timeout timeout = default_timeout) {
    return detail::call(thb_fail, token, failure, timeout);
}
inline Result<void> report_cancelled(std::string_view token, const Value &details = Value::none(),
                                     Timeout timeout = default_timeout) {
    return detail::call(thb_report_cancelled, token, details, timeout);
}

}  // inline namespace
}  // namespace temporal_heartbeat

#endif
