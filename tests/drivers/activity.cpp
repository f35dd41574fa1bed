// The driver for activities that are held open, on the wrapper for C++: README.md beside it describes the protocol.
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

thb::Client client;
std::map<std::string, thb::Activity> activities;  // by the names that the scenario gives them

// ---- words ----

std::string from_hex(std::string_view word) {
    std::string bytes;
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    if (word == "." || word == "-") return bytes;
    for (std::size_t i = 0; i + 1 < word.size(); i += 2)
        bytes.push_back(static_cast<char>(digit(word[i]) << 4 | digit(word[i + 1])));
    return bytes;
}

std::string to_hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    if (bytes.empty()) return ".";
    std::string word;
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

// The value that a request ends with, or none.
struct Given {
    Given(const Words &words, std::size_t at) {
        if (words.size() <= at) return;
        const std::size_t colon = words[at].find(':');
        encoding = words[at].substr(0, colon);
        data = from_hex(words[at].substr(colon + 1));
    }
    thb::Value value() const {
        if (encoding == "json") return data;
        if (encoding == "binary") return thb::Value::binary(data);
        return encoding == "null" ? thb::Value::null() : thb::Value::none();
    }
    std::string encoding, data;
};

std::string told(thb::Signals signals) { return ' ' + std::to_string(signals.bits()); }

std::string told(const thb::Details &details) {
    const auto recorded_at = details.recorded_at();
    const auto since_1970 = recorded_at ? recorded_at->time_since_epoch() : std::chrono::system_clock::duration::zero();
    std::ostringstream out;
    out << ' ' << details.attempt() << ' ' << std::chrono::duration_cast<thb::Timeout>(since_1970).count() << ' '
        << details.heartbeat_timeout().value_or(thb::Timeout(-1)).count();
    for (std::size_t i = 0; i < details.size(); ++i) out << ' ' << details.encoding(i) << ':' << to_hex(details[i]);
    return out.str();
}

// ---- requests ----

const thb::Activity &named(const Words &words) { return activities.at(words.at(0)); }

std::string connect(const Words &words) {
    client = thb::Client::connect(from_hex(words.at(0))).value();
    return {};
}
std::string reconfigure(const Words &words) {
    client.reconfigure(from_hex(words.at(0))).value();
    return {};
}

std::string disconnect(const Words &words) {
    client.disconnect(to_timeout(words.at(0))).value();
    return {};
}
std::string heartbeat(const Words &words) {
    return told(thb::heartbeat(from_hex(words.at(0)), Given(words, 2).value(), to_timeout(words.at(1))).value());
}
std::string get_details(const Words &words) {
    return told(thb::get_details(from_hex(words.at(0)), to_timeout(words.at(1))).value());
}
std::string open(const Words &words) {
    activities[words.at(0)] = thb::Activity::open(from_hex(words.at(1)), from_hex(words.at(2))).value();
    return {};
}
std::string record(const Words &words) { return told(named(words).heartbeat(Given(words, 1).value()).value()); }
std::string touch(const Words &words) { return told(named(words).touch().value()); }
std::string signals(const Words &words) { return told(named(words).signals().value()); }
std::string wait(const Words &words) {
    return told(named(words).wait(to_timeout(words.at(3)), to_bits(words.at(2)), to_bits(words.at(1))).value());
}
std::string details(const Words &words) { return told(named(words).details(to_timeout(words.at(1))).value()); }
std::string info(const Words &words) { return ' ' + to_hex(named(words).info().value()); }
std::string flush(const Words &words) {
    named(words).flush(to_timeout(words.at(1))).value();
    return {};
}
std::string complete(const Words &words) {
    named(words).complete(Given(words, 2).value(), to_timeout(words.at(1))).value();
    return {};
}
std::string fail(const Words &words) {
    named(words).fail(from_hex(words.at(2)), to_timeout(words.at(1))).value();
    return {};
}
std::string report_cancelled(const Words &words) {
    named(words).report_cancelled(Given(words, 2).value(), to_timeout(words.at(1))).value();
    return {};
}
std::string close(const Words &words) {
    activities.at(words.at(0)).close(to_timeout(words.at(1))).value();
    return {};
}

const std::map<std::string, std::string (*)(const Words &)> verbs{
    {"connect", connect},
    {"reconfigure", reconfigure},
    {"disconnect", disconnect},
    {"heartbeat", heartbeat},
    {"get_details", get_details},
    {"open", open},
    {"record", record},
    {"touch", touch},
    {"signals", signals},
    {"wait", wait},
    {"details", details},
    {"info", info},
    {"flush", flush},
    {"complete", complete},
    {"fail", fail},
    {"report_cancelled", report_cancelled},
    {"close", close},
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
    activities.clear();  // what was recorded last is sent
}
