// The C++17 driver, which uses the wrapper. README.md in this folder describes the protocol.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "temporal_heartbeat.hpp"

namespace thb = temporal_heartbeat;

namespace {

using Words = std::vector<std::string>;

// One Client for each successful connect, because a Client disconnects when it is destroyed.
std::vector<thb::Client> clients;
std::map<std::string, thb::Activity> activities;  // by the NAMEs of the protocol

// ---- words ----

std::string from_hex(std::string_view word) {
    std::string bytes;
    if (word == "." || word == "-") return bytes;
    bytes.reserve(word.size() / 2);
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 0; i + 1 < word.size(); i += 2)
        bytes.push_back(static_cast<char>(digit(word[i]) << 4 | digit(word[i + 1])));
    return bytes;
}

std::string to_hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    if (bytes.empty()) return ".";
    std::string word;
    word.reserve(2 * bytes.size());
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        word += {digits[byte >> 4], digits[byte & 15]};
    }
    return word;
}

thb::Timeout to_timeout(const std::string &word) {
    return word == "forever" ? thb::forever : thb::Timeout(std::stoll(word));
}

std::uint32_t to_bits(const std::string &word) { return static_cast<std::uint32_t>(std::stoul(word)); }

// The values at the end of a request.
class Values {
public:
    Values(const Words &words, std::size_t first) : count_(words.size() - first) {
        for (std::size_t i = first; i < words.size(); ++i) {
            const std::size_t colon = words[i].find(':');
            encoding_ = words[i].substr(0, colon);
            data_ = from_hex(words[i].substr(colon + 1));
            if (count_ > 1) several_.add(last()).value();
        }
    }
    thb::Value value() const {
        if (count_ == 0) return thb::Value::none();
        return count_ == 1 ? last() : thb::Value(several_);
    }

private:
    thb::Value last() const {
        if (encoding_ == "json") return thb::Value::json(data_);
        return encoding_ == "binary" ? thb::Value::binary(data_) : thb::Value::null();
    }

    std::size_t count_;
    std::string encoding_, data_;
    thb::Details several_;
};

std::string answer_of(const thb::Result<void> &result) {
    result.value();
    return {};
}

std::string answer_of(thb::Signals signals) { return ' ' + std::to_string(signals.bits()); }

std::string answer_of(const thb::Details &details) {
    const auto recorded_at = details.recorded_at();
    const auto since_1970 = recorded_at ? recorded_at->time_since_epoch() : std::chrono::system_clock::duration::zero();
    std::ostringstream out;
    out << ' ' << details.attempt() << ' ' << std::chrono::duration_cast<thb::Timeout>(since_1970).count() << ' '
        << details.heartbeat_timeout().value_or(thb::Timeout(-1)).count();
    for (std::size_t i = 0; i < details.size(); ++i) out << ' ' << details.encoding(i) << ':' << to_hex(details[i]);
    return out.str();
}

// ---- requests ----

std::string connect(const Words &words) {
    clients.push_back(thb::Client::connect(from_hex(words.at(0))).value());
    return {};
}

std::string reconfigure(const Words &words) { return answer_of(thb::Client().reconfigure(from_hex(words.at(0)))); }

std::string disconnect(const Words &words) {
    const thb::Timeout timeout = to_timeout(words.at(0));
    return answer_of(clients.empty() ? thb::Client().disconnect(timeout) : clients.back().disconnect(timeout));
}

std::string heartbeat(const Words &words) {
    return answer_of(
        thb::heartbeat(from_hex(words.at(0)), Values(words, 2).value(), to_timeout(words.at(1))).value());
}

std::string get_details(const Words &words) {
    return answer_of(thb::get_details(from_hex(words.at(0)), to_timeout(words.at(1))).value());
}

std::string complete(const Words &words) {
    return answer_of(thb::complete(from_hex(words.at(0)), Values(words, 2).value(), to_timeout(words.at(1))));
}

std::string fail(const Words &words) {
    return answer_of(thb::fail(from_hex(words.at(0)), thb::Failure::json(from_hex(words.at(2))), to_timeout(words.at(1))));
}

std::string report_cancelled(const Words &words) {
    return answer_of(thb::report_cancelled(from_hex(words.at(0)), Values(words, 2).value(), to_timeout(words.at(1))));
}

std::string token_from_env(const Words &) { return ' ' + to_hex(thb::token_from_env().value()); }

std::string token_from_ids(const Words &words) {
    return ' ' + to_hex(thb::token_from_ids(from_hex(words.at(0)), to_timeout(words.at(1))).value());
}

// ---- requests for an open activity ----

const thb::Activity &named(const Words &words) { return activities.at(words.at(0)); }

std::string activity_open(const Words &words) {
    const std::string options = from_hex(words.at(2));
    activities[words.at(0)] =
        (words.at(1) == "-" ? thb::Activity::from_env(options) : thb::Activity::open(from_hex(words.at(1)), options))
            .value();
    return {};
}

std::string activity_record(const Words &words) {
    return answer_of(named(words).heartbeat(Values(words, 1).value()).value());
}

std::string activity_touch(const Words &words) { return answer_of(named(words).touch().value()); }

std::string activity_set_status(const Words &words) {
    return answer_of(named(words).set_status(from_hex(words.at(1))));
}

std::string activity_signals(const Words &words) { return answer_of(named(words).signals().value()); }

std::string activity_wait(const Words &words) {
    return answer_of(named(words).wait(to_timeout(words.at(3)), to_bits(words.at(2)), to_bits(words.at(1))).value());
}

std::string activity_wait_while_paused(const Words &words) {
    return answer_of(named(words).wait_while_paused(to_timeout(words.at(1))).value());
}

std::string activity_details(const Words &words) {
    return answer_of(named(words).details(to_timeout(words.at(1))).value());
}

std::string activity_info(const Words &words) { return ' ' + to_hex(named(words).info().value()); }

std::string activity_reason(const Words &words) { return ' ' + to_hex(named(words).reason().value()); }

std::string activity_flush(const Words &words) { return answer_of(named(words).flush(to_timeout(words.at(1)))); }

std::string activity_complete(const Words &words) {
    return answer_of(named(words).complete(Values(words, 2).value(), to_timeout(words.at(1))));
}

std::string activity_fail(const Words &words) {
    return answer_of(named(words).fail(thb::Failure::json(from_hex(words.at(2))), to_timeout(words.at(1))));
}

std::string activity_report_cancelled(const Words &words) {
    return answer_of(named(words).report_cancelled(Values(words, 2).value(), to_timeout(words.at(1))));
}

std::string activity_close(const Words &words) {
    return answer_of(activities.at(words.at(0)).close(to_timeout(words.at(1))));
}

const std::map<std::string, std::string (*)(const Words &)> verbs{
    {"connect", connect},
    {"reconfigure", reconfigure},
    {"disconnect", disconnect},
    {"heartbeat", heartbeat},
    {"get_details", get_details},
    {"complete", complete},
    {"fail", fail},
    {"report_cancelled", report_cancelled},
    {"token_from_env", token_from_env},
    {"token_from_ids", token_from_ids},
    {"activity_open", activity_open},
    {"activity_record", activity_record},
    {"activity_touch", activity_touch},
    {"activity_set_status", activity_set_status},
    {"activity_signals", activity_signals},
    {"activity_wait", activity_wait},
    {"activity_wait_while_paused", activity_wait_while_paused},
    {"activity_details", activity_details},
    {"activity_info", activity_info},
    {"activity_reason", activity_reason},
    {"activity_flush", activity_flush},
    {"activity_complete", activity_complete},
    {"activity_fail", activity_fail},
    {"activity_report_cancelled", activity_report_cancelled},
    {"activity_close", activity_close},
};

std::string answer(const std::string &line) try {
    std::istringstream in(line);
    std::string verb, word;
    Words words;
    in >> verb;
    while (in >> word) words.push_back(word);
    return "ok" + verbs.at(verb)(words);
} catch (const thb::Error &error) {
    std::ostringstream out;
    const std::string_view name = thb_status_name(error.status());
    const std::string_view message = std::string_view(error.what()).substr(name.size() + 2);
    out << "error " << name << ' ' << error.grpc_code() << ' ' << error.retryable() << ' '
        << error.retry_after().value_or(thb::Timeout(-1)).count() << ' ' << to_hex(message);
    return out.str();
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(line) << std::endl;
    activities.clear();  // sends the last records while the clients are connected
}
