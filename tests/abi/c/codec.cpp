// A codec of a C++ program, in builds with and without exceptions. The server acknowledges every request, and must get
// no value that contains "planted".
#include "temporal_heartbeat.hpp"

#include "check.h"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

static constexpr std::string_view token(TOKEN, TOKEN_LEN);
// A Payloads with the JSON text "planted".
static constexpr std::string_view planted_payloads =
    "\x0a\x23\x0a\x16\x0a\x08" "encoding\x12\x0ajson/plain\x12\x09\"planted\"";

// Compiled without exceptions.
thb_status_t heartbeat_of_other_build(const char *text);

#ifdef OTHER_BUILD
thb_status_t heartbeat_of_other_build(const char *text) { return thb::heartbeat(token, text).status(); }
#else

// Reverses the bytes of values.
class Reversing : public thb::PayloadCodec {
public:
    thb::Result<std::vector<thb::Payload>> encode(std::vector<thb::Payload> payloads) override {
        if (is_away) return thb::Error(THB_UNAVAILABLE, "the key server is away", true);
        for (thb::Payload &payload : payloads)
            payload = {{{"encoding", "binary/reversed"}, {"encoded", "1"}}, reversed(payload.serialize())};
        if (loses_one) payloads.pop_back();
        return payloads;
    }
    thb::Result<std::vector<thb::Payload>> decode(std::vector<thb::Payload> payloads) override {
        for (thb::Payload &payload : payloads) {
            if (payload.encoding() != "binary/reversed") continue;
            std::optional<thb::Payload> decoded = thb::Payload::parse(reversed(payload.data));
            if (!decoded) return thb::Error(THB_INVALID_ARGUMENT, "another codec has encoded it");
            payload = *std::move(decoded);
        }
        return payloads;
    }
    static std::string reversed(std::string_view bytes) { return std::string(bytes.rbegin(), bytes.rend()); }

    bool is_away = false, loses_one = false;
};

static std::string planted_details() { return thb::detail::to_base64(planted_payloads); }

static bool says(const thb::Outcome &outcome, std::string_view words) {
    return std::string_view(outcome.error().what()).find(words) != std::string_view::npos;
}

static void payloads_are_read_and_written() {
    const auto payloads = *thb::all_builds::parse(planted_payloads);
    CHECK(payloads.size() == 1 && payloads[0].encoding() == "json/plain" && payloads[0].data == "\"planted\"");
    CHECK(thb::all_builds::serialize(payloads) == planted_payloads);
    const std::string_view unknown = "\x18\x96\x01\x21" "12345678" "\x2d" "1234" "\x32\x01x";
    const std::string newer = std::string(unknown) + payloads[0].serialize();
    CHECK(thb::Payload::parse(newer)->serialize() == payloads[0].serialize() + std::string(unknown));
    CHECK(thb::Payload::parse("")->serialize().empty() && thb::Payload().encoding().empty());
    const std::string endless(10, '\xff');
    for (std::string_view invalid : {"\x0a", "\x12\x05x", "\x0a\x01\x0a", "\x13", "\x21" "1234567", endless.c_str()})
        CHECK(!thb::Payload::parse(invalid));
    for (std::string_view bytes : {"", "a", "ab", "abc", "abcd", "\xff\xfe"})
        CHECK(thb::detail::from_base64(' ' + thb::detail::to_base64(bytes) + '\n') == bytes);
    CHECK(thb::detail::to_base64("ab\xff") == "YWL/" && thb::detail::to_base64("a") == "YQ==");
    for (std::string_view invalid : {"YQ", "Y", "YW-_", "Y==="}) CHECK(!thb::detail::from_base64(invalid));
}

static thb::Failure planted_failure() {
    return thb::Failure("planted")
        .details({"planted", thb::Value::null()})
        .stack_trace("planted")
        .type("T")
        .cause(thb::Failure("planted").details({"planted"}));
}

static void single_calls_are_encoded() {
    CHECK(thb::heartbeat(token, "planted") && thb::heartbeat(token, thb::Value::object({{"planted", 1}})));
    CHECK(thb::heartbeat(token, thb::Value::binary("planted")));
    CHECK(thb::heartbeat(token, thb::Value::payloads(planted_payloads)));
    CHECK(thb::heartbeat(token, thb::Value::none()) && thb::heartbeat(token, thb::Value::null()));
    CHECK(heartbeat_of_other_build("planted") == THB_OK);
    CHECK(thb::complete(token, "planted") && thb::complete(token));
    CHECK(thb::report_cancelled(token, "planted"));
    CHECK(thb::fail(token, planted_failure().heartbeat_details({"planted"})));
    CHECK(thb::heartbeat(token, thb::Value::json("{\"planted")).status() == THB_INVALID_ARGUMENT);
    const auto text = thb::fail(token, thb::Failure("a").cause(thb::Failure::json(R"({"details": ["planted"]})")));
    CHECK(text.status() == THB_INVALID_ARGUMENT && says(text, "functions of Failure"));
}

static void activities_are_encoded_and_decoded() {
    const std::string options = R"({"heartbeat_timeout_ms": 30000, "initial_details" : ")" + planted_details() + "\"}";
    thb::Activity activity = *thb::Activity::open(token, options);
    thb::Details details = *activity.details();
    CHECK(details.text() == "planted" && details.size() == 1 && details.encoding(0) == std::string_view("json/plain"));
    // Passed on as they came.
    const auto held = *thb::all_builds::parse(details.payloads());
    CHECK(held.size() == 1 && held[0].encoding() == "binary/reversed");
    CHECK(activity.heartbeat(details) && activity.flush());
    CHECK(details.add(details) && details.add(thb::Value::json(details[0])) && details.size() == 3);
    CHECK(details.text(2) == "planted" && activity.heartbeat(details) && activity.flush());
    CHECK(activity.heartbeat("planted") && activity.flush());
    CHECK(activity.fail(planted_failure()) && activity.close());
    activity = *thb::Activity::open(token, R"({"initial_details": ""})");
    CHECK(activity.details()->empty() && activity.complete("planted"));
    CHECK(activity.close());
    for (const char *invalid : {R"({"initial_details": "?"})", R"({"initial_details": "Cg=="})",
                                R"({"initial_details": null})", R"({"initial_details": ")", R"({"initial_details":)"})
        CHECK(thb::Activity::open(token, invalid).status() == THB_CONFIG);
}

static void details_of_the_environment_are_encoded() {
    setenv("TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", planted_details().c_str(), 1);
    const thb::Activity activity = *thb::Activity::from_env(R"({"heartbeat_timeout_ms": 30000})");
    CHECK(activity.details()->text() == "planted" && activity.touch() && activity.flush());
}

static void submitted_calls_are_encoded_and_decoded() {
    const thb::Queue queue = *thb::Queue::open();
    const auto run = [&](auto future) {
        CHECK(*queue.run_one() == 1);
        return future.get();
    };
    CHECK(run(queue.heartbeat(token, "planted")) && run(queue.complete(token, "planted")));
    CHECK(run(queue.report_cancelled(token, "planted")) && run(queue.fail(token, planted_failure())));
    const std::string options = R"({"initial_details": ")" + planted_details() + "\"}";
    const thb::Activity activity = *thb::Activity::open(token, options);
    CHECK(run(queue.details(activity))->text() == "planted");
    CHECK(run(queue.complete(activity, "planted")));
}

static void references_and_encoded_values_are_left_alone() {
    const thb::Payload others[] = {
        {{{"encoding", "binary/other"}}, "x"},
        {{{"encoding", "json/external-storage-reference"}}, "{}"},
        {{{"encoding", "json/protobuf"}, {"messageType", "temporal.api.sdk.v1.ExternalStorageReference"}}, "{}"},
        {{{"encoding", "json/plain"}, {"__temporal_external_storage_reference", "true"}}, "{}"},
    };
    for (const thb::Payload &other : others) {
        const std::string bytes = thb::all_builds::serialize({other});
        thb::detail::CodecCalls calls(*thb::detail::connection_codec());
        const thb::Value value = calls.encoded(thb::Value::payloads(bytes));
        CHECK(!calls.error() && std::string_view(static_cast<const char *>(value.data()), value.size()) == bytes);
    }
}

static void an_activity_has_its_own_codec(const std::shared_ptr<Reversing> &codec) {
    const auto own = std::make_shared<Reversing>();
    codec->is_away = true;
    const thb::Activity activity = *thb::Activity::open(token, R"({"initial_details": ""})", own);
    CHECK(activity.heartbeat("planted") && activity.flush());
    own->is_away = true;
    codec->is_away = false;
    CHECK(activity.heartbeat("planted").status() == THB_UNAVAILABLE);
}

static void errors_of_the_codec_are_those_of_the_call(const std::shared_ptr<Reversing> &codec) {
    codec->is_away = true;
    const auto refused = thb::heartbeat(token, "planted");
    CHECK(refused.status() == THB_UNAVAILABLE && refused.error().retryable());
    CHECK(refused.error().what() == std::string_view("THB_UNAVAILABLE: the key server is away"));
    CHECK(thb::fail(token, "planted").status() == THB_UNAVAILABLE && thb::heartbeat(token, thb::Value::none()));
    const thb::Queue queue = *thb::Queue::open();
    CHECK(queue.heartbeat(token, "planted").get().status() == THB_UNAVAILABLE);
    codec->is_away = false;
    codec->loses_one = true;
    CHECK(says(thb::complete(token, "planted"), "another number of payloads"));
    codec->loses_one = false;

    const std::string undecodable = thb::all_builds::serialize({{{{"encoding", "binary/reversed"}}, "\x01\x0a"}});
    const thb::Activity activity =
        *thb::Activity::open(token, "{\"initial_details\": \"" + thb::detail::to_base64(undecodable) + "\"}");
    CHECK(says(activity.details(), "another codec has encoded it"));
    CHECK(says(activity.details(), "another codec has encoded it"));
    CHECK(queue.details(activity).number() != 0 && *queue.run_one() == 1);
}

#ifdef __cpp_exceptions
struct Throwing : Reversing {
    thb::Result<std::vector<thb::Payload>> encode(std::vector<thb::Payload>) override {
        if (kind == 0) throw std::runtime_error("no key");
        if (kind == 1) throw thb::Error(THB_PERMISSION_DENIED, "no key");
        throw 1;
    }
    int kind = 0;
};

static void exceptions_of_the_codec_are_errors_of_the_call() {
    const auto codec = std::make_shared<Throwing>();
    const thb::Activity activity = *thb::Activity::open(token, R"({"initial_details": ""})", codec);
    const thb_status_t wanted[] = {THB_INVALID_ARGUMENT, THB_PERMISSION_DENIED, THB_INVALID_ARGUMENT};
    for (codec->kind = 0; codec->kind < 3; ++codec->kind) {
        CHECK(is(wanted[codec->kind], activity.heartbeat("planted").status()));
        CHECK(says(activity.complete("planted"), codec->kind == 2 ? "the codec failed" : "no key"));
    }
}
#endif

static void a_connection_keeps_its_codec() {
    const auto other = std::make_shared<Reversing>();
    other->is_away = true;
    CHECK(thb::Client::connect({}, other).status() == THB_ALREADY_CONNECTED && thb::heartbeat(token, "planted"));
    CHECK(other.use_count() == 1);
}

int main() {
    payloads_are_read_and_written();
    const auto codec = std::make_shared<Reversing>();
    {
        // There is no server at this address, so each use of it would fail.
        setenv("TEMPORAL_CODEC_ENDPOINT", "http://127.0.0.1:1", 1);
        const std::string_view options =
            R"({"encode_common_attributes": true, "require_encoded": true, "compression": "none"})";
        const thb::Client client = *thb::Client::connect(options, codec);
        single_calls_are_encoded();
        activities_are_encoded_and_decoded();
        details_of_the_environment_are_encoded();
        submitted_calls_are_encoded_and_decoded();
        references_and_encoded_values_are_left_alone();
        an_activity_has_its_own_codec(codec);
        errors_of_the_codec_are_those_of_the_call(codec);
#ifdef __cpp_exceptions
        exceptions_of_the_codec_are_errors_of_the_call();
#endif
        a_connection_keeps_its_codec();
    }
    unsetenv("TEMPORAL_CODEC_ENDPOINT");
    {
        const thb::Client client = *thb::Client::connect();  // without a codec
        CHECK(thb::heartbeat(token, "readable"));
    }
    const thb::Queue queue = *thb::Queue::open();
    auto connecting = queue.connect(R"({"require_encoded": true, "compression": "none"})", {}, codec);
    CHECK(*queue.run_one() == 1);
    const thb::Client client = *connecting.get();
    CHECK(thb::fail(token, thb::Failure("a message").details({"planted"})));
    CHECK(thb::heartbeat(token, "planted"));
    return 0;
}
#endif
