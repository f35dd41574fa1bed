// The C++ wrapper, in builds with and without exceptions. The server acknowledges every beat.
// Before the header, because std::quoted must not hide the header's own function.
#include <iomanip>

#include "temporal_heartbeat.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "check.h"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

static constexpr std::string_view token(TOKEN, TOKEN_LEN);
static constexpr std::string_view unseeded = R"({"initial_details": "", "heartbeat_timeout_ms": 30000})";

template <typename T>
constexpr bool moves_only = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                            std::is_nothrow_destructible_v<T> && !std::is_copy_constructible_v<T>;
static_assert(moves_only<thb::Client> && moves_only<thb::Activity> && moves_only<thb::Watch> && moves_only<thb::Details>);
static_assert(std::is_nothrow_copy_constructible_v<thb::Error>, "it may be copied while it is thrown");
static_assert(thb::Signals(THB_SIGNAL_PAUSED | THB_SIGNAL_GONE).gone() && !thb::Signals().any());

static thb::Activity open() { return *thb::Activity::open(token, unseeded); }

static bool is_closed(const thb::Activity &activity) {
    return activity.handle() == 0 && activity.heartbeat(1).status() == THB_INVALID_HANDLE &&
           activity.touch().status() == THB_INVALID_HANDLE && activity.signals().status() == THB_INVALID_HANDLE &&
           activity.wait().status() == THB_INVALID_HANDLE && activity.details().status() == THB_INVALID_HANDLE &&
           activity.info().status() == THB_INVALID_HANDLE && activity.flush().status() == THB_INVALID_HANDLE &&
           activity.complete().status() == THB_INVALID_HANDLE && activity.fail("late").status() == THB_INVALID_HANDLE &&
           activity.report_cancelled().status() == THB_INVALID_HANDLE;
}

static void result_holds_a_value_or_an_error() {
    thb::Activity activity = open();
    const auto recorded = activity.heartbeat(thb::Value::array({4, 1}));
    CHECK(recorded && recorded.status() == THB_OK && !recorded->any() && !recorded.error());

    const auto refused = activity.heartbeat(thb::Value::json("{"));
    CHECK(!refused && refused.status() == THB_INVALID_ARGUMENT);
    CHECK(std::string_view(refused.error().what()).substr(0, 22) == "THB_INVALID_ARGUMENT: ");
    CHECK(!refused.error().retryable() && refused.error().grpc_code() == -1 && !refused.error().retry_after());
    CHECK(activity.flush(0ms).error().status() == THB_TIMEOUT && activity.flush(0ms).error().retryable());
#ifdef __cpp_exceptions
    try {
        refused.value();
        CHECK(!"this is reached");
    } catch (const std::exception &thrown) {
        CHECK(std::string_view(thrown.what()) == refused.error().what());
    }
    try {
        activity.close().value();
        activity.flush().value();
        CHECK(!"this is reached");
    } catch (const thb::Error &thrown) {
        CHECK(thrown.status() == THB_INVALID_HANDLE);
    }
#endif
}

static void moving_transfers_the_handle() {
    thb::Activity first = open();
    thb::Activity second = std::move(first);
    CHECK(is_closed(first) && second.heartbeat(1));
    first = std::move(second);
    CHECK(is_closed(second) && first.heartbeat(2));
    thb::Activity &same = first;
    first = std::move(same);
    CHECK(first.heartbeat(3) && first.flush());
    CHECK(is_closed(thb::Activity()));
}

static void assigning_closes_the_previous_handle() {
    thb::Activity activity = open();
    const thb_activity_t before = activity.handle();
    CHECK(thb::Activity::open(token, unseeded).status() == THB_ALREADY_OPEN);
    activity = thb::Activity();
    CHECK(is_closed(activity));
    activity = open();
    CHECK(activity.signals() && activity.handle() != before);
}

static void closing_again_is_no_error() {
    thb::Activity activity = open();
    CHECK(activity.close() && is_closed(activity) && activity.close() && activity.close(0ms));
    CHECK(thb::Activity().close());
    CHECK(open().signals());
    CHECK(open().signals());  // the destructor of the previous one closed it
}

static void close_wakes_waiting_threads() {
    thb::Activity activity = open();
    std::atomic<bool> waits{false};
    thb_status_t woken = THB_OK;
    std::thread waiter([&] {
        waits = true;
        woken = activity.wait(thb::forever).status();
    });
    while (!waits) std::this_thread::yield();
    CHECK(activity.close());
    waiter.join();
    CHECK(woken == THB_INVALID_HANDLE);
}

static void destroying_in_a_child_keeps_the_parents_activity_open() {
    thb::Activity activity = open();
    const pid_t child = fork();
    if (child == 0) {
        const bool forked = activity.touch().status() == THB_FORKED;
        activity = thb::Activity();
        _exit(forked ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(activity.heartbeat(1) && activity.flush());
}

static void values_keep_their_encoding() {
    thb::Details details;
    CHECK(details.empty() && details.payloads().empty() && !details.integer() && !details.recorded_at());
    const std::string text = "\"text\"";
    CHECK(details.add(41) && details.add(INT64_MIN) && details.add(UINT64_MAX) && details.add(thb::Value::json("[1]")));
    CHECK(details.add(text) && details.add(thb::Value::json("null")) && details.add(thb::Value::null()));
    CHECK(details.add(thb::Value::binary("\0\xff", 2)) && details.add(thb::Value::binary(text)));
    CHECK(details.add(thb::Value::none()).status() == THB_INVALID_ARGUMENT && details.size() == 9);
    CHECK(details.integer() == 41 && details.integer(1) == INT64_MIN && !details.integer(2) && !details.integer(3));
    CHECK(details[2] == "18446744073709551615" && details[4] == R"("\"text\"")" && details[9].empty());
    CHECK(details[7] == std::string_view("\0\xff", 2) && details.encoding(7) == std::string_view("binary/plain"));
    CHECK(details.encoding(6) == std::string_view("binary/null"));
    CHECK(details.attempt() == 0 && !details.heartbeat_timeout());

    thb::Details all;
    CHECK(all.add(details) && all.size() == 9 && all.payloads() == details.payloads());
    thb::Details moved = std::move(all);
    CHECK(moved.size() == 9 && all.empty() && all.add(1) && all.size() == 1);

    thb::Activity activity = open();
    CHECK(activity.details()->empty() && activity.heartbeat(moved) && activity.flush());
    CHECK(activity.heartbeat(thb::Value::none()).status() == THB_INVALID_ARGUMENT);
    CHECK(activity.info()->find("\"beats\":1") != std::string::npos);
    CHECK(is(THB_OK, activity.complete(thb::Value::json("[9]")).status()) && is(THB_ENDED, activity.heartbeat(1).status()));
    CHECK(activity.signals());
}

static std::string json_of(const thb::Value &value) { return {static_cast<const char *>(value.data()), value.size()}; }

static void values_are_written_as_json_and_read_back() {
    CHECK(json_of(0.5) == "0.5" && json_of(-7) == "-7" && json_of(true) == "true" && json_of(2.0f) == "2");
    CHECK(json_of("a\"b\\c\n\x01") == R"("a\"b\\c\u000a\u0001")" && json_of("é") == "\"é\"");
    CHECK(json_of(thb::Value::object({{"item", 41}, {"name", "a"}, {"list", thb::Value::array({1, 2.5, false})}})) ==
          R"({"item":41,"name":"a","list":[1,2.5,false]})");
    CHECK(json_of(thb::Value::object({})) == "{}" && json_of(thb::Value::array({thb::Value::null()})) == "[null]");

    thb::Details details;
    const std::string text = "a\"b\\c\n\x01é/";
    CHECK(details.add(0.1) && details.add(false) && details.add(text) && details.add(thb::Value::binary("1")));
    CHECK(details.add(thb::Value::json(R"("\u00e9\ud83d\ude00\ud83d\/\t")")) && details.add(1e300));
    CHECK(details.number() == 0.1 && details.number(5) == 1e300 && details.boolean(1) == false && details.text(2) == text);
    CHECK(details.text(4) == "é\xf0\x9f\x98\x80\xef\xbf\xbd/\t");
    CHECK(!details.number(1) && !details.number(3) && !details.boolean() && !details.text() && !details.text(9));
    for (const thb::Value &value : {thb::Value(0.0 / 0.0), thb::Value::array({thb::Value::binary("x")})})
        CHECK(details.add(value).status() == THB_INVALID_ARGUMENT);
}

static void failures_are_a_message_and_more() {
    CHECK(thb::Failure("it \"broke\"").json() == R"({"message":"it \"broke\""})");
    CHECK(thb::Failure(std::exception()).cause("why").benign().json().find(R"(,"cause":{"message":"why"},"category":"benign"})") !=
          std::string::npos);
    const auto failure = thb::Failure("a").type("T").non_retryable().details({1, "b"}).next_retry_delay(2s);
    CHECK(failure.json() ==
          R"({"message":"a","type":"T","non_retryable":true,"details":[1,"b"],"next_retry_delay_ms":2000})");
    CHECK(thb::fail(token, failure) && thb::fail(token, thb::Failure("x").heartbeat_details({41}).source("s").stack_trace("t")));
    CHECK(thb::fail(token, thb::Failure("x").next_retry_delay(-1s)).status() == THB_INVALID_ARGUMENT);
}

static void options_for_an_activity_from_the_environment_are_added() {
    for (const char *options : {"", "{}", " { } ", R"({"stall_timeout_ms": 60000})"}) {
        const auto activity = thb::Activity::from_env(options);
        CHECK(activity);
    }
    for (const char *options : {"{", "[]", "no JSON", R"({"from_env": true})"})
        CHECK(thb::Activity::from_env(options).status() == THB_CONFIG);
    CHECK(*thb::token_from_env() == token);
}

static void metrics_and_log_records_are_returned() {
    CHECK(thb::metrics()->find("temporal_request{namespace=\"default\"") != std::string::npos);
    CHECK(thb::next_log(10s)->find("\"event\":\"connected\"") != std::string::npos);
    while (!thb::next_log(0s)->empty()) continue;
}

static void timeouts_are_durations() {
    using thb::detail::milliseconds;
    CHECK(milliseconds(-1s) == 0 && milliseconds(0ms) == 0 && milliseconds(2s) == 2000);
    CHECK(milliseconds(thb::Timeout(INT32_MAX)) == INT32_MAX && milliseconds(std::chrono::hours(1000)) == THB_FOREVER);
    CHECK(milliseconds(thb::forever) == THB_FOREVER);
}

static void one_call_needs_no_handle() {
    CHECK(!thb::heartbeat(token, 41)->any() && thb::heartbeat(token, thb::Value::none()));
    CHECK(thb::heartbeat(token, 41, 0ms).status() == THB_TIMEOUT);
    CHECK(thb::complete(token) && thb::complete(token, 1) && thb::fail(token, "") && thb::report_cancelled(token));
    CHECK(thb::fail(token, thb::Failure::json("{")).status() == THB_INVALID_ARGUMENT && thb::get_details("").status() == THB_INVALID_ARGUMENT);
}

static void watch_reports_any_activity() {
    thb::Watch watch = *thb::Watch::open();
    thb::Activity activity = open();
    CHECK(watch.add(activity, 7) && watch.next(0ms)->activity == 0);
    thb::Watch moved = std::move(watch);
    CHECK(watch.next().status() == THB_INVALID_HANDLE && moved.next(0ms) && *moved.open_fd() >= 0);
    CHECK(moved.close() && moved.close() && moved.add(activity).status() == THB_INVALID_HANDLE);
}

static void a_client_ends_with_its_scope() {
    {
        thb::Client client = *thb::Client::connect();
        CHECK(thb::Client::connect().status() == THB_ALREADY_CONNECTED);
        thb::Client moved = std::move(client);
        CHECK(client.disconnect() && thb::Client::connect().status() == THB_ALREADY_CONNECTED);
        client = std::move(moved);
    }
    CHECK(thb::heartbeat(token, 41).status() == THB_NOT_CONNECTED);
    CHECK(thb::Activity::open(token).status() == THB_NOT_CONNECTED && thb::Client().disconnect());
    CHECK(thb::Client::connect("{").status() == THB_CONFIG);
}

int main() {
    a_client_ends_with_its_scope();
    const thb::Client client = *thb::Client::connect();
    result_holds_a_value_or_an_error();
    moving_transfers_the_handle();
    assigning_closes_the_previous_handle();
    closing_again_is_no_error();
    close_wakes_waiting_threads();
    destroying_in_a_child_keeps_the_parents_activity_open();
    values_keep_their_encoding();
    values_are_written_as_json_and_read_back();
    failures_are_a_message_and_more();
    options_for_an_activity_from_the_environment_are_added();
    timeouts_are_durations();
    one_call_needs_no_handle();
    watch_reports_any_activity();
    metrics_and_log_records_are_returned();
    return 0;
}
