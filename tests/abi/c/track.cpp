// track of the C++ wrapper. The server requests the cancellation of the token with "cancelled", and pauses the one with
// "paused" for its first three beats.
#include "temporal_heartbeat.hpp"

#include <list>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#ifdef __cpp_lib_ranges
#include <ranges>
#endif

#include "check.h"

namespace thb = temporal_heartbeat;
using namespace std::chrono_literals;

// Keeps the JSON of each record.
class Recorder : public thb::PayloadCodec {
public:
    thb::Result<std::vector<thb::Payload>> encode(std::vector<thb::Payload> payloads) override {
        for (thb::Payload &payload : payloads) {
            records.push_back(payload.data);
            payload.metadata["original"] = payload.encoding();
            payload.metadata["encoding"] = "binary/recorded";
        }
        return payloads;
    }
    thb::Result<std::vector<thb::Payload>> decode(std::vector<thb::Payload> payloads) override {
        for (thb::Payload &payload : payloads) payload.metadata["encoding"] = payload.metadata["original"];
        return payloads;
    }

    std::vector<std::string> records;
};

// Returns a new task token, with this text in its workflow id.
static std::string token_of(std::string workflow) {
    static int number = 0;
    workflow += std::to_string(++number);
    return "\x0a\x02ns\x12" + std::string(1, static_cast<char>(workflow.size())) + workflow + "\x1a\x03run\x32\x01" "5";
}

// An activity with the details of the previous attempt, and its records.
struct Opened {
    explicit Opened(const std::vector<thb::Value> &values = {}, const std::string &token = token_of("wf")) {
        thb::Details details;
        for (const thb::Value &value : values) CHECK(details.add(value));
        const std::string options = "{\"heartbeat_timeout_ms\": 30000, \"cancel_poll_ms\": 100, \"initial_details\": \"" +
                                    thb::detail::to_base64(details.payloads()) + "\"}";
        activity = thb::Activity::open(token, options, recorder).value();
        recorder->records.clear();
    }
    bool recorded(const std::vector<std::string> &expected) const { return recorder->records == expected; }

    std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
    thb::Activity activity;
};

template <typename Tracked>
static std::string items_of(Tracked &&tracked) {
    std::ostringstream items;
    for (auto &&item : tracked) items << item << ' ';
    return items.str();
}

// Returns the words of the error that the loop throws before its first item.
template <typename Tracked>
static std::string refusal(Tracked &&tracked, thb_status_t status = THB_INVALID_ARGUMENT) {
    try {
        for (auto &&item : tracked) {
            static_cast<void>(item);
            CHECK(!"an item is handed out");
        }
    } catch (const thb::Error &thrown) {
        CHECK(is(status, thrown.status()));
        return thrown.what();
    }
    CHECK(!"this is reached");
    return {};
}
static bool has(const std::string &text, std::string_view part) { return text.find(part) != std::string::npos; }

// A range that is read once, with an end of another type.
struct Once {
    struct End {};
    struct Iterator {
        Once *once;
        char operator*() const { return once->text[once->at]; }
        Iterator &operator++() { return ++once->at, *this; }
        friend bool operator!=(const Iterator &iterator, End) { return iterator.once->at < iterator.once->text.size(); }
    };
    std::string text = "abcde";
    std::size_t at = 0;
    Iterator begin() { return {this}; }
    End end() { return {}; }
};

static void an_item_is_recorded_when_the_next_one_is_requested() {
    const Opened opened;
    std::vector<int> items = {0, 1, 2};
    for (int &item : thb::track(items, opened.activity)) {
        CHECK(opened.recorder->records.size() == static_cast<std::size_t>(item));
        item += 10;
    }
    CHECK(opened.recorded({"0", "1", "2"}) && items[2] == 12);
}

template <typename MakeRange>
static void are_skipped(MakeRange range) {
    {
        const Opened opened;
        CHECK(items_of(thb::track(range(), opened.activity)) == "a b c d e " && opened.recorded({"0", "1", "2", "3", "4"}));
    }
    {
        const Opened opened({2});
        CHECK(items_of(thb::track(range(), opened.activity)) == "d e " && opened.recorded({"3", "4"}));
    }
    {
        const Opened opened({4});
        CHECK(items_of(thb::track(range(), opened.activity)).empty() && opened.recorded({}));
    }
    for (const std::int64_t beyond : {std::int64_t(5), INT64_MAX - 1, INT64_MAX}) {
        const Opened opened({beyond});
        CHECK(has(refusal(thb::track(range(), opened.activity)), "but there are fewer items") && opened.recorded({}));
    }
}

static void items_that_are_done_are_skipped() {
    const std::string text = "abcde";
    const char array[] = {'a', 'b', 'c', 'd', 'e'};
    are_skipped([&] { return std::vector<char>(text.begin(), text.end()); });
    are_skipped([&] { return std::list<char>(text.begin(), text.end()); });
    are_skipped([&] { return std::set<char>(text.begin(), text.end()); });
    are_skipped([&]() -> const std::string & { return text; });
    are_skipped([&]() -> const char(&)[5] { return array; });
    are_skipped([] { return Once(); });
#ifdef __cpp_lib_ranges
    are_skipped([] { return std::views::iota('a', 'f'); });
    are_skipped([&] { return text | std::views::transform([](char letter) { return std::string(1, letter); }); });
#endif
}

static void numbers_are_skipped_at_once() {
    const std::int64_t many = 1'000'000'000'000'000;
    const Opened opened({many - 3});
    CHECK(items_of(thb::track(many, opened.activity)) == "999999999999998 999999999999999 ");
    const Opened none;
    CHECK(items_of(thb::track(0u, none.activity)).empty() && items_of(thb::track(-1, none.activity)).empty());
}

static void an_item_that_is_not_done_is_not_recorded() {
    const std::string items = "abc";
    {
        const Opened opened;
        for (char item : thb::track(items, opened.activity))
            if (item == 'c') break;
        CHECK(opened.recorded({"0", "1"}));
    }
    const Opened opened;
    try {
        for (char item : thb::track(items, opened.activity))
            if (item == 'b') throw std::runtime_error("of the body");
        CHECK(!"this is reached");
    } catch (const std::runtime_error &) {
    }
    CHECK(opened.recorded({"0"}));
}

static void details_of_another_form_are_refused() {
    const std::vector<thb::Value> foreign[] = {
        {-1}, {1.5}, {"1"}, {true}, {thb::Value::json("{\"item\":1}")}, {thb::Value::null()}, {thb::Value::binary("1")}, {1, 2},
    };
    for (const auto &details : foreign) {
        const Opened opened(details);
        const std::string words = refusal(thb::track(3, opened.activity));
        CHECK(has(words, "aren't the index of an item") && has(words, "reset --reset-heartbeats") && opened.recorded({}));
    }
}

struct File {
    std::string name;
    int size;
};

static void keys_are_recorded_and_found_again() {
    std::vector<File> files = {{"a", 1}, {"\"\xc3\xa9\"", 2}, {"c", 3}};
    {
        const Opened opened;
        for (File &file : thb::track(files, opened.activity, &File::name)) file.size = 0;
        CHECK(opened.recorded({"\"a\"", "\"\\\"\xc3\xa9\\\"\"", "\"c\""}));
    }
    const auto name_and_number = [](const File &file) { return thb::Value::array({file.name, 1}); };
    {
        // The same text, as Python writes it.
        const Opened opened({thb::Value::json("\"\\\"\\u00e9\\\"\"")});
        for (const File &file : thb::track(files, opened.activity, &File::name)) CHECK(file.name == "c");
        CHECK(opened.recorded({"\"c\""}));
    }
    {
        const Opened opened({thb::Value::json("[ \"a\", 1 ]")});
        std::list<File> list(files.begin(), files.end());
        for (const File &file : thb::track(std::move(list), opened.activity, name_and_number)) static_cast<void>(file);
        CHECK(opened.recorder->records.size() == 2);
    }
    {
        const Opened opened({"x"});
        const std::string words = refusal(thb::track(files, opened.activity, &File::name));
        CHECK(has(words, "no item has the key \"x\"") && has(words, "there are 3 items") && opened.recorded({}));
    }
    const Opened opened;
    try {
        for (const File &file : thb::track(files, opened.activity, [](const File &) { return thb::Value::binary("x"); }))
            static_cast<void>(file);
        CHECK(!"this is reached");
    } catch (const thb::Error &thrown) {
        CHECK(thrown.status() == THB_INVALID_ARGUMENT && opened.recorded({}));
    }
}

static void a_second_loop_is_refused() {
    const Opened opened;
    CHECK(items_of(thb::track(2, opened.activity)) == "0 1 ");
    CHECK(has(refusal(thb::track(2, opened.activity), THB_FAILED_PRECONDITION), "one such loop"));
}

static void a_cancellation_throws_after_the_record() {
    const Opened opened({}, token_of("cancelled"));
    std::int64_t handed_out = 0;
    try {
        for (std::int64_t item : thb::track(INT64_MAX, opened.activity)) handed_out = item + 1;
        CHECK(!"this is reached");
    } catch (const thb::Cancelled &cancelled) {
        CHECK(cancelled.signals().cancel_requested());
        CHECK(cancelled.what() == std::string_view("the activity's cancellation was requested"));
    }
    CHECK(opened.recorder->records.size() == static_cast<std::size_t>(handed_out));
}

static void the_loop_waits_while_the_activity_is_paused() {
    const Opened opened({}, token_of("paused"));
    int paused = 0;
    for (std::int64_t item : thb::track(INT64_MAX, opened.activity)) {
        static_cast<void>(item);
        paused += opened.activity.signals()->paused();  // the answer arrived after the record
        const std::string info = *opened.activity.info();
        if (info[thb::detail::find_member(info, "beats")] >= '4') break;
    }
    CHECK(paused <= 1);
}

static void records_are_flushed() {
    const Opened opened;
    int items = 0;
    for (int item : thb::track(3, opened.activity).flush_every(0ms)) {
        CHECK(has(*opened.activity.info(), "\"beats\":" + std::to_string(item) + ","));
        ++items;
    }
    CHECK(items == 3 && has(*opened.activity.info(), "\"beats\":3,"));
    const Opened rarely;
    CHECK(items_of(thb::track(3, rarely.activity).flush_every(1h)) == "0 1 2 ");
    CHECK(has(*rarely.activity.info(), "\"pending\":false"));  // after the last item
}

static void a_closed_activity_is_an_error() {
    Opened opened;
    try {
        for (int item : thb::track(3, opened.activity)) CHECK(item == 0 && opened.activity.close());
        CHECK(!"this is reached");
    } catch (const thb::Error &thrown) {
        CHECK(is(THB_INVALID_HANDLE, thrown.status()));
    }
}

int main() {
    const thb::Client client = *thb::Client::connect();
    an_item_is_recorded_when_the_next_one_is_requested();
    items_that_are_done_are_skipped();
    numbers_are_skipped_at_once();
    an_item_that_is_not_done_is_not_recorded();
    details_of_another_form_are_refused();
    keys_are_recorded_and_found_again();
    a_second_loop_is_refused();
    a_cancellation_throws_after_the_record();
    the_loop_waits_while_the_activity_is_paused();
    records_are_flushed();
    a_closed_activity_is_an_error();
    return 0;
}
