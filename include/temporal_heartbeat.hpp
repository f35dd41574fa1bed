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
 *             std::cout << "working on item " << item << '\n'; // the work
 *             thb::Signals signals = activity.heartbeat(item).value();  // never waits: sent in the background
 *             if (signals.paused()) signals = activity.wait_while_paused().value();
 *             if (signals.cancel_requested()) return !activity.report_cancelled();
 *         }
 *         activity.complete("ten items").value();
 *     } catch (const thb::Error &error) {
 *         std::cerr << error.what() << '\n';
 *         return error.status() == THB_NOT_FOUND ? 0 : 1;  // not found: the attempt is over
 *     }
 *
 * temporal_heartbeat.h documents the statuses, signals and options, and when beats are sent. C++ adds:
 *
 * RESULTS. Each function that can fail returns a Result. value() returns the value, or throws the Error. Builds without
 * exceptions (-fno-exceptions) don't have value(): check the Result, then use * or ->. That works in all builds:
 *
 *     if (auto beat = activity.heartbeat(item); beat.status() == THB_NOT_FOUND) stop();   // THB_OK, or why not
 *     else if (!beat) log(beat.error().what());
 *     else if (beat->paused()) pause();
 *
 * VALUES. A number, a bool and a text become JSON: heartbeat(0.5), heartbeat("half"). Value::object, array and json make
 * other JSON. Value::binary, null and payloads have other encodings. Value::json, binary and payloads borrow the bytes.
 * Details reads them: integer(), number(), boolean(), text(), or [] for the bytes.
 *
 * LOOPS. track iterates over the items of an activity: it skips those that are done, and records each new one.
 *
 * CODECS. Client::connect takes a PayloadCodec, for example to encrypt. It encodes all values that are sent, and
 * decodes those that are read.
 *
 * ASYNCHRONOUS CALLS. A Queue has many calls in flight in one thread: with callbacks, futures, or C++20 coroutines.
 *
 * WORKERS. A Worker takes the tasks of a task queue, and runs a function for each, in threads.
 *
 * TIMEOUTS are std::chrono durations. 0 or less never waits; 2^31 ms (25 days) or more is `forever`.
 *
 * THREADS. Any thread may call any function, and may close an Activity that other threads wait for. Don't move, assign
 * or destroy an object, or call Details::add, while another thread uses the object.
 *
 * LIFETIMES. Client, Activity, Watch, Queue and Task are movable handles. A moved-from, closed or default-constructed object
 * is closed: its calls return THB_INVALID_HANDLE, and closing it again is not an error. Destructors never throw, and
 * wait at most 2 s: call close or disconnect to wait longer, and to learn whether the last record was sent.
 */
#ifndef TEMPORAL_HEARTBEAT_HPP
#define TEMPORAL_HEARTBEAT_HPP

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <initializer_list>
#include <iterator>
#include <locale>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <unistd.h>
#ifdef __cpp_impl_coroutine
#include <coroutine>
#endif

#include "temporal_heartbeat.h"

namespace temporal_heartbeat {

/* One value in the form in which Temporal stores it: a temporal.api.common.v1.Payload. */
struct Payload {
    std::map<std::string, std::string> metadata = {};  // "encoding" names the encoding, for example "json/plain"
    std::string data = {};
    std::string unknown_fields = {};  // fields that only newer servers know, serialized

    /* Returns the name of the encoding; empty if the metadata have none. */
    std::string encoding() const {
        const auto found = metadata.find("encoding");
        return found == metadata.end() ? std::string() : found->second;
    }
    /* Returns the serialized message, which most codecs encrypt. */
    std::string serialize() const;
    /* Reads what serialize returned; nullopt if the bytes aren't such a message. */
    static std::optional<Payload> parse(std::string_view bytes);
};

/* Code built with exceptions and code built without share these. */
namespace all_builds {

/* The tags of the fields 1 and 2 in protobuf, if their values have a length. */
inline constexpr std::uint64_t field_1 = 1 << 3 | 2, field_2 = 2 << 3 | 2;

inline void append_varint(std::string &message, std::uint64_t number) {
    for (; number > 0x7f; number >>= 7) message += static_cast<char>((number & 0x7f) | 0x80);
    message += static_cast<char>(number);
}
inline void append_field(std::string &message, std::uint64_t tag, std::string_view value) {
    append_varint(message, tag);
    append_varint(message, value.size());
    message.append(value);
}
inline std::optional<std::uint64_t> take_varint(std::string_view &message) {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && !message.empty(); shift += 7) {
        const auto byte = static_cast<unsigned char>(message.front());
        message.remove_prefix(1);
        number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
        if (byte < 0x80) return number;
    }
    return std::nullopt;
}
/* Calls read(tag, value, whole_field) for each field. Returns false if read does, or the message is invalid. */
template <typename Function>
bool each_field(std::string_view message, Function read) {
    while (!message.empty()) {
        const std::string_view start = message;
        const std::optional<std::uint64_t> tag = take_varint(message);
        if (!tag) return false;
        std::optional<std::uint64_t> size;
        if ((*tag & 7) == 0 && take_varint(message)) size = 0;
        else if ((*tag & 7) == 1) size = 8;
        else if ((*tag & 7) == 2) size = take_varint(message);
        else if ((*tag & 7) == 5) size = 4;
        if (!size || *size > message.size()) return false;
        const std::string_view value = message.substr(0, static_cast<std::size_t>(*size));
        message.remove_prefix(value.size());
        if (!read(*tag, value, start.substr(0, start.size() - message.size()))) return false;
    }
    return true;
}

inline std::string serialize(const std::vector<Payload> &payloads) {
    std::string message;
    for (const Payload &payload : payloads) append_field(message, field_1, payload.serialize());
    return message;
}
inline std::optional<std::vector<Payload>> parse(std::string_view message) {
    std::vector<Payload> payloads;
    const bool is_valid = each_field(message, [&](std::uint64_t tag, std::string_view value, std::string_view) {
        if (tag != field_1) return true;
        std::optional<Payload> payload = Payload::parse(value);
        if (payload) payloads.push_back(std::move(*payload));
        return payload.has_value();
    });
    return is_valid ? std::optional(std::move(payloads)) : std::nullopt;
}

/* Why a call failed. */
struct Why {
    thb_status_t status;
    std::int32_t grpc_code;
    bool retryable;
    std::int64_t retry_after_ms;
    std::string what;
};

enum class Direction { encode, decode };

/* A PayloadCodec. */
class Codec {
public:
    explicit Codec(bool with_failures) noexcept : encodes_failures(with_failures) {}
    virtual ~Codec() = default;
    /* Replaces the payloads. Returns why that failed, or nullptr. */
    virtual std::shared_ptr<const Why> convert(Direction direction, std::vector<Payload> &payloads) const = 0;

    /* Whether it also encodes the message and the stack trace of failures. */
    const bool encodes_failures;
};

/* What a connect set. Never freed, because calls of other threads may be using it. */
struct Connection {
    std::shared_ptr<const Codec> codec;
    bool encodes_failures = false;
    const Connection *previous = nullptr;
};
inline std::atomic<const Connection *> newest_connection{nullptr};

inline Connection connection() {
    const Connection *newest = newest_connection;
    return newest == nullptr ? Connection() : *newest;
}

}  // namespace all_builds

inline std::string Payload::serialize() const {
    std::string message;
    for (const auto &[key, value] : metadata) {
        std::string entry;
        all_builds::append_field(entry, all_builds::field_1, key);
        all_builds::append_field(entry, all_builds::field_2, value);
        all_builds::append_field(message, all_builds::field_1, entry);
    }
    if (!data.empty()) all_builds::append_field(message, all_builds::field_2, data);
    return message += unknown_fields;
}

inline std::optional<Payload> Payload::parse(std::string_view bytes) {
    using all_builds::each_field, all_builds::field_1, all_builds::field_2;
    Payload payload;
    const bool is_valid = each_field(bytes, [&](std::uint64_t tag, std::string_view value, std::string_view whole) {
        if (tag == field_2) payload.data = value;
        else if (tag != field_1) payload.unknown_fields += whole;
        if (tag != field_1) return true;
        std::string_view entry[2];  // key and value
        const bool is_entry = each_field(value, [&](std::uint64_t part, std::string_view text, std::string_view) {
            if (part == field_1 || part == field_2) entry[part == field_2] = text;
            return true;
        });
        payload.metadata[std::string(entry[0])] = entry[1];
        return is_entry;
    });
    return is_valid ? std::optional(std::move(payload)) : std::nullopt;
}

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
/* How long a destructor waits for the last records, at most. */
inline constexpr Timeout destructor_timeout = std::chrono::seconds(2);

namespace detail {
class AnyCodec;
class CodecCalls;
}  // namespace detail

/* Why a call failed. Result::value throws it. Copies share the text. */
class Error : public std::exception {
public:
    /* No error: THB_OK. */
    Error() noexcept = default;
    /* Takes ownership of an error that a C function returned (NULL: there is only the status). */
    explicit Error(thb_status_t status, thb_error_t *taken = nullptr) {
        const std::unique_ptr<thb_error_t, void (*)(thb_error_t *)> error(taken, thb_error_free);
        *this = copied(status, taken);
    }
    /* Copies an error that belongs to a C object. */
    static Error copied(thb_status_t status, const thb_error_t *error) {
        std::string what = thb_status_name(status);
        if (error != nullptr) what.append(": ").append(thb_error_message(error));
        return Error(std::make_shared<const Why>(Why{status, thb_error_grpc_code(error),
                                                     thb_error_is_retryable(error) != 0,
                                                     thb_error_retry_after_ms(error), std::move(what)}));
    }
    /* An error with its own words, for a PayloadCodec: Error(THB_UNAVAILABLE, "no key", true). */
    Error(thb_status_t status, std::string_view words, bool retryable = false)
        : Error(std::make_shared<const Why>(
              Why{status, -1, retryable, -1, std::string(thb_status_name(status)).append(": ").append(words)})) {}

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
    friend class detail::CodecCalls;
    friend class detail::AnyCodec;
    using Why = all_builds::Why;
    explicit Error(std::shared_ptr<const Why> why) noexcept : why_(std::move(why)) {}
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
#ifdef __cpp_exceptions
    void check() const {
        if (!*this) throw error_;
    }
#endif

private:
    Error error_;
};

/* A value or an Error. */
template <typename T>
class [[nodiscard]] Result : public Outcome {
public:
    Result(T value) noexcept : value_(std::move(value)) {}
    Result(Error error) noexcept : Outcome(std::move(error)) {}

    /* Return the value. Call them only after a success. */
    T &operator*() & noexcept { return *value_; }
    const T &operator*() const & noexcept { return *value_; }
    T operator*() && noexcept { return std::move(*value_); }
    T *operator->() noexcept { return &*value_; }
    const T *operator->() const noexcept { return &*value_; }
    /* Returns the value; after a failure returns other. */
    T value_or(T other) && { return *this ? std::move(*value_) : std::move(other); }
#ifdef __cpp_exceptions
    /* Returns the value, or throws the error. */
    T &value() & { return check(), *value_; }
    const T &value() const & { return check(), *value_; }
    T value() && { return check(), std::move(*value_); }
#endif

private:
    std::optional<T> value_;
};

/* Success or an Error. */
template <>
class [[nodiscard]] Result<void> : public Outcome {
public:
    Result() noexcept = default;
    Result(Error error) noexcept : Outcome(std::move(error)) {}
#ifdef __cpp_exceptions
    void value() const { check(); }
#endif
};

/* Encodes the values of a namespace, for example encrypts them, and decodes them. For Client::connect and
 * Activity::open. Both functions return as many payloads as they get, in the same order.
 *
 * The thread that makes a call calls the codec. Details that a Queue returns are decoded in the thread that runs the
 * queue. Several threads may call the codec at the same time. The timeout of a call doesn't limit the codec's time.
 *
 * To fail, return an Error, or throw one: that is the error of the call, and nothing is sent. Another exception becomes
 * an Error with THB_INVALID_ARGUMENT and its words. */
class PayloadCodec {
public:
    virtual ~PayloadCodec() = default;
    /* Encodes payloads that no codec has encoded. Sets "encoding" in the metadata of each, by which the workers' codec
     * finds them. */
    virtual Result<std::vector<Payload>> encode(std::vector<Payload> payloads) = 0;
    /* Reverses encode. Returns payloads of another encoding unchanged. */
    virtual Result<std::vector<Payload>> decode(std::vector<Payload> payloads) = 0;
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

namespace detail {

/* Returns a text as a JSON string. */
inline std::string quoted(std::string_view text) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') json += '\\';
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20) json.append("\\u00") += {digits[byte >> 4], digits[byte & 15]};
        else json += c;
    }
    return json += '"';
}

/* Returns a number as JSON. NaN and infinities aren't JSON, and the library refuses them. */
template <typename T>
std::string digits(T number) {
    char text[32];
    return std::string(text, std::to_chars(text, text + sizeof text, number).ptr);
}
inline std::string fraction(double number) {
#ifdef __cpp_lib_to_chars
    return digits(number);
#else
    std::ostringstream text;
    text.imbue(std::locale::classic());
    text.precision(17);
    return text << number, text.str();
#endif
}

inline void append_utf8(std::string &text, std::uint32_t code) {
    const auto byte = [&](std::uint32_t first, unsigned shift, std::uint32_t mask) {
        text += static_cast<char>(first | (code >> shift & mask));
    };
    if (code < 0x80) return byte(0, 0, 0x7f);
    if (code < 0x800) return byte(0xc0, 6, 0x1f), byte(0x80, 0, 0x3f);
    if (code < 0x10000) return byte(0xe0, 12, 0x0f), byte(0x80, 6, 0x3f), byte(0x80, 0, 0x3f);
    byte(0xf0, 18, 0x07), byte(0x80, 12, 0x3f), byte(0x80, 6, 0x3f), byte(0x80, 0, 0x3f);
}

/* Returns the length of the character of UTF-8 at the front; 0 if there is none. */
inline std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(at < text.size() ? text[at] : 0); };
    const unsigned first = byte(0);
    if (first < 0x80) return text.empty() ? 0 : 1;
    const std::size_t length = first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    std::uint32_t code = length == 0 ? 0 : first & (0x7fU >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if (byte(i) >> 6 != 2) return 0;
        code = code << 6 | (byte(i) & 0x3fU);
    }
    static constexpr std::uint32_t least[] = {1, 0, 0x80, 0x800, 0x10000};
    return code < least[length] || code > 0x10ffff || code >> 11 == 0x1b ? 0 : length;
}
/* Returns a text that is valid UTF-8: other bytes become U+FFFD. */
inline std::string readable(std::string_view text) {
    std::string valid;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) append_utf8(valid, 0xfffd);
        else valid.append(text.substr(0, length));
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return valid;
}
/* The library reads at most 1 MiB of a failure, so the message of an exception is cut at this length. */
inline constexpr std::size_t longest_what = 16 * 1024;
inline std::string what_of(const std::exception &error) {
    const std::string_view what(error.what());
    return what.size() <= longest_what ? std::string(what) : std::string(what.substr(0, longest_what)) + "[...]";
}

/* Returns the text of a JSON string; nullopt for other JSON. */
inline std::optional<std::string> unquoted(std::string_view json) {
    if (json.size() < 2 || json.front() != '"' || json.back() != '"') return std::nullopt;
    json = json.substr(1, json.size() - 2);
    const auto hexadecimal = [&](std::size_t at) -> std::optional<std::uint32_t> {
        std::uint32_t unit = 0;
        if (at + 6 > json.size() || json[at] != '\\' || json[at + 1] != 'u') return std::nullopt;
        const char *end = json.data() + at + 6;
        if (std::from_chars(end - 4, end, unit, 16).ptr != end) return std::nullopt;
        return unit;
    };
    std::string text;
    for (std::size_t i = 0; i < json.size(); ++i) {
        if (json[i] != '\\') {
            text += json[i];
            continue;
        }
        if (auto code = hexadecimal(i)) {
            i += 5;
            // Two units of UTF-16 are one character.
            const auto low = (*code & 0xfc00) == 0xd800 ? hexadecimal(i + 1) : std::nullopt;
            if (low && (*low & 0xfc00) == 0xdc00) {
                code = 0x10000 + ((*code & 0x3ff) << 10) + (*low & 0x3ff);
                i += 6;
            }
            append_utf8(text, (*code & 0xfffff800) == 0xd800 ? 0xfffd : *code);
            continue;
        }
        if (++i == json.size()) return std::nullopt;
        static constexpr std::string_view escapes = "\"\\/bfnrt", characters = "\"\\/\b\f\n\r\t";
        const std::size_t escape = escapes.find(json[i]);
        if (escape == std::string_view::npos) return std::nullopt;
        text += characters[escape];
    }
    return text;
}

/* Adds a member to a JSON object. Other JSON stays as it is. */
inline std::string with_member(std::string_view object, std::string member) {
    std::string json(object.empty() ? "{}" : object);
    const std::size_t brace = json.find('{');
    if (brace == std::string::npos) return json;
    const std::size_t next = json.find_first_not_of(" \t\r\n", brace + 1);
    const bool alone = next != std::string::npos && json[next] == '}';
    return json.insert(brace + 1, alone ? member : member + ", ");
}
/* Returns the position of the value of a member in a JSON object; npos if there is none. */
inline std::size_t find_member(std::string_view object, std::string_view name) {
    const std::size_t at = object.find(detail::quoted(name));
    return at == std::string_view::npos ? at : object.find_first_not_of(" \t\r\n:", at + name.size() + 2);
}

/* Returns a member of compact JSON that is a string; empty if it is null. */
inline std::string string_member(std::string_view object, std::string_view name) {
    const std::string key = detail::quoted(name) + ':';
    const std::size_t found = object.find(key);
    if (found == std::string_view::npos) return {};
    const std::string_view value = object.substr(found + key.size());
    std::size_t end = 1;
    while (end < value.size() && value[end] != '"') end += value[end] == '\\' ? 2U : 1U;
    return unquoted(value.substr(0, end + 1)).value_or(std::string());
}

inline constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
inline std::string to_base64(std::string_view bytes) {
    std::string text;
    for (std::size_t at = 0; at < bytes.size(); at += 3) {
        std::uint32_t three = 0;
        for (std::size_t i = 0; i < 3; ++i)
            three = three << 8 | (at + i < bytes.size() ? static_cast<unsigned char>(bytes[at + i]) : 0);
        for (std::size_t i = 0; i < 4; ++i)
            text += at + i <= bytes.size() ? base64_digits[three >> (18 - 6 * i) & 63] : '=';
    }
    return text;
}
inline std::optional<std::string> from_base64(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    if (text.size() % 4 != 0) return std::nullopt;
    for (int padding = 0; padding < 2 && !text.empty() && text.back() == '='; ++padding) text.remove_suffix(1);
    std::string bytes;
    std::uint32_t bits = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::size_t digit = base64_digits.find(text[at]);
        if (digit == std::string_view::npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(digit);
        if (at % 4 != 0) bytes += static_cast<char>(bits >> (6 - 2 * (at % 4)) & 255);
    }
    return bytes;
}

}  // namespace detail

/* A value to send as details or result. */
class Value {
public:
    /* A number, as JSON. */
    template <typename T, std::enable_if_t<std::is_integral_v<T> && (sizeof(T) > 1), int> = 0>
    Value(T number) : Value(THB_ENCODING_JSON, detail::digits(number)) {}
    template <typename T, std::enable_if_t<std::is_floating_point_v<T>, int> = 0>
    Value(T number) : Value(THB_ENCODING_JSON, detail::fraction(static_cast<double>(number))) {}
    /* true or false, as JSON. */
    template <typename T, std::enable_if_t<std::is_same_v<T, bool>, int> = 0>
    Value(T flag) : Value(THB_ENCODING_JSON, std::string(flag ? "true" : "false")) {}
    /* A text in UTF-8, as a JSON string. */
    template <typename T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>, int> = 0>
    Value(const T &text) : Value(THB_ENCODING_JSON, detail::quoted(text)) {}
    /* All values of details that were built or read before. Borrows them. */
    Value(const Details &details) noexcept;

    static Value text(std::string_view text) { return text; }
    template <typename T>
    static Value number(T number) {
        static_assert(std::is_arithmetic_v<T>, "a number");
        return number;
    }
    /* One JSON text in UTF-8: checked, then sent byte for byte. Borrows it. */
    static Value json(std::string_view json) noexcept { return {THB_ENCODING_JSON, json}; }
    /* {"item": 41, "name": "a"} is Value::object({{"item", 41}, {"name", "a"}}). The values must be JSON. */
    static Value object(std::initializer_list<std::pair<std::string_view, Value>> members) {
        std::string json = "{";
        for (const auto &[name, value] : members)
            json.append(json.size() > 1 ? "," : "").append(detail::quoted(name)).append(":").append(value.as_json());
        return {THB_ENCODING_JSON, json += '}'};
    }
    /* [1, "a"] is Value::array({1, "a"}). The values must be JSON. */
    static Value array(std::initializer_list<Value> values) {
        std::string json = "[";
        for (const Value &value : values) json.append(json.size() > 1 ? "," : "").append(value.as_json());
        return {THB_ENCODING_JSON, json += ']'};
    }
    static Value binary(std::string_view bytes) noexcept { return {THB_ENCODING_BINARY, bytes}; }
    static Value binary(const void *data, std::size_t len) noexcept {
        return binary({static_cast<const char *>(data), len});
    }
    static Value null() noexcept { return {THB_ENCODING_NULL, std::string_view()}; }
    /* A serialized temporal.api.common.v1.Payloads. */
    static Value payloads(std::string_view bytes) noexcept { return {THB_ENCODING_PAYLOADS, bytes}; }
    /* No value: usual for a result. In a one-call heartbeat it ERASES the details that the server holds. */
    static Value none() noexcept { return {THB_ENCODING_NONE, std::string_view()}; }

    thb_encoding_t encoding() const noexcept { return encoding_; }
    const void *data() const noexcept { return bytes().data(); }
    std::size_t size() const noexcept { return bytes().size(); }

private:
    friend class detail::CodecCalls;
    Value(thb_encoding_t encoding, std::string_view bytes) noexcept : encoding_(encoding), borrowed_(bytes) {}
    Value(thb_encoding_t encoding, std::string bytes) noexcept : encoding_(encoding), own_(std::move(bytes)) {}

    std::string_view bytes() const noexcept { return own_.empty() ? borrowed_ : own_; }
    /* A value with another encoding becomes invalid JSON here, so the library refuses the whole value. */
    std::string_view as_json() const noexcept {
        if (encoding_ == THB_ENCODING_NULL) return "null";
        return encoding_ == THB_ENCODING_JSON ? bytes() : "a value that isn't JSON";
    }

    thb_encoding_t encoding_;
    std::string_view borrowed_;
    std::string own_;
};

/* Why an attempt fails: a message, and optionally more. For example:
 *
 *     activity.fail("the disk is full");
 *     activity.fail(thb::Failure("no such customer").type("BadInput").non_retryable().details({customer}));
 */
class Failure {
public:
    template <typename T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>, int> = 0>
    Failure(const T &message) : json_("{}") {
        add("message", detail::quoted(detail::readable(message)));
    }
    Failure(const std::exception &error) : Failure(detail::what_of(error)) {}
    /* The JSON of thb_fail. A PayloadCodec can't encode it, so that with a codec the call is THB_INVALID_ARGUMENT. */
    static Failure json(std::string_view json) {
        Failure failure("");
        failure.json_ = json;
        failure.is_text_ = true;
        return failure;
    }

    /* A name that retry policies and workflows can match. */
    Failure &type(std::string_view name) { return add("type", detail::quoted(detail::readable(name))); }
    /* The activity isn't retried. */
    Failure &non_retryable() { return add("non_retryable", "true"); }
    /* Values for the workflow. They must be JSON. */
    Failure &details(std::initializer_list<Value> values) { return add("details", values); }
    /* Replaces the delay of the retry policy. */
    Failure &next_retry_delay(Timeout delay) { return add("next_retry_delay_ms", detail::digits(delay.count())); }
    /* Expected, so that workers and clients neither log nor count it as an error. */
    Failure &benign() { return add("category", "\"benign\""); }
    Failure &stack_trace(std::string_view text) {
        return add("stack_trace", detail::quoted(detail::readable(text)));
    }
    /* The language or program, for people. */
    Failure &source(std::string_view text) { return add("source", detail::quoted(detail::readable(text))); }
    Failure &cause(const Failure &cause) {
        add("cause", cause.json_);
        members_.back().cause.push_back(cause);
        return *this;
    }
    /* The last progress, stored with the failure for the next attempt. Only for calls with a token. */
    Failure &heartbeat_details(std::initializer_list<Value> values) { return add("heartbeat_details", values); }

    const std::string &json() const noexcept { return json_; }

private:
    friend class detail::CodecCalls;
    /* A member of the JSON, with its parts that a codec encodes. */
    struct Member {
        std::string_view name;
        std::string json;
        std::vector<std::string> values = {};  // JSON too
        std::vector<Failure> cause = {};       // at most one
    };

    static std::string text_of(const Value &value) { return {static_cast<const char *>(value.data()), value.size()}; }
    Failure &add(std::string_view name, std::string_view json) {
        std::string member = json_ == "{}" ? "" : ",";
        member.append(detail::quoted(name)).append(":").append(json);
        json_.insert(json_.size() - !json_.empty(), member);
        members_.push_back({name, std::string(json)});
        return *this;
    }
    Failure &add(std::string_view name, std::initializer_list<Value> values) {
        add(name, text_of(Value::array(values)));
        for (const Value &value : values) {
            const std::string array = text_of(Value::array({value}));
            members_.back().values.push_back(array.substr(1, array.size() - 2));
        }
        return *this;
    }

    std::string json_;
    std::vector<Member> members_;
    bool is_text_ = false;
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
inline auto spread(const Failure &failure) noexcept {
    return std::make_tuple(failure.json().data(), failure.json().size());
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
        close(destructor_timeout, nullptr);
        handle_ = taken;
        return *this;
    }
    ~Owned() { close(destructor_timeout, nullptr); }
    T get() const noexcept { return handle_; }
    thb_status_t close(Timeout timeout, thb_error_t **error) noexcept {
        const T handle = handle_.exchange(0);
        return handle == 0 ? THB_OK : close_it(handle, milliseconds(timeout), error);
    }
    /* Gives the handle to a function, and keeps it if the function fails. */
    template <typename Function>
    thb_status_t give(Function function) {
        const T handle = handle_.exchange(0);
        const thb_status_t status = function(handle);
        if (status != THB_OK) handle_ = handle;
        return status;
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
        if (!decoded_) return detail::call(thb_details_add, details_.get(), value);
        // A copy, because the value may be one of these, and adding moves them.
        const std::string copy(static_cast<const char *>(value.data()), value.size());
        const std::string_view bytes = copy;
        if (Error error = detail::call(thb_details_add, details_.get(), value.encoding(), bytes)) return error;
        return detail::call(thb_details_add, decoded_.get(), value.encoding(), bytes);
    }

    bool empty() const noexcept { return size() == 0; }
    std::size_t size() const noexcept { return thb_details_count(values()); }
    /* The bytes of one value (the text, for JSON), valid until add or destruction; empty if there is no such index. */
    std::string_view operator[](std::size_t index) const noexcept {
        std::size_t len = 0;
        const void *data = thb_details_data(values(), index, &len);
        return {static_cast<const char *>(data), len};
    }
    /* "json/plain", "binary/plain", ...; "" if there is no such index. */
    const char *encoding(std::size_t index) const noexcept { return thb_details_encoding(values(), index); }
    /* The value as an integer, if it is one. */
    std::optional<std::int64_t> integer(std::size_t index = 0) const noexcept {
        const std::string_view text = (*this)[index];
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
        return number;
    }
    /* The value as a number, if it is one. */
    std::optional<double> number(std::size_t index = 0) const {
        std::istringstream text{std::string((*this)[index])};
        text.imbue(std::locale::classic());
        double number = 0;
        if (!is_json(index) || !(text >> number) || text.peek() != std::char_traits<char>::eof()) return std::nullopt;
        return number;
    }
    /* The value as true or false, if it is a boolean. */
    std::optional<bool> boolean(std::size_t index = 0) const noexcept {
        const std::string_view text = (*this)[index];
        if (!is_json(index) || (text != "true" && text != "false")) return std::nullopt;
        return text == "true";
    }
    /* The value as a text in UTF-8, if it is a JSON string. */
    std::optional<std::string> text(std::size_t index = 0) const {
        return is_json(index) ? detail::unquoted((*this)[index]) : std::nullopt;
    }
    /* All values, serialized, for Value::payloads. Those from the server are unchanged, as a codec has encoded them. */
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
    bool is_json(std::size_t index) const noexcept { return std::string_view(encoding(index)) == "json/plain"; }
    struct Free {
        void operator()(thb_details_t *details) const noexcept { thb_details_free(details); }
    };
    friend class detail::CodecCalls;
    const thb_details_t *values() const noexcept { return decoded_ ? decoded_.get() : details_.get(); }

    std::unique_ptr<thb_details_t, Free> details_;
    std::unique_ptr<thb_details_t, Free> decoded_;  // the same values, if a codec has decoded them
};

inline Value::Value(const Details &details) noexcept : Value(payloads(details.payloads())) {}

namespace detail {

using SharedCodec = std::shared_ptr<const all_builds::Codec>;

/* Turns the exceptions of a PayloadCodec into errors. */
class AnyCodec final : public all_builds::Codec {
public:
    AnyCodec(std::shared_ptr<PayloadCodec> codec, bool with_failures)
        : Codec(with_failures), codec_(std::move(codec)) {}

    std::shared_ptr<const all_builds::Why> convert(all_builds::Direction direction,
                                                   std::vector<Payload> &payloads) const override {
#ifdef __cpp_exceptions
        try {
            return call(direction, payloads).why_;
        } catch (const Error &error) {
            return error ? error.why_ : Error(THB_INVALID_ARGUMENT, "the codec failed").why_;
        } catch (const std::exception &exception) {
            return Error(THB_INVALID_ARGUMENT, std::string("the codec failed: ") + exception.what()).why_;
        } catch (...) {
            return Error(THB_INVALID_ARGUMENT, "the codec failed").why_;
        }
#else
        return call(direction, payloads).why_;
#endif
    }

private:
    Error call(all_builds::Direction direction, std::vector<Payload> &payloads) const {
        const std::size_t count = payloads.size();
        Result<std::vector<Payload>> converted = direction == all_builds::Direction::encode
                                                     ? codec_->encode(std::move(payloads))
                                                     : codec_->decode(std::move(payloads));
        if (!converted) return converted.error();
        if (converted->size() != count)
            return Error(THB_INVALID_ARGUMENT, "the codec returned another number of payloads");
        payloads = *std::move(converted);
        return {};
    }

    std::shared_ptr<PayloadCodec> codec_;
};

/* Encodes the arguments of one call, and decodes its details. */
class CodecCalls {
public:
    explicit CodecCalls(const all_builds::Codec &codec) noexcept : codec_(codec) {}

    /* The first error; after it, the results mustn't be sent. */
    const Error &error() const noexcept { return error_; }

    Value encoded(const Value &value) {
        if (value.encoding() == THB_ENCODING_NONE) return value;
        return {THB_ENCODING_PAYLOADS, all_builds::serialize(payloads_of(value))};
    }
    Failure encoded(const Failure &failure) {
        if (failure.is_text_)
            fail(Error(THB_INVALID_ARGUMENT, "a codec can't encode a Failure::json; use the functions of Failure"));
        const bool hides_texts = codec_.encodes_failures;
        std::string json = "{}", message = "\"\"", stack_trace = "\"\"";
        const auto put = [&](std::string_view name, std::string_view value) {
            json = with_member(json, detail::quoted(name).append(":").append(value));
        };
        for (const Failure::Member &member : failure.members_) {
            if (hides_texts && member.name == "message") message = member.json;
            else if (hides_texts && member.name == "stack_trace") stack_trace = member.json;
            else if (!member.cause.empty()) put(member.name, encoded(member.cause.front()).json());
            else if (member.values.empty()) put(member.name, member.json);
            else put(std::string(member.name) + "_payloads", base64_of(member.values));
        }
        if (hides_texts) {
            const std::string texts = "{\"message\":" + message + ",\"stack_trace\":" + stack_trace + '}';
            for (const Payload &payload : payloads_of(Value::json(texts)))
                put("encoded_attributes", detail::quoted(to_base64(payload.serialize())));
            put("message", "\"Encoded failure\"");
        }
        return Failure::json(json);
    }
    template <typename T>
    T encoded(const T &other) {
        return other;
    }

    Result<Details> decoded(Details details) {
        std::optional<std::vector<Payload>> payloads = all_builds::parse(details.payloads());
        if (!payloads) return Error(THB_SERVER_ERROR, "the details aren't Payloads");
        convert(all_builds::Direction::decode, *payloads);
        Details values;
        if (!error_ && !payloads->empty()) fail(values.add(Value::payloads(all_builds::serialize(*payloads))).error());
        if (error_) return error_;
        details.decoded_ = std::move(values.details_);
        return details;
    }

    /* Encodes the option initial_details. */
    std::string encoded_options(std::string options) {
        const std::size_t at = find_member(options, "initial_details");
        if (at == std::string::npos) return options;
        // Up to the next quote, or to the end.
        const std::string literal = options.substr(at, options.find('"', at + 1) + 1 - at);
        const auto text = unquoted(literal);
        const auto bytes = text ? from_base64(*text) : std::nullopt;
        auto payloads = bytes ? all_builds::parse(*bytes) : std::nullopt;
        if (!payloads) fail(Error(THB_CONFIG, "initial_details must be the standard base64 of a serialized Payloads"));
        if (error_) return options;
        convert(all_builds::Direction::encode, *payloads);
        return options.replace(at, literal.size(), detail::quoted(to_base64(all_builds::serialize(*payloads))));
    }

private:
    void fail(const Error &error) {
        if (!error_) error_ = error;
    }
    std::vector<Payload> payloads_of(const Value &value) {
        Details checked;
        fail(checked.add(value).error());
        std::vector<Payload> payloads = all_builds::parse(checked.payloads()).value_or(std::vector<Payload>());
        convert(all_builds::Direction::encode, payloads);
        return payloads;
    }
    /* Returns a JSON string with the Payloads. */
    std::string base64_of(const std::vector<std::string> &values) {
        std::string bytes;
        for (const std::string &value : values) bytes += all_builds::serialize(payloads_of(Value::json(value)));
        return detail::quoted(to_base64(bytes));
    }
    /* Whether the payload refers to a value in the external storage of an SDK. */
    static bool is_reference(const Payload &payload) {
        static constexpr std::string_view message = "temporal.api.sdk.v1.ExternalStorageReference";
        const auto type = payload.metadata.find("messageType");
        return payload.encoding() == "json/external-storage-reference" ||
               payload.metadata.count("__temporal_external_storage_reference") != 0 ||
               (type != payload.metadata.end() && type->second == message);
    }
    /* Whether no codec has encoded the payload. */
    static bool is_plain(const Payload &payload) {
        const std::string encoding = payload.encoding();
        for (const char *plain : {"", "json/plain", "json/protobuf", "binary/plain", "binary/protobuf", "binary/null"})
            if (encoding == plain) return true;
        return false;
    }
    /* Encodes the plain payloads, or decodes the others. References stay as they are. */
    void convert(all_builds::Direction direction, std::vector<Payload> &payloads) {
        const auto is_chosen = [&](const Payload &payload) {
            return !is_reference(payload) && is_plain(payload) == (direction == all_builds::Direction::encode);
        };
        std::vector<Payload> chosen;
        std::copy_if(payloads.begin(), payloads.end(), std::back_inserter(chosen), is_chosen);
        if (chosen.empty() || error_) return;
        if (auto why = codec_.convert(direction, chosen)) return fail(Error(std::move(why)));
        auto next = chosen.begin();
        for (Payload &payload : payloads)
            if (is_chosen(payload)) payload = std::move(*next++);
    }

    const all_builds::Codec &codec_;
    Error error_;
};

/* Does what call does, with the codec if there is one. */
template <typename Function, typename... Arguments>
Error send(const SharedCodec &codec, Function function, const Arguments &...arguments) {
    if (!codec) return call(function, arguments...);
    CodecCalls calls(*codec);
    const auto encoded = std::make_tuple(calls.encoded(arguments)...);
    if (calls.error()) return calls.error();
    return std::apply([&](const auto &...each) { return call(function, each...); }, encoded);
}

/* Does what make does, with the codec if there is one. */
template <typename T, typename Raw, typename Function, typename... Arguments>
Result<T> send_for(const SharedCodec &codec, Function function, const Arguments &...arguments) {
    Raw raw{};
    if (Error error = send(codec, function, arguments..., &raw)) return error;
    if constexpr (std::is_same_v<T, Details>) {
        if (codec) return CodecCalls(*codec).decoded(Details(raw));
    }
    return T(raw);
}

inline SharedCodec connection_codec() { return all_builds::connection().codec; }

/* Returns the codec of an activity: its own one, or that of the connection. */
inline SharedCodec codec_or_connections(std::shared_ptr<PayloadCodec> own) {
    const all_builds::Connection connection = all_builds::connection();
    if (!own) return connection.codec;
    return std::make_shared<AnyCodec>(std::move(own), connection.encodes_failures);
}

/* Sets the codec of the next connection, unless there is a connection. Returns the options to connect with. */
inline std::string set_codec(std::string_view options, std::shared_ptr<PayloadCodec> codec) {
    std::string json(options);
    const std::size_t at = find_member(json, "encode_common_attributes");
    const bool encodes_failures = at != std::string::npos && json.compare(at, 4, "true") == 0;
    const all_builds::Connection *previous = all_builds::newest_connection;
    if (!codec && !encodes_failures && previous == nullptr) return json;
    if (codec) json = with_member(json, "\"codec_endpoint\": \"\"");
    thb_details_t *none = nullptr;
    if (thb_get_details("-", 1, 0, &none, nullptr) != THB_NOT_CONNECTED) return json;
    SharedCodec any;
    if (codec) any = std::make_shared<AnyCodec>(std::move(codec), encodes_failures);
    all_builds::newest_connection = new all_builds::Connection{std::move(any), encodes_failures, previous};
    return json;
}

}  // namespace detail

/* The client of this process; there is at most one. Declare it before activities. Its destructor sends their last
 * records and closes them, within 2 s. */
class Client {
public:
    Client() noexcept = default;
    /* options is the JSON of thb_connect, e.g. R"({"address": "temporal:7233"})". Blocks like thb_connect.
     *
     * The codec encodes all values that C++ sends over this connection, and decodes those that it reads. It replaces a
     * codec server. With the option encode_common_attributes it also encodes the message and the stack trace of
     * failures. While a thread connects with another codec, no other thread may connect, or make calls with a token.
     * The process keeps the codec to its end. */
    static Result<Client> connect(std::string_view options = {}, std::shared_ptr<PayloadCodec> codec = nullptr) {
        if (const thb_status_t status = thb_check_abi(THB_ABI_VERSION); status != THB_OK) return Error(status);
        const std::string json = detail::set_codec(options, std::move(codec));
        if (Error error = detail::call(thb_connect, std::string_view(json))) return error;
        return adopt();
    }
    /* Takes ownership of the client that a C function connected. */
    static Client adopt() noexcept {
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
    friend class Queue;
    Connected connected_;
};

/* An activity held open. The library sends its beats in the background until close. See the thb_activity functions. */
class Activity {
public:
    Activity() noexcept = default;
    /* Takes ownership of a handle that a C function opened. */
    explicit Activity(thb_activity_t handle) noexcept : codec_(detail::connection_codec()), handle_(handle) {}
    /* options is the JSON of thb_activity_open, e.g. R"({"stall_timeout_ms": 60000})". Never waits for the server. The
     * codec replaces that of the connection. */
    static Result<Activity> open(std::string_view token, std::string_view options = {},
                                 std::shared_ptr<PayloadCodec> codec = nullptr) {
        const detail::SharedCodec used = detail::codec_or_connections(codec);
        std::string json(options);
        if (used) {
            detail::CodecCalls calls(*used);
            json = calls.encoded_options(std::move(json));
            if (calls.error()) return calls.error();
            // The library can't encode the report of a stall with a codec in C++.
            if (detail::find_member(json, "stall_report") == std::string::npos)
                json = detail::with_member(json, "\"stall_report\": \"brief\"");
        }
        auto activity = detail::make<Activity, thb_activity_t>(thb_activity_open, token, std::string_view(json));
        if (activity && codec) activity->codec_ = used;
        return activity;
    }
    /* Opens the activity that the parent handed over in the TEMPORAL_ACTIVITY_... variables. With the options
     * R"({"when_absent": "inactive"})" here and in Client::connect, a program also runs by hand, without a parent. */
    static Result<Activity> from_env(std::string_view options = {}, std::shared_ptr<PayloadCodec> codec = nullptr) {
        std::string json = detail::with_member(options, "\"from_env\": true");
        // Named here, so that the codec encodes details that the parent handed over unencoded.
        const char *details = std::getenv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS");
        const bool has_codec = codec || detail::connection_codec();
        if (has_codec && details != nullptr && detail::find_member(json, "initial_details") == std::string::npos)
            json = detail::with_member(json, "\"initial_details\": " + detail::quoted(details));
        return open({}, json, std::move(codec));
    }
    /* Records progress and returns the current signals. Never blocks, except in a codec. THB_NOT_FOUND: it is over;
     * stop the work. */
    Result<Signals> heartbeat(const Value &details) const {
        return asked(thb_activity_heartbeat, details);
    }
    /* Reports progress without details, for the stall timeout, and returns the current signals. Never blocks. */
    Result<Signals> touch() const { return asked(thb_activity_touch); }
    /* Sets what the work is doing, at most 4 KiB: as thb_activity_set_status. It is no progress. Never blocks. */
    Result<void> set_status(std::string_view text) const {
        return detail::call(thb_activity_set_status, handle(), text);
    }
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
        return detail::send_for<Details, thb_details_t *>(codec_, thb_activity_get_details, handle(), timeout);
    }
    /* Returns a report: the JSON of thb_activity_get_info. Never blocks. */
    Result<std::string> info() const { return detail::text(thb_activity_get_info, handle()); }
    /* Returns the reason of the cancellation after cancel_requested, else of the pause while paused, as the request for it
     * contained it. Empty without these signals, and if the server hasn't shown it: see the option follow_server. */
    Result<std::string> reason() const {
        const Result<Signals> current = signals();
        if (!current) return current.error();
        if (!current->any(THB_SIGNAL_CANCEL_REQUESTED | THB_SIGNAL_PAUSED)) return std::string();
        const Result<std::string> report = info();
        if (!report) return report.error();
        return detail::string_member(*report, current->cancel_requested() ? "cancel_reason" : "pause_reason");
    }

    /* Sends the newest record at once, and waits until the server has acknowledged it. */
    Result<void> flush(Timeout timeout = default_timeout) const {
        return call(thb_activity_flush, timeout);
    }
    /* Completes the activity. After THB_OK and THB_IN_DOUBT it is ended; after a temporary error call this again. */
    Result<void> complete(const Value &result = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_complete, result, timeout);
    }
    /* Ends this attempt with a failure, and sends the newest record. */
    Result<void> fail(const Failure &failure, Timeout timeout = default_timeout) const {
        return call(thb_activity_fail, failure, timeout);
    }
    /* Ends the activity as cancelled, after Signals::cancel_requested. The workflow gets the details. */
    Result<void> report_cancelled(const Value &details = Value::none(), Timeout timeout = default_timeout) const {
        return call(thb_activity_report_cancelled, details, timeout);
    }
    /* Sends the newest record and closes the handle, even if the send fails. Ends nothing on the server: an activity
     * that wasn't ended times out there and is retried. The destructor does the same, within 2 s. */
    Result<void> close(Timeout timeout = default_timeout) {
        return detail::call([&](thb_error_t **error) { return handle_.close(timeout, error); });
    }

    /* The handle for C functions; 0 when closed. */
    thb_activity_t handle() const noexcept { return handle_.get(); }

private:
    template <typename Function, typename... Arguments>
    Error call(Function function, const Arguments &...arguments) const {
        return detail::send(codec_, function, handle(), arguments...);
    }
    template <typename Function, typename... Arguments>
    Result<Signals> asked(Function function, const Arguments &...arguments) const {
        return detail::send_for<Signals, std::uint32_t>(codec_, function, handle(), arguments...);
    }
    friend class Queue;
    detail::SharedCodec codec_;
    detail::Owned<thb_activity_t, thb_activity_close> handle_;
};

#ifdef __cpp_exceptions
/* The work should stop. Thrown by track. It isn't an Error, so that a catch of errors that continues the work doesn't
 * catch it. After cancel_requested call report_cancelled, after reset call fail. Otherwise only stop the work. */
class Cancelled : public std::exception {
public:
    explicit Cancelled(Signals signals, std::string reason = {})
        : signals_(signals), reason_(std::make_shared<std::string>(std::move(reason))),
          what_(std::make_shared<std::string>()) {
        static constexpr std::pair<std::uint32_t, const char *> texts[] = {
            {THB_SIGNAL_CANCEL_REQUESTED, "the activity's cancellation was requested"},
            {THB_SIGNAL_RESET, "the activity was reset"},
            {THB_SIGNAL_GONE, "the activity is over for this attempt"},
            {THB_SIGNAL_LEASE_LOST, "no heartbeat was acknowledged in time, another attempt may be running"},
        };
        for (const auto &[signal, text] : texts) {
            if (!signals.any(signal)) continue;
            what_->append(what_->empty() ? "" : "; ").append(text);
            if (signal == THB_SIGNAL_CANCEL_REQUESTED && !reason_->empty()) what_->append(" (" + *reason_ + ")");
        }
    }
    Signals signals() const noexcept { return signals_; }
    /* Activity::reason when this was thrown. what() contains it. */
    const std::string &reason() const noexcept { return *reason_; }
    const char *what() const noexcept override { return what_->c_str(); }

private:
    Signals signals_;
    // Shared, so that a copy doesn't throw.
    std::shared_ptr<std::string> reason_;
    std::shared_ptr<std::string> what_;
};

namespace detail {

/* Returns JSON without blanks and with each string written in one way, to compare keys. */
inline std::string canonical(std::string_view json) {
    std::string text;
    for (std::size_t at = 0; at < json.size(); ++at) {
        if (json[at] == '"') {
            const std::size_t start = at;
            while (++at < json.size() && json[at] != '"') at += json[at] == '\\';
            const std::string_view literal = json.substr(start, at + 1 - start);
            const std::optional<std::string> string = unquoted(literal);
            text += string ? detail::quoted(*string) : std::string(literal);
        } else if (std::string_view(" \t\r\n").find(json[at]) == std::string_view::npos) {
            text += json[at];
        }
    }
    return text;
}
inline std::string shown(std::string_view text) {
    return text.size() <= 200 ? std::string(text) : std::string(text.substr(0, 200)) + "...";
}

template <typename Iterator, typename Sentinel, typename = void>
constexpr bool has_distance = false;
template <typename Iterator, typename Sentinel>
constexpr bool has_distance<Iterator, Sentinel,
                            std::void_t<decltype(std::declval<Sentinel>() - std::declval<Iterator>()),
                                        decltype(std::declval<Iterator &>() += 1)>> = true;

/* Advances the iterator. Returns false if there are fewer items. */
template <typename Iterator, typename Sentinel>
bool advance(Iterator &iterator, const Sentinel &end, std::int64_t count) {
    if constexpr (has_distance<Iterator, Sentinel>) {
        if (static_cast<std::int64_t>(end - iterator) < count) return false;
        iterator += static_cast<decltype(end - iterator)>(count);
    } else {
        for (; count > 0; --count, ++iterator)
            if (!(iterator != end)) return false;
    }
    return true;
}

/* The numbers from 0 to before a count. */
template <typename T>
class Numbers {
public:
    class Iterator {
    public:
        explicit Iterator(T number) noexcept : number_(number) {}
        T operator*() const noexcept { return number_; }
        Iterator &operator++() noexcept { return ++number_, *this; }
        Iterator &operator+=(std::int64_t count) noexcept {
            return number_ = static_cast<T>(number_ + static_cast<T>(count)), *this;
        }
        std::int64_t operator-(const Iterator &other) const noexcept {
            return static_cast<std::int64_t>(number_) - static_cast<std::int64_t>(other.number_);
        }
        bool operator!=(const Iterator &other) const noexcept { return number_ != other.number_; }

    private:
        T number_;
    };
    explicit Numbers(T count) noexcept : count_(std::max<T>(count, 0)) {}
    Iterator begin() const noexcept { return Iterator(0); }
    Iterator end() const noexcept { return Iterator(count_); }

private:
    T count_;
};

/* Instead of a function for keys: the index is recorded. */
struct NoKey {};

/* The rules of track that don't depend on the type of the items. */
class TrackedActivity {
public:
    explicit TrackedActivity(const Activity &activity) noexcept : activity_(&activity) {}
    std::optional<Timeout> flush_every;

    /* Returns what the previous attempt recorded for the last item that was done, as JSON. */
    std::optional<std::string> last_done(bool is_index) const {
        const std::string info = activity_->info().value();
        if (const std::size_t at = find_member(info, "records"); at != std::string::npos && info[at] != '0')
            throw Error(THB_FAILED_PRECONDITION,
                        "something was recorded for the activity before the loop of track: an activity has one such "
                        "loop, which records alone. For several loops, record with Activity::heartbeat");
        const Details details = activity_->details().value();
        if (details.empty()) return std::nullopt;
        const bool is_json = std::string_view(details.encoding(0)) == "json/plain";
        const bool is_null = std::string_view(details.encoding(0)) == "binary/null";
        if (details.size() > 1 || !(is_json || is_null) || (is_index && details.integer().value_or(-1) < 0))
            refuse(std::string("the heartbeat details aren't the ") + (is_index ? "index" : "key") +
                   " of an item, but " + shown(details[0]) + (details.size() > 1 ? " and more values" : ""));
        return is_null ? "null" : canonical(details[0]);
    }
    [[noreturn]] static void refuse(const std::string &reason) {
        throw Error(THB_INVALID_ARGUMENT,
                    "track can't resume: " + reason +
                        ". Pass the same items and the same kind of key as the earlier attempt. To start with the "
                        "first item again, delete the details: temporal activity reset --reset-heartbeats");
    }

    void begin() {
        last_flush_ = std::chrono::steady_clock::now();
        check(activity_->signals().value());
    }
    void record(const Value &value) {
        const Result<Signals> beat = activity_->heartbeat(value);
        if (beat.status() == THB_NOT_FOUND) throw Cancelled(THB_SIGNAL_GONE);
        if (beat.value().any()) check(*beat);
        if (flush_every && std::chrono::steady_clock::now() - last_flush_ >= *flush_every) flush();
    }
    void end() {
        if (flush_every) flush();
    }

private:
    void flush() {
        const Result<void> flushed = activity_->flush();
        if (flushed.status() == THB_NOT_FOUND) throw Cancelled(THB_SIGNAL_GONE);
        if (!flushed && !flushed.error().retryable()) flushed.value();
        last_flush_ = std::chrono::steady_clock::now();
        check(activity_->signals().value());
    }
    /* Waits while the activity is paused. */
    void check(Signals signals) const {
        if (signals.paused()) signals = activity_->wait_while_paused().value();
        if (!signals.any(Signals::stop)) return;
        const Result<std::string> reason = activity_->reason();
        throw Cancelled(signals, reason ? *reason : std::string());
    }

    const Activity *activity_;
    std::chrono::steady_clock::time_point last_flush_;
};

}  // namespace detail

/* The items that are left to do: see track. For one loop. */
template <typename Range, typename Key>
class Tracked {
    using Base = decltype(std::begin(std::declval<std::remove_reference_t<Range> &>()));
    using End = decltype(std::end(std::declval<std::remove_reference_t<Range> &>()));
    static constexpr bool has_key = !std::is_same_v<Key, detail::NoKey>;

public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using reference = decltype(*std::declval<Base &>());
        using value_type = std::remove_cv_t<std::remove_reference_t<reference>>;
        using difference_type = std::ptrdiff_t;
        using pointer = void;

        decltype(auto) operator*() const {
            if constexpr (!has_key) {
                return *base_;
            } else if constexpr (std::is_reference_v<reference>) {
                auto &&item = *base_;
                tracked_->key_of(item);
                return static_cast<reference>(item);
            } else {
                auto item = *base_;
                tracked_->key_of(item);
                return item;
            }
        }
        /* The item is done. */
        Iterator &operator++() {
            tracked_->record();
            ++base_;
            if (!(base_ != tracked_->end_)) tracked_->activity_.end();
            return *this;
        }
        friend bool operator!=(const Iterator &iterator, const End &end) { return iterator.base_ != end; }
        friend bool operator==(const Iterator &iterator, const End &end) { return !(iterator.base_ != end); }

    private:
        friend class Tracked;
        Iterator(Tracked &tracked, Base base) : tracked_(&tracked), base_(std::move(base)) {}
        Tracked *tracked_;
        Base base_;
    };

    Tracked(Range &&items, const Activity &activity, Key key)
        : items_(std::forward<Range>(items)), end_(std::end(items_)), activity_(activity), key_(std::move(key)) {}
    Tracked(Tracked &&other)
        : items_(std::forward<Range>(other.items_)),
          end_(std::end(items_)),
          activity_(other.activity_),
          key_(std::move(other.key_)) {}
    Tracked &operator=(Tracked &&) = delete;

    /* Flushes the record of an item if the last flush is as long ago, and the record of the last item. 0 flushes each.
     * For expensive items, of which none may be repeated. After a temporary error the loop continues. */
    Tracked flush_every(Timeout interval) && {
        activity_.flush_every = interval;
        return std::move(*this);
    }

    Iterator begin() {
        const std::optional<std::string> last = activity_.last_done(!has_key);
        Base base = std::begin(items_);
        if (last) skip(base, *last);
        activity_.begin();
        return Iterator(*this, std::move(base));
    }
    End end() { return end_; }

private:
    void skip(Base &base, const std::string &last) {
        if constexpr (has_key) {
            std::int64_t count = 0;
            for (; base != end_; ++count) {
                key_of(*base);
                ++base;
                if (detail::canonical(recorded_key_) == last) return;
            }
            detail::TrackedActivity::refuse("no item has the key " + detail::shown(last) +
                                            ", which the last item that was done had; there are " +
                                            std::to_string(count) + " items");
        } else {
            const std::int64_t index = std::strtoll(last.c_str(), nullptr, 10);
            next_ = index == INT64_MAX ? index : index + 1;
            if (next_ == index || !detail::advance(base, end_, next_))
                detail::TrackedActivity::refuse("item " + last +
                                                " was the last one that was done, but there are fewer items");
        }
    }
    template <typename Item>
    void key_of(const Item &item) {
        const Value key = std::invoke(key_, item);
        if (key.encoding() != THB_ENCODING_JSON) throw Error(THB_INVALID_ARGUMENT, "the key of an item must be JSON");
        recorded_key_.assign(static_cast<const char *>(key.data()), key.size());
    }
    void record() {
        if constexpr (has_key) activity_.record(Value::json(recorded_key_));
        else activity_.record(next_++);
    }

    Range items_;
    End end_;
    detail::TrackedActivity activity_;
    Key key_;
    std::int64_t next_ = 0;
    std::string recorded_key_;
};

/* Iterates over the items of an activity: skips those that are done, and records each new one:
 *
 *     for (const File &file : thb::track(files, activity)) compress(file);
 *     activity.complete().value();
 *
 * An item is done when the loop advances to the next one, or ends. If the body throws or breaks, its item isn't
 * recorded. The next attempt begins after the last recorded item. A record may be lost with the process, so the work on
 * an item must be repeatable. If all items are done, the loop is empty.
 *
 * After each item and before the first one, the loop waits while the activity is paused, and throws Cancelled if one of
 * Signals::stop is set.
 *
 * The range must have the same items in each attempt, in the same order. The index of the last item that is done is
 * recorded, an integer from 0, as in the other languages. With a key, its value is recorded instead:
 * track(files, activity, &File::name). The key of an item is a Value of JSON that is unique and the same in each
 * attempt. Keys are compared as JSON texts: numbers must be written in the same way. The range may also be a number: the
 * items are the integers from 0 to before it. The activity must outlive the loop, and so must a range that isn't moved
 * into it.
 *
 * An activity has one loop. Begin it before the first heartbeat.
 *
 * Throws, before the first item, an Error with THB_INVALID_ARGUMENT if the recorded value doesn't belong to the loop: it
 * isn't an index, or is one beyond the end, or no item has the key. Then also the errors of details, heartbeat, flush and
 * wait_while_paused; instead of THB_NOT_FOUND, Cancelled with the signal gone. Builds without exceptions don't have it. */
template <typename Range, typename Key = detail::NoKey>
auto track(Range &&items, const Activity &activity, Key key = {}) {
    if constexpr (std::is_integral_v<std::remove_reference_t<Range>>) {
        using Items = detail::Numbers<std::remove_cv_t<std::remove_reference_t<Range>>>;
        return Tracked<Items, Key>(Items(items), activity, std::move(key));
    } else {
        return Tracked<Range, Key>(std::forward<Range>(items), activity, std::move(key));
    }
}
template <typename Range, typename Key = detail::NoKey>
void track(Range &&items, const Activity &&activity, Key key = {}) = delete;
#endif

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

namespace detail {

/* Returns the result of one completion. */
template <typename T>
Result<T> result_at(thb_completions_t *taken, std::size_t at, const SharedCodec &codec) {
    if (const thb_status_t status = thb_completions_statuses(taken)[at]; status != THB_OK)
        return Error::copied(status, thb_completions_error(taken, at));
    if constexpr (std::is_same_v<T, Signals>) return Signals(thb_completions_signals(taken)[at]);
    else if constexpr (std::is_same_v<T, Details>) {
        Details details(thb_completions_take_details(taken, at));
        return codec ? CodecCalls(*codec).decoded(std::move(details)) : std::move(details);
    }
    else if constexpr (std::is_same_v<T, Client>) return Client::adopt();
    else return {};
}

/* A submitted call. */
class Submitted {
public:
    virtual ~Submitted() = default;
    virtual void complete(thb_completions_t *taken, std::size_t at) = 0;
    /* There will be no completion. */
    virtual void abandon(const Error &) {}

    SharedCodec codec;
};

template <typename T, typename Callback>
class CallbackCall final : public Submitted {
public:
    explicit CallbackCall(Callback callback) : callback_(std::move(callback)) {}
    void complete(thb_completions_t *taken, std::size_t at) override {
        callback_(result_at<T>(taken, at, codec));
    }

private:
    Callback callback_;
};

template <typename T>
class FutureCall final : public Submitted {
public:
    std::future<Result<T>> future() { return promise_.get_future(); }
    void complete(thb_completions_t *taken, std::size_t at) override { end(result_at<T>(taken, at, codec)); }
    void abandon(const Error &error) override { end(error); }

    bool has_ended() const noexcept { return state_ == ended; }
    /* Makes the end of the call resume a coroutine. Returns false if it has ended. The resuming function is stored, so
     * that code built as C++17 can end the call. */
    bool suspend(void *frame, void (*resume)(void *)) noexcept {
        frame_ = frame;
        resume_ = resume;
        State expected = running;
        return state_.compare_exchange_strong(expected, awaited);
    }
    /* The coroutine was destroyed. */
    void forget() noexcept {
        State expected = awaited;
        state_.compare_exchange_strong(expected, running);
    }

private:
    void end(Result<T> result) {
        promise_.set_value(std::move(result));
        if (state_.exchange(ended) == awaited) resume_(frame_);
    }

    enum State { running, awaited, ended };
    std::promise<Result<T>> promise_;
    std::atomic<State> state_{running};
    void *frame_ = nullptr;
    void (*resume_)(void *) = nullptr;
};

/* Instead of a callback: return a Future. */
struct ReturnFuture {};

/* Keeps the first exception of several functions. */
class FirstException {
public:
    template <typename Function>
    void catching(Function function) {
#ifdef __cpp_exceptions
        try {
            function();
        } catch (...) {
            if (!thrown_) thrown_ = std::current_exception();
        }
#else
        function();
#endif
    }
    void rethrow() const {
#ifdef __cpp_exceptions
        if (thrown_) std::rethrow_exception(thrown_);
#endif
    }

private:
#ifdef __cpp_exceptions
    std::exception_ptr thrown_;
#endif
};

}  // namespace detail

/* The result of a submitted call: a std::future<Result<T>>, which coroutines can also co_await. get() waits until another
 * thread runs the queue. co_await suspends the coroutine until the queue runs, and then returns the Result there. */
template <typename T>
class [[nodiscard]] Future : public std::future<Result<T>> {
public:
    /* The number of the call, for Queue::cancel; 0 if it was refused. */
    std::uint64_t number() const noexcept { return number_; }

#ifdef __cpp_impl_coroutine
    auto operator co_await() noexcept { return Awaiter{std::move(*this)}; }
#endif

private:
    friend class Queue;
    Future(std::shared_ptr<detail::FutureCall<T>> call, std::uint64_t number)
        : std::future<Result<T>>(call->future()), call_(std::move(call)), number_(number) {}

#ifdef __cpp_impl_coroutine
    struct Awaiter {
        Future future;
        ~Awaiter() { future.call_->forget(); }
        bool await_ready() const noexcept { return future.call_->has_ended(); }
        bool await_suspend(std::coroutine_handle<> coroutine) const noexcept {
            return future.call_->suspend(coroutine.address(), [](void *frame) {
                std::coroutine_handle<>::from_address(frame).resume();
            });
        }
        Result<T> await_resume() { return future.get(); }
    };
#endif

    std::shared_ptr<detail::FutureCall<T>> call_;
    std::uint64_t number_;
};

/* Asynchronous calls: thousands in flight in one thread. Each function submits the call of the same name, copies its
 * inputs and never blocks; see thb_queue_open for order and limits. Results arrive while the program runs the queue:
 *
 *     queue.heartbeat(token, 41, 10s, [](thb::Result<thb::Signals> beat) { ... });          // a callback, or
 *     thb::Future<thb::Signals> beat = queue.heartbeat(token, 41);                          // a std::future, or
 *     thb::Result<thb::Signals> beat = co_await queue.heartbeat(token, 41);                 // in a C++20 coroutine
 *     while (poll(&loop, 1, -1) >= 0) queue.run_ready().value();                            // loop.fd is *queue.fd()
 *
 * With a callback, a function returns the number of the call, or why it was refused: then the callback isn't called. A
 * refused call without a callback has a Future with the error.
 *
 * When the queue is closed or destroyed, its calls continue. Callbacks that haven't run are destroyed, Futures get
 * THB_INVALID_HANDLE, and waiting coroutines resume with it. If some throw, the others resume too; then close throws the
 * first exception, and the destructor drops it. A forked child calls none of them. */
class Queue {
    using ReturnFuture = detail::ReturnFuture;

public:
    Queue() noexcept = default;
    Queue(Queue &&) noexcept = default;
    Queue &operator=(Queue &&other) noexcept {
        Queue closed(std::move(other));
        std::swap(calls_, closed.calls_);
        return *this;
    }
    ~Queue() {
        detail::FirstException dropped;
        dropped.catching([this] { static_cast<void>(close()); });
    }
    static Result<Queue> open() {
        thb_queue_t handle = 0;
        if (Error error = detail::call(thb_queue_open, &handle)) return error;
        Queue queue;
        queue.calls_ = std::make_shared<Calls>(handle);
        return queue;
    }

    /* Runs the callbacks and coroutines of all calls that have ended, and returns their number. Never waits. If some
     * throw, the others run too; then this throws the first exception. */
    Result<std::size_t> run_ready() const { return run(SIZE_MAX, {}); }
    /* Waits until a call has ended, and runs its callback or coroutine. Returns 0 if the timeout passes. */
    Result<std::size_t> run_one(Timeout timeout = default_timeout) const { return run(1, timeout); }
    /* Returns a descriptor that is readable while run_ready has something to run. Only poll it. The queue closes it. */
    Result<std::int32_t> fd() const {
        if (!is_own()) return detail::make<std::int32_t, std::int32_t>(thb_queue_open_fd, handle());
        const std::lock_guard<std::mutex> lock(calls_->mutex);
        if (calls_->fd < 0)
            if (Error error = detail::call(thb_queue_open_fd, handle(), &calls_->fd)) return error;
        return calls_->fd;
    }
    /* Ends the call as if its timeout had passed. A call that has ended, or an unknown number, is not an error. */
    Result<void> cancel(std::uint64_t number) const { return detail::call(thb_queue_cancel, handle(), number); }
    /* Like the destructor. */
    Result<void> close() {
        if (!calls_) return {};
        if (!is_own()) {
            // Another thread of the parent may have been changing them, so they stay as they are.
            static_cast<void>(new std::shared_ptr<Calls>(std::move(calls_)));
            return {};
        }
        Error error = detail::call([&](thb_error_t **out) { return calls_->handle.close({}, out); });
        std::unordered_map<std::uint64_t, Call> abandoned;
        {
            const std::lock_guard<std::mutex> lock(calls_->mutex);
            abandoned.swap(calls_->submitted);
        }
        detail::FirstException thrown;
        for (const auto &entry : abandoned)
            thrown.catching([&] { entry.second->abandon(Error(THB_INVALID_HANDLE)); });
        thrown.rethrow();
        return error;
    }

    /* Connects, with a codec as Client::connect. The Client that the call returns disconnects in its destructor. */
    template <typename Callback = ReturnFuture>
    auto connect(std::string_view options = {}, Callback callback = {},
                 std::shared_ptr<PayloadCodec> codec = nullptr) const {
        const std::string json = detail::set_codec(options, std::move(codec));
        return submit<Client>(std::move(callback), thb_queue_submit_connect, std::string_view(json));
    }
    /* Once this is submitted, the Client is disconnected: it may be destroyed. */
    template <typename Callback = ReturnFuture>
    auto disconnect(Client &client, Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit<void>(std::move(callback), [&](thb_queue_t queue, std::uint64_t number, thb_error_t **out) {
            return client.connected_.give([&](int connected) -> thb_status_t {
                if (connected == 0) return THB_INVALID_HANDLE;
                return thb_queue_submit_disconnect(queue, number, detail::milliseconds(timeout), out);
            });
        });
    }
    template <typename Callback = ReturnFuture>
    auto heartbeat(std::string_view token, const Value &details, Timeout timeout = default_timeout,
                   Callback callback = {}) const {
        return submit<Signals>(std::move(callback), thb_queue_submit_heartbeat, token, details, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto get_details(std::string_view token, Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit<Details>(std::move(callback), thb_queue_submit_get_details, token, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto complete(std::string_view token, const Value &result = Value::none(), Timeout timeout = default_timeout,
                  Callback callback = {}) const {
        return submit<void>(std::move(callback), thb_queue_submit_complete, token, result, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto fail(std::string_view token, const Failure &failure, Timeout timeout = default_timeout,
              Callback callback = {}) const {
        return submit<void>(std::move(callback), thb_queue_submit_fail, token, failure, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto report_cancelled(std::string_view token, const Value &details = Value::none(),
                          Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit<void>(std::move(callback), thb_queue_submit_report_cancelled, token, details, timeout);
    }

    template <typename Callback = ReturnFuture>
    auto details(const Activity &activity, Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit_for<Details>(activity, std::move(callback), thb_queue_submit_activity_get_details, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto flush(const Activity &activity, Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit_for<void>(activity, std::move(callback), thb_queue_submit_activity_flush, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto complete(const Activity &activity, const Value &result = Value::none(), Timeout timeout = default_timeout,
                  Callback callback = {}) const {
        return submit_for<void>(activity, std::move(callback), thb_queue_submit_activity_complete, result, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto fail(const Activity &activity, const Failure &failure, Timeout timeout = default_timeout,
              Callback callback = {}) const {
        return submit_for<void>(activity, std::move(callback), thb_queue_submit_activity_fail, failure, timeout);
    }
    template <typename Callback = ReturnFuture>
    auto report_cancelled(const Activity &activity, const Value &details = Value::none(),
                          Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit_for<void>(activity, std::move(callback), thb_queue_submit_activity_report_cancelled, details,
                                timeout);
    }
    /* Once this is submitted, the Activity is closed. */
    template <typename Callback = ReturnFuture>
    auto close(Activity &activity, Timeout timeout = default_timeout, Callback callback = {}) const {
        return submit<void>(std::move(callback), [&](thb_queue_t queue, std::uint64_t number, thb_error_t **out) {
            return activity.handle_.give([&](thb_activity_t handle) {
                return thb_queue_submit_activity_close(queue, number, handle, detail::milliseconds(timeout), out);
            });
        });
    }

private:
    using Call = std::shared_ptr<detail::Submitted>;

    static thb_status_t end(thb_queue_t queue, std::uint32_t, thb_error_t **error) noexcept {
        return thb_queue_close(queue, error);
    }

    /* Callbacks may destroy the queue, so running it shares its calls. */
    struct Calls {
        explicit Calls(thb_queue_t opened) noexcept : handle(opened) {}
        ~Calls() {
            if (fd >= 0) ::close(fd);
        }
        Call take(std::uint64_t number) {
            const std::lock_guard<std::mutex> lock(mutex);
            auto node = submitted.extract(number);
            return node ? std::move(node.mapped()) : nullptr;
        }

        detail::Owned<thb_queue_t, end> handle;
        const pid_t process = ::getpid();
        std::mutex mutex;
        std::int32_t fd = -1;
        std::uint64_t last = 0;
        std::unordered_map<std::uint64_t, Call> submitted;
    };

    thb_queue_t handle() const noexcept { return calls_ ? calls_->handle.get() : 0; }
    /* Whether this process opened it. In a forked child, threads that don't exist may hold the lock. */
    bool is_own() const noexcept { return calls_ && calls_->process == ::getpid(); }

    template <typename T, typename Callback, typename... Arguments>
    auto submit(Callback callback, const Arguments &...arguments) const {
        return submit_with<T>(detail::connection_codec(), std::move(callback), arguments...);
    }
    template <typename T, typename Callback, typename Function, typename... Arguments>
    auto submit_for(const Activity &activity, Callback callback, Function function,
                    const Arguments &...arguments) const {
        return submit_with<T>(activity.codec_, std::move(callback), function, activity.handle(), arguments...);
    }
    template <typename T, typename Callback, typename... Arguments>
    auto submit_with(const detail::SharedCodec &codec, Callback callback, const Arguments &...arguments) const {
        if constexpr (std::is_same_v<Callback, ReturnFuture>) {
            auto call = std::make_shared<detail::FutureCall<T>>();
            call->codec = codec;
            Future<T> future(call, 0);
            future.number_ = begin(std::move(call), arguments...).value_or(0);
            return future;
        } else {
            static_assert(std::is_invocable_v<Callback &, Result<T>>, "the callback takes the Result of the call");
            auto call = std::make_shared<detail::CallbackCall<T, Callback>>(std::move(callback));
            call->codec = codec;
            return begin(std::move(call), arguments...);
        }
    }

    template <typename Function, typename... Arguments>
    Result<std::uint64_t> begin(Call call, Function function, const Arguments &...arguments) const {
        std::uint64_t number = 0;
        if (is_own()) {
            // Before the submission, because another thread may take the completion.
            const std::lock_guard<std::mutex> lock(calls_->mutex);
            calls_->submitted.emplace(number = ++calls_->last, call);
        }
        Error error = detail::send(call->codec, function, handle(), number, arguments...);
        if (!error) return number;
        if (number == 0 || calls_->take(number)) call->abandon(error);
        return error;
    }

    Result<std::size_t> run(std::size_t max, Timeout timeout) const {
        const std::shared_ptr<Calls> calls = calls_;
        thb_completions_t *made = nullptr;
        if (Error error = detail::call(thb_queue_next, handle(), max, timeout, &made)) return error;
        const std::unique_ptr<thb_completions_t, void (*)(thb_completions_t *)> taken(made, thb_completions_free);
        const std::size_t count = thb_completions_count(made);
        detail::FirstException thrown;
        for (std::size_t at = 0; at < count; ++at) {
            const Call call = calls->take(thb_completions_user_data(made)[at]);
            if (call) thrown.catching([&] { call->complete(made, at); });  // otherwise the queue was closed
        }
        thrown.rethrow();
        return count;
    }

    std::shared_ptr<Calls> calls_;
};

/* A task of a Worker: one attempt of an activity. Its activity is open and beats. The destructor closes the activity. */
class Task {
public:
    /* Takes ownership of a task that thb_worker_next returned. If a codec can't decode its values, the attempt fails. */
    static Result<Task> take(thb_task_t *taken) {
        Task task(taken);
        Error error = copy(thb_task_input(taken), task.input_);
        if (!error) error = copy(thb_task_details(taken), task.details_);
        if (!error) return task;
        const Result<void> failed = task.activity_.fail(Failure(error).type("Worker"));
        return failed ? error : failed.error();
    }

    Activity &activity() noexcept { return activity_; }
    /* The type of the activity, which says what to do. */
    std::string_view activity_type() const noexcept { return thb_task_activity_type(task_.get()); }
    /* The arguments. */
    const Details &input() const noexcept { return input_; }
    /* The heartbeat details of the previous attempt, from which the work continues. */
    const Details &details() const noexcept { return details_; }
    /* Facts about the attempt: the JSON of thb_task_info. */
    std::string_view info() const noexcept { return thb_task_info(task_.get()); }
    /* The task token, for example to hand the task to another process. */
    std::string_view token() const noexcept {
        std::size_t len = 0;
        const void *data = thb_task_token(task_.get(), &len);
        return {static_cast<const char *>(data), len};
    }

private:
    explicit Task(thb_task_t *taken) : task_(taken), activity_(thb_task_activity(taken)) {}
    static Error copy(const thb_details_t *from, Details &to) {
        std::size_t len = 0;
        const void *data = thb_details_decoded_payloads(from, &len);
        const std::string_view payloads(static_cast<const char *>(data), len);
        if (Error error = to.add(Value::payloads(payloads)).error()) return error;
        const detail::SharedCodec codec = detail::connection_codec();
        if (!codec) return {};
        Result<Details> decoded = detail::CodecCalls(*codec).decoded(std::move(to));
        if (decoded) to = *std::move(decoded);
        return decoded.error();
    }
    struct Free {
        void operator()(thb_task_t *task) const noexcept { thb_task_free(task); }
    };

    // The activity is closed first: a slot is free when both are.
    std::unique_ptr<thb_task_t, Free> task_;
    Activity activity_;
    Details input_, details_;
};

/* An activity worker, without an SDK: takes tasks from a task queue, and runs a function for each.
 *
 *     thb::Client client = thb::Client::connect().value();
 *     thb::Worker worker("models");
 *     worker.on("solve", [](thb::Task &task) {
 *         std::int64_t step = task.details().integer().value_or(0);  // of the previous attempt
 *         for (; step < 100; ++step) {
 *             work_on(task.input()[0], step);
 *             task.activity().heartbeat(step + 1).value();
 *         }
 *         return "100 steps";  // completes the activity
 *     });
 *     worker.run(4).value();  // until shutdown
 *
 * What a function returns is the result: nothing, or what a Value is made of. A function that has ended the activity
 * itself should return nothing. An exception fails the attempt, so that the server retries it. To prevent that, the
 * function fails the activity itself: task.activity().fail(Failure("why").non_retryable()). Cancelled (of track) ends
 * the activity as cancelled if that was requested. Other workers get the activities of other types.
 */
class Worker {
public:
    /* options is the JSON of thb_worker_open, without task_queue and activity_types. */
    explicit Worker(std::string_view task_queue, std::string_view options = {})
        : options_(detail::with_member(options, "\"task_queue\": " + detail::quoted(task_queue))) {}

    /* Sets what to do for an activity type: a function that takes a Task &. Call it before run, once for each type; run
     * returns THB_INVALID_ARGUMENT otherwise. */
    template <typename Function>
    Worker &on(std::string_view activity_type, Function function) {
        auto run = [function = std::move(function)](Task &task) mutable -> Error {
            if constexpr (std::is_void_v<decltype(function(task))>) {
                function(task);
                return task.activity().complete().error();
            } else {
                const auto result = function(task);
                return task.activity().complete(Value(result)).error();
            }
        };
        const std::string type(activity_type);
        if (has_run_) stop(Error(THB_INVALID_ARGUMENT, type + ": call on before run"));
        else if (!functions_.emplace(type, std::move(run)).second)
            stop(Error(THB_INVALID_ARGUMENT, type + ": the worker has two functions for this activity type"));
        return *this;
    }

    /* Takes tasks, and runs them in this many threads, until shutdown. Needs a Client. A worker runs once. Returns
     * THB_OK after a shutdown, or an error of polling that a retry doesn't help. Tasks that run are finished first.
     * In a forked child it returns THB_FORKED: a function that forks should end the child with _exit or exec. */
    Result<void> run(unsigned threads = 1) {
        if (threads == 0) threads = 1;
        if (has_run_.exchange(true))
            return Error(THB_INVALID_ARGUMENT, "the worker runs already, or has run: make another one");
        if (Error error = open(threads)) {
            has_run_ = false;
            return error;
        }
        const pid_t process = ::getpid();
        std::vector<std::thread> others;
        start(threads - 1, others);
        take_tasks(process);
        const bool is_child = ::getpid() != process;
        for (std::thread &other : others) {
            if (is_child) other.detach();  // it doesn't exist in the child
            else other.join();
        }
        thb_worker_close(handle_, detail::milliseconds(destructor_timeout), nullptr);
        return error_;
    }

    /* Makes run return when the tasks that have arrived are done. Any thread may call it, also before run. Never blocks. */
    void shutdown() {
        is_shut_down_ = true;
        if (handle_ != 0) thb_worker_shutdown(handle_, 0, nullptr);
    }

private:
    Error open(unsigned threads) {
        std::string types;
        for (const auto &[type, function] : functions_) types += (types.empty() ? "" : ",") + detail::quoted(type);
        std::string json = detail::with_member(options_, "\"activity_types\": [" + types + "]");
        if (detail::find_member(json, "max_concurrent") == std::string::npos)
            json = detail::with_member(json, "\"max_concurrent\": " + std::to_string(threads));
        thb_worker_t worker = 0;
        if (error_) return error_;
        if (functions_.empty()) return Error(THB_INVALID_ARGUMENT, "the worker has no functions: call on first");
        if (Error error = detail::call(thb_worker_open, std::string_view(json), &worker)) return error;
        handle_ = worker;
        if (is_shut_down_) shutdown();
        return {};
    }

    /* Makes run return this error, unless it returns another one. */
    void stop(const Error &error) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (!error_) error_ = error;
        }
        if (handle_ != 0) shutdown();
    }

    void start(unsigned count, std::vector<std::thread> &threads) {
        const auto start_all = [&] {
            while (threads.size() < count) threads.emplace_back([this, process = ::getpid()] { take_tasks(process); });
        };
#ifdef __cpp_exceptions
        try {
            start_all();
        } catch (const std::exception &exception) {  // the threads that were started end too
            stop(Error(THB_LOCAL_LIMIT, "the system allows only " + std::to_string(threads.size() + 1) + " of " +
                                            std::to_string(count + 1) + " threads: " + exception.what()));
        }
#else
        start_all();
#endif
    }

    void take_tasks(pid_t process) {
        for (;;) {
            thb_task_t *taken = nullptr;
            const Error error = detail::call(thb_worker_next, thb_worker_t(handle_), THB_FOREVER, &taken);
            if (error.status() == THB_ENDED) return;
            if (error.status() == THB_INVALID_HANDLE)
                return stop(Error(THB_NOT_CONNECTED, "the client was disconnected, which closed the worker"));
            if (::getpid() != process) {
                error_ = error;  // without the lock, which a thread of the parent may have held
                return;
            }
            if (error) stop(error);
            else if (taken != nullptr) run_task(taken);
        }
    }

    void run_task(thb_task_t *taken) {
        Result<Task> task = Task::take(taken);
        if (!task) return;
        const std::optional<Failure> failure = run_function(*task);
        if (!failure) return;
        const Result<void> failed = task->activity().fail(*failure);
        // If the server can't be reached, the attempt times out there, and is retried.
        if (failed.status() == THB_INVALID_ARGUMENT || failed.status() == THB_TOO_LARGE)
            static_cast<void>(task->activity().fail(Failure(failed.error())));
    }

    /* Runs the function of a task. Returns why the attempt fails, if it does. */
    std::optional<Failure> run_function(Task &task) {
        const auto function = functions_.find(std::string(task.activity_type()));
        if (function == functions_.end()) return Failure("no such activity type").type("NotFoundError");
#ifdef __cpp_exceptions
        try {
            return failure_of(function->second(task));
        } catch (const Cancelled &cancelled) {
            if (!cancelled.signals().cancel_requested()) return Failure(cancelled);
            return failure_of(task.activity().report_cancelled().error());
        } catch (const std::exception &exception) {
            return Failure(exception);
        } catch (...) {
            return Failure("an exception that isn't a std::exception");
        }
#else
        return failure_of(function->second(task));
#endif
    }
    /* A result that the server doesn't accept fails the attempt. After an end nothing more is needed. */
    static std::optional<Failure> failure_of(const Error &error) {
        const thb_status_t status = error.status();
        if (status == THB_OK || status == THB_ENDED || status == THB_NOT_FOUND || status == THB_IN_DOUBT)
            return std::nullopt;
        return Failure(error);
    }

    std::string options_;
    std::map<std::string, std::function<Error(Task &)>> functions_;
    std::atomic<thb_worker_t> handle_{0};
    std::atomic<bool> is_shut_down_{false}, has_run_{false};
    std::mutex mutex_;
    Error error_;
};

/* Functions that send one request and need no handle; see the thb functions of the same names. */

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

/* Between two calls nothing is noticed. To learn of a cancellation at once, open an Activity with follow_server. */
inline Result<Signals> heartbeat(std::string_view token, const Value &details, Timeout timeout = default_timeout) {
    return detail::send_for<Signals, std::uint32_t>(detail::connection_codec(), thb_heartbeat, token, details, timeout);
}
inline Result<Details> get_details(std::string_view token, Timeout timeout = default_timeout) {
    return detail::send_for<Details, thb_details_t *>(detail::connection_codec(), thb_get_details, token, timeout);
}
inline Result<void> complete(std::string_view token, const Value &result = Value::none(),
                             Timeout timeout = default_timeout) {
    return detail::send(detail::connection_codec(), thb_complete, token, result, timeout);
}
inline Result<void> fail(std::string_view token, const Failure &failure, Timeout timeout = default_timeout) {
    return detail::send(detail::connection_codec(), thb_fail, token, failure, timeout);
}
inline Result<void> report_cancelled(std::string_view token, const Value &details = Value::none(),
                                     Timeout timeout = default_timeout) {
    return detail::send(detail::connection_codec(), thb_report_cancelled, token, details, timeout);
}

}  // inline namespace
}  // namespace temporal_heartbeat

#endif
