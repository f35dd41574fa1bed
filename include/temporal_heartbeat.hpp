/* temporal-heartbeat for C++17: the functions of temporal_heartbeat.h as types. Header only; link the same library.
 *
 *     namespace thb = temporal_heartbeat;
 *
 *     int main() {
 *         thb::Client client = thb::Client::connect().value();             // TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE
 *         thb::Activity activity = thb::Activity::from_env().value();      // TEMPORAL_ACTIVITY_TASK_TOKEN: beats from now on
 *         std::int64_t item = activity.details().value().integer().value_or(-1);   // where the attempt before was
 *         while (++item < 1000) {
 *             work_on(item);
 *             thb::Signals signals = activity.heartbeat(item).value();     // nanoseconds: sent in the background
 *             if (signals.cancel_requested()) return !activity.report_cancelled();
 *         }
 *         activity.complete(1000).value();
 *     }
 *
 * What statuses, signals and options mean, and how beats are timed, is told in temporal_heartbeat.h; here is what C++ adds.
 *
 * RESULTS. What can fail returns a Result, with exceptions and without. value() is what was asked for, or throws the
 * Error; in a build without exceptions (-fno-exceptions) it prints the error and aborts. Who wants neither asks:
 *
 *     if (auto beat = activity.heartbeat(item); beat.status() == THB_NOT_FOUND) stop();   // THB_OK, or why not
 *     else if (!beat) log(beat.error().what());
 *
 * VALUES are JSON: a text of it, or an integer. Others are named: Value::binary, null, payloads. A Value borrows.
 *
 * TIMEOUTS are std::chrono durations; below 0 is 0, and 2^31 ms (25 days) or more is `forever`. A timeout of 0 never waits.
 *
 * THREADS. Any thread may call anything of an object, also close an Activity that others wait for. Moving, assigning and
 * destroying are for one thread alone, and so is Details::add.
 *
 * LIFETIMES. Client and Activity are handles that can be moved: what was moved from, closed or made by default is
 * closed, which is safe: calls return THB_INVALID_HANDLE, and closing it again is no error. Destructors never throw.
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
#include <type_traits>
#include <utility>

#include "temporal_heartbeat.h"

namespace temporal_heartbeat {
// Parts of one program may be built with exceptions and others without: to the linker these are different types.
#ifdef __cpp_exceptions
inline namespace with_exceptions {
#else
inline namespace without_exceptions {
#endif

using Timeout = std::chrono::milliseconds;
/* The time that blocking calls have unless another is given. */
inline constexpr Timeout default_timeout = std::chrono::seconds(10);
inline constexpr Timeout forever = Timeout::max();

/* Why a call failed; what Result::value throws. Copies share the text. */
class Error : public std::exception {
public:
    /* No error: THB_OK. */
    Error() noexcept = default;
    /* Takes the error over from the C function that returned it (NULL: there is no more than the status). */
    explicit Error(thb_status_t status, thb_error_t *taken = nullptr) {
        const std::unique_ptr<thb_error_t, void (*)(thb_error_t *)> error(taken, thb_error_free);
        std::string name = thb_status_name(status);
        const std::size_t prefix = error ? name.size() + 2 : name.size();
        if (error) name.append(": ").append(thb_error_message(taken));
        why_ = std::make_shared<const Why>(Why{status, thb_error_grpc_code(taken), thb_error_is_retryable(taken) != 0,
                                               thb_error_retry_after_ms(taken), std::move(name), prefix});
    }

    explicit operator bool() const noexcept { return why_ != nullptr; }
    /* One of enum thb_status, e.g. THB_NOT_FOUND; newer libraries may have more. */
    thb_status_t status() const noexcept { return why_ ? why_->status : THB_OK; }
    /* "THB_NOT_FOUND: the activity ...", for people. */
    const char *what() const noexcept override { return why_ ? why_->what.c_str() : "THB_OK"; }
    /* The same without the name of the status. */
    const char *message() const noexcept { return why_ ? why_->what.c_str() + why_->prefix : ""; }
    /* What the server answered, e.g. 5; -1: it didn't. */
    std::int32_t grpc_code() const noexcept { return why_ ? why_->grpc_code : -1; }
    /* Whether the same call may succeed later. */
    bool retryable() const noexcept { return why_ && why_->retryable; }
    /* How long to wait before that, where something is known of it. */
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
        std::size_t prefix;
    };
    std::shared_ptr<const Why> why_;
};

/* What all results have. */
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

/* A value, or the Error that came instead. */
template <typename T>
class [[nodiscard]] Result : public Outcome {
public:
    Result(T value) noexcept : value_(std::move(value)) {}
    Result(Error error) noexcept : Outcome(std::move(error)) {}

    /* The value; without one the error is thrown. */
    T &value() & { return check(), *value_; }
    const T &value() const & { return check(), *value_; }
    T value() && { return check(), std::move(*value_); }

private:
    std::optional<T> value_;
};

/* Done, or the Error that came instead. */
template <>
class [[nodiscard]] Result<void> : public Outcome {
public:
    Result() noexcept = default;
    Result(Error error) noexcept : Outcome(std::move(error)) {}
    void value() const { check(); }
};

/* What server and clock ask of an activity: a set of THB_SIGNAL_*, see the table there. */
class Signals {
public:
    static constexpr std::uint32_t all = UINT32_MAX;

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

/* Something to send as details or result. It borrows its bytes: make it in the call that it is for. */
class Value {
public:
    /* An integer, as JSON. */
    template <typename T, std::enable_if_t<std::is_integral_v<T> && (sizeof(T) > 1), int> = 0>
    Value(T number) noexcept : encoding_(THB_ENCODING_JSON), is_number_(true) {
        len_ = static_cast<std::size_t>(std::to_chars(digits_, digits_ + sizeof digits_, number).ptr - digits_);
    }
    /* One JSON text in UTF-8: checked, and sent as it is. */
    Value(std::string_view json) noexcept : Value(THB_ENCODING_JSON, json) {}
    Value(const std::string &json) noexcept : Value(std::string_view(json)) {}
    Value(const char *json) noexcept : Value(std::string_view(json)) {}
    /* Several values, or the ones that were read before. */
    Value(const Details &details) noexcept;

    static Value json(std::string_view text) noexcept { return {THB_ENCODING_JSON, text}; }
    static Value binary(std::string_view bytes) noexcept { return {THB_ENCODING_BINARY, bytes}; }
    static Value binary(const void *data, std::size_t len) noexcept {
        return binary({static_cast<const char *>(data), len});
    }
    static Value null() noexcept { return {THB_ENCODING_NULL, {}}; }
    /* A serialized temporal.api.common.v1.Payloads. */
    static Value payloads(std::string_view bytes) noexcept { return {THB_ENCODING_PAYLOADS, bytes}; }
    /* No value: normal for a result. As the details of a one-call heartbeat it ERASES what the server holds. */
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

/* Calls a C function, whose last parameter takes the error. */
template <typename Function, typename... Arguments>
Error call(Function function, Arguments... arguments) {
    thb_error_t *error = nullptr;
    const thb_status_t status = function(arguments..., &error);
    return status == THB_OK ? Error() : Error(status, error);
}

/* The same for one whose last parameter but one takes what it makes. */
template <typename T, typename Raw, typename Function, typename... Arguments>
Result<T> make(Function function, Arguments... arguments) {
    Raw raw{};
    if (Error error = call(function, arguments..., &raw)) return error;
    return T(raw);
}

inline std::uint32_t milliseconds(Timeout timeout) noexcept {
    if (timeout.count() <= 0) return 0;
    return timeout.count() > INT32_MAX ? THB_FOREVER : static_cast<std::uint32_t>(timeout.count());
}

/* The same for one that makes a text. */
template <typename... Arguments>
Result<std::string> text(Arguments... arguments) {
    thb_text_t *made = nullptr;
    if (Error error = call(arguments..., &made)) return error;
    const std::unique_ptr<thb_text_t, void (*)(thb_text_t *)> text(made, thb_text_free);
    std::size_t len = 0;
    const char *data = thb_text_data(made, &len);
    return std::string(data, len);
}

}  // namespace detail

/* Zero or more values, with what the server tells about them; read from it or built here. */
class Details {
public:
    Details() noexcept = default;
    /* Takes over what a C function returned. */
    explicit Details(thb_details_t *taken) noexcept : details_(taken) {}

    Result<void> add(const Value &value) {
        thb_details_t *fresh = nullptr;
        if (details_ == nullptr)
            if (Error error = detail::call(thb_details_new, &fresh)) return error;
        if (fresh != nullptr) details_.reset(fresh);
        return detail::call(thb_details_add, details_.get(), value.encoding(), value.data(), value.size());
    }

    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return thb_details_count(details_.get()); }
    /* The bytes of one value, of JSON its text; empty for an index that there isn't. They live as long as the details. */
    std::string_view operator[](std::size_t index) const noexcept {
        std::size_t len = 0;
        const void *data = thb_details_data(details_.get(), index, &len);
        return {static_cast<const char *>(data), len};
    }
    /* "json/plain", "binary/plain", ...; "" for an index that there isn't. */
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
    /* When they were recorded, by the server's clock; none: never. */
    std::optional<std::chrono::system_clock::time_point> recorded_at() const noexcept {
        const std::int64_t ms = thb_details_recorded_at_unix_ms(details_.get());
        return ms == 0 ? std::nullopt : std::optional<std::chrono::system_clock::time_point>(Timeout(ms));
    }
    /* The activity's heartbeat timeout, where the server tells it; 0: it has none. */
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

/* The connection of this process, of which there is one: it ends with this object. Declare it before activities. */
class Client {
public:
    Client() noexcept = default;
    /* options is the JSON of thb_connect, e.g. R"({"address": "temporal:7233"})". Blocks as that. */
    static Result<Client> connect(std::string_view options = {}) {
        if (const thb_status_t status = thb_check_abi(THB_ABI_VERSION); status != THB_OK) return Error(status);
        if (Error error = detail::call(thb_connect, options.data(), options.size())) return error;
        Client client;
        client.connected_ = true;
        return client;
    }
    Client(Client &&other) noexcept : connected_(other.connected_.exchange(false)) {}
    Client &operator=(Client &&other) noexcept {
        const bool taken = other.connected_.exchange(false);
        static_cast<void>(disconnect());
        connected_ = taken;
        return *this;
    }
    ~Client() { end(default_timeout, nullptr); }

    /* Sends what activities have recorded, closes them, and disconnects. When not connected it does nothing. */
    Result<void> disconnect(Timeout timeout = default_timeout) {
        thb_error_t *error = nullptr;
        const thb_status_t status = end(timeout, &error);
        return status == THB_OK ? Error() : Error(status, error);
    }

private:
    thb_status_t end(Timeout timeout, thb_error_t **error) noexcept {
        return connected_.exchange(false) ? thb_disconnect(detail::milliseconds(timeout), error) : THB_OK;
    }
    std::atomic<bool> connected_{false};
};

/* An activity held open: beats go out for it in the background, from open to close. See the thb_activity functions. */
class Activity {
public:
    Activity() noexcept = default;
    /* Takes over a handle that was opened in C. */
    explicit Activity(thb_activity_t handle) noexcept : handle_(handle) {}
    /* options is the JSON of thb_activity_open, e.g. R"({"stall_timeout_ms": 60000})". Never waits for the server. */
    static Result<Activity> open(std::string_view token, std::string_view options = {}) {
        return detail::make<Activity, thb_activity_t>(thb_activity_open, token.data(), token.size(), options.data(),
                                                      options.size());
    }
    /* The one that the parent handed over in TEMPORAL_ACTIVITY_TASK_TOKEN and the variables beside it. */
    static Result<Activity> from_env(std::string_view options = {}) {
        std::string json(options.empty() ? "{}" : options);
        if (const std::size_t brace = json.find('{'); brace != std::string::npos) {
            const std::size_t next = json.find_first_not_of(" \t\r\n", brace + 1);
            const bool alone = next != std::string::npos && json[next] == '}';
            json.insert(brace + 1, alone ? "\"from_env\": true" : "\"from_env\": true, ");
        }
        return open({}, json);
    }
    Activity(Activity &&other) noexcept : handle_(other.handle_.exchange(0)) {}
    /* Closes what was held before, as the destructor does. */
    Activity &operator=(Activity &&other) noexcept {
        const thb_activity_t taken = other.handle_.exchange(0);
        end(default_timeout, nullptr);
        handle_ = taken;
        return *this;
    }
    /* Sends what was recorded last, for which there are 10 s, and closes. On the server it ends nothing: an activity that
     * wasn't completed, failed or reported as cancelled times out there, and is retried. */
    ~Activity() { end(default_timeout, nullptr); }

    /* Records progress, and tells what is asked by now. Never blocks. THB_NOT_FOUND: it is over; stop the work. */
    Result<Signals> heartbeat(const Value &details) const {
        return asked(thb_activity_heartbeat, details.encoding(), details.data(), details.size());
    }
    /* Tells progress without details, for the stall timeout. Never blocks. */
    Result<Signals> touch() const { return asked(thb_activity_touch); }
    /* What is asked by now. Never blocks; works also after the end. */
    Result<Signals> signals() const { return asked(thb_activity_get_signals); }
    /* Waits until a signal of mask differs from the known ones, and returns them; those known when time is over. */
    Result<Signals> wait(Timeout timeout = default_timeout, Signals known = {}, std::uint32_t mask = Signals::all) const {
        return asked(thb_activity_wait, mask, known.bits(), detail::milliseconds(timeout));
    }

    /* Where the attempt before was: what the server held when this one was opened. Ask before the first heartbeat. */
    Result<Details> details(Timeout timeout = default_timeout) const {
        return detail::make<Details, thb_details_t *>(thb_activity_get_details, handle(), detail::milliseconds(timeout));
    }
    /* How it stands: the JSON of thb_activity_get_info. Never blocks. */
    Result<std::string> info() const { return detail::text(thb_activity_get_info, handle()); }

    /* Sends what was recorded last now, and waits until the server has it. */
    Result<void> flush(Timeout timeout = default_timeout) const {
        return call(thb_activity_flush, detail::milliseconds(timeout));
    }
    /* Ends the activity. After THB_OK and THB_IN_DOUBT it is ended; after a temporary error it may be called again. */
    Result<void> complete(const Value &result = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_complete, result.encoding(), result.data(), result.size(), detail::milliseconds(timeout));
    }
    /* Ends this attempt; failure is the JSON of thb_fail. What was recorded goes with it. */
    Result<void> fail(std::string_view failure, Timeout timeout = default_timeout) const {
        return call(thb_activity_fail, failure.data(), failure.size(), detail::milliseconds(timeout));
    }
    /* Ends it as cancelled, after Signals::cancel_requested. The details are the workflow's. */
    Result<void> report_cancelled(const Value &details = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_report_cancelled, details.encoding(), details.data(), details.size(),
                    detail::milliseconds(timeout));
    }
    /* As the destructor; tells when what was recorded last couldn't be sent. It is closed whatever this returns. */
    Result<void> close(Timeout timeout = default_timeout) {
        thb_error_t *error = nullptr;
        const thb_status_t status = end(timeout, &error);
        return status == THB_OK ? Error() : Error(status, error);
    }

    /* For the functions in C; 0 when closed. */
    thb_activity_t handle() const noexcept { return handle_; }

private:
    template <typename Function, typename... Arguments>
    Error call(Function function, Arguments... arguments) const {
        return detail::call(function, handle(), arguments...);
    }
    template <typename Function, typename... Arguments>
    Result<Signals> asked(Function function, Arguments... arguments) const {
        return detail::make<Signals, std::uint32_t>(function, handle(), arguments...);
    }
    thb_status_t end(Timeout timeout, thb_error_t **error) noexcept {
        const thb_activity_t handle = handle_.exchange(0);
        return handle == 0 ? THB_OK : thb_activity_close(handle, detail::milliseconds(timeout), error);
    }
    std::atomic<thb_activity_t> handle_{0};
};

/* One call, one request, without a handle: the thb functions of the same names. Each waits for the server's answer. */

/* The token that the parent handed over, decoded. */
inline Result<std::string> token_from_env() { return detail::text(thb_token_from_env); }

inline Result<Signals> heartbeat(std::string_view token, const Value &details, Timeout timeout = default_timeout) {
    return detail::make<Signals, std::uint32_t>(thb_heartbeat, token.data(), token.size(), details.encoding(),
                                                details.data(), details.size(), detail::milliseconds(timeout));
}
inline Result<Details> get_details(std::string_view token, Timeout timeout = default_timeout) {
    return detail::make<Details, thb_details_t *>(thb_get_details, token.data(), token.size(),
                                                  detail::milliseconds(timeout));
}
inline Result<void> complete(std::string_view token, const Value &result = Value::none(),
                             Timeout timeout = default_timeout) {
    return detail::call(thb_complete, token.data(), token.size(), result.encoding(), result.data(), result.size(),
                        detail::milliseconds(timeout));
}
inline Result<void> fail(std::string_view token, std::string_view failure, Timeout timeout = default_timeout) {
    return detail::call(thb_fail, token.data(), token.size(), failure.data(), failure.size(),
                        detail::milliseconds(timeout));
}
inline Result<void> report_cancelled(std::string_view token, const Value &details = Value::none(),
                                     Timeout timeout = default_timeout) {
    return detail::call(thb_report_cancelled, token.data(), token.size(), details.encoding(), details.data(),
                        details.size(), detail::milliseconds(timeout));
}

}  // inline namespace
}  // namespace temporal_heartbeat

#endif
