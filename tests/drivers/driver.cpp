// The driver for C++17: README.md beside it describes the protocol.
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "temporal_heartbeat.h"

namespace {

// ---- the library, as C++ likes it ----

// What the library hands out is freed by the function of its kind.
template <auto free_it>
struct Free {
    template <typename T>
    void operator()(T *handed_out) const noexcept { free_it(handed_out); }
};
using Error = std::unique_ptr<thb_error_t, Free<thb_error_free>>;
using Details = std::unique_ptr<thb_details_t, Free<thb_details_free>>;
using Text = std::unique_ptr<thb_text_t, Free<thb_text_free>>;

class Refused : public std::exception {
public:
    explicit Refused(Error error) : error_(std::move(error)) {}
    const char *what() const noexcept override { return thb_error_message(error_.get()); }
    const thb_error_t *error() const noexcept { return error_.get(); }

private:
    std::shared_ptr<thb_error_t> error_;
};

// Calls a function whose last parameter takes the error, and throws that.
template <typename Function, typename... Arguments>
void call(Function function, Arguments... arguments) {
    thb_error_t *raw = nullptr;
    const thb_status_t status = function(arguments..., &raw);
    Error error(raw);
    if ((status == THB_OK) != (error == nullptr)) throw std::logic_error("status and error disagree");
    if (error) throw Refused(std::move(error));
}

// The same for one whose last parameter but one takes an object, which it returns.
template <typename Owner, typename Function, typename... Arguments>
Owner make(Function function, Arguments... arguments) {
    typename Owner::pointer raw = nullptr;
    call(function, arguments..., &raw);
    return Owner(raw);
}

// ---- words ----

using Words = std::vector<std::string>;

std::string from_hex(std::string_view word) {
    std::string bytes;
    if (word == "-" || word == ".") return bytes;
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

std::uint32_t to_timeout(const std::string &word) {
    return word == "forever" ? THB_FOREVER : static_cast<std::uint32_t>(std::stoul(word));
}

// The values of a request, as one pair of encoding and data.
class Values {
public:
    explicit Values(const Words &words, std::size_t first) {
        if (words.size() == first + 1) std::tie(encoding, data_) = parse(words[first]);
        if (words.size() <= first + 1) return;
        built_ = make<Details>(thb_details_new);
        for (std::size_t i = first; i < words.size(); ++i) {
            const auto [value_encoding, value] = parse(words[i]);
            call(thb_details_add, built_.get(), value_encoding, value.data(), value.size());
        }
        encoding = THB_ENCODING_PAYLOADS;
    }

    std::pair<const void *, std::size_t> data() const {
        if (!built_) return {data_.data(), data_.size()};
        std::size_t len = 0;
        const void *payloads = thb_details_payloads(built_.get(), &len);
        return {payloads, len};
    }

    thb_encoding_t encoding = THB_ENCODING_NONE;

private:
    static std::pair<thb_encoding_t, std::string> parse(const std::string &word) {
        static const std::map<std::string, thb_encoding_t> encodings{
            {"json", THB_ENCODING_JSON}, {"binary", THB_ENCODING_BINARY}, {"null", THB_ENCODING_NULL}};
        const std::size_t colon = word.find(':');
        return {encodings.at(word.substr(0, colon)), from_hex(word.substr(colon + 1))};
    }

    std::string data_;
    Details built_;
};

// ---- requests ----

std::string connect(const Words &words) {
    const std::string options = from_hex(words.at(0));
    call(thb_connect, options.data(), options.size());
    return {};
}

std::string reconfigure(const Words &words) {
    const std::string options = from_hex(words.at(0));
    call(thb_reconfigure, options.data(), options.size());
    return {};
}

std::string disconnect(const Words &words) {
    call(thb_disconnect, to_timeout(words.at(0)));
    return {};
}

std::string heartbeat(const Words &words) {
    const std::string token = from_hex(words.at(0));
    const Values details(words, 2);
    const auto [data, len] = details.data();
    std::uint32_t signals = 0;
    call(thb_heartbeat, token.data(), token.size(), details.encoding, data, len, to_timeout(words.at(1)), &signals);
    return ' ' + std::to_string(signals);
}

std::string get_details(const Words &words) {
    const std::string token = from_hex(words.at(0));
    const auto details = make<Details>(thb_get_details, token.data(), token.size(), to_timeout(words.at(1)));
    std::ostringstream told;
    told << ' ' << thb_details_attempt(details.get()) << ' ' << thb_details_recorded_at_unix_ms(details.get()) << ' '
         << thb_details_heartbeat_timeout_ms(details.get());
    for (std::size_t i = 0; i < thb_details_count(details.get()); ++i) {
        std::size_t len = 0;
        const auto *data = static_cast<const char *>(thb_details_data(details.get(), i, &len));
        told << ' ' << thb_details_encoding(details.get(), i) << ':' << to_hex({data, len});
    }
    return told.str();
}

// complete and report_cancelled have one signature.
template <auto end_it>
std::string end(const Words &words) {
    const std::string token = from_hex(words.at(0));
    const Values values(words, 2);
    const auto [data, len] = values.data();
    call(end_it, token.data(), token.size(), values.encoding, data, len, to_timeout(words.at(1)));
    return {};
}

std::string fail(const Words &words) {
    const std::string token = from_hex(words.at(0)), failure = from_hex(words.at(2));
    call(thb_fail, token.data(), token.size(), failure.data(), failure.size(), to_timeout(words.at(1)));
    return {};
}

std::string token_from_env(const Words &) {
    const auto token = make<Text>(thb_token_from_env);
    std::size_t len = 0;
    const char *bytes = thb_text_data(token.get(), &len);
    return ' ' + to_hex({bytes, len});
}

const std::map<std::string, std::string (*)(const Words &)> verbs{
    {"connect", connect},
    {"reconfigure", reconfigure},
    {"disconnect", disconnect},
    {"heartbeat", heartbeat},
    {"get_details", get_details},
    {"complete", end<thb_complete>},
    {"report_cancelled", end<thb_report_cancelled>},
    {"fail", fail},
    {"token_from_env", token_from_env},
};

std::string answer(const std::string &line) try {
    std::istringstream in(line);
    std::string verb, word;
    Words words;
    in >> verb;
    while (in >> word) words.push_back(word);
    return "ok" + verbs.at(verb)(words);
} catch (const Refused &refused) {
    const thb_error_t *error = refused.error();
    std::ostringstream told;
    told << "error " << thb_status_name(thb_error_code(error)) << ' ' << thb_error_grpc_code(error) << ' '
         << thb_error_is_retryable(error) << ' ' << thb_error_retry_after_ms(error) << ' ' << to_hex(refused.what());
    return told.str();
}

}  // namespace

int main() {
    if (thb_check_abi(THB_ABI_VERSION) != THB_OK) {
        std::cerr << "the library is not the header's\n";
        return 1;
    }
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(line) << std::endl;
}
