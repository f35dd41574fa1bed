/* A program without an activity in its environment. With the argument "connected" it connects to a server. With "forked" it has a
 * child. */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define INACTIVE "{\"from_env\":true,\"when_absent\":\"inactive\"}"
/* What these files, addresses and servers contain doesn't matter, because nothing is read or dialled. */
#define DIALS_NOTHING                                                                                        \
    "{\"when_absent\":\"inactive\",\"address\":\"no-such-host.invalid:7233\",\"namespace\":\"n\","         \
    "\"tls\":{\"server_ca_cert_path\":\"/no/such/file\"},\"codec_endpoint\":\"http://codec.invalid:1\"," \
    "\"metrics_address\":\"192.0.2.1:1\"}"

enum { SOON_MS = 20, MORE_THAN_THE_LIMIT = 3 << 20 };

static int descriptors(void) {
    DIR *folder = opendir("/proc/self/fd");
    int count = 0;
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

static thb_status_t open_with(const char *options, thb_activity_t *activity) {
    return thb_activity_open(NULL, 0, options, strlen(options), activity, err);
}

static thb_activity_t open_inactive(void) {
    thb_activity_t activity = 0;
    SUCCEEDS(open_with(INACTIVE, &activity));
    CHECK(activity > 0 && activity < (uint64_t)1 << 53);
    return activity;
}

static void info_contains(thb_activity_t activity, const char *text) {
    thb_text_t *info;
    SUCCEEDS(thb_activity_get_info(activity, &info, err));
    const char *found = strstr(thb_text_data(info, NULL), text);
    if (!found) fprintf(stderr, "%s has no %s\n", thb_text_data(info, NULL), text);
    CHECK(found);
    thb_text_free(info);
}

static void calls_do_nothing_and_succeed(thb_activity_t activity) {
    for (int round = 0; round < 2; round++) {
        uint32_t signals = POISON;
        SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "41", 2, &signals, err));
        CHECK(signals == 0);
        SUCCEEDS(thb_activity_touch(activity, &signals, err));
        SUCCEEDS(thb_activity_set_status(activity, "loading", 7, err));
        SUCCEEDS(thb_activity_set_status(activity, NULL, 0, err));
        SUCCEEDS(thb_activity_get_signals(activity, &signals, err));
        CHECK(signals == 0);
        thb_details_t *details;
        SUCCEEDS(thb_activity_get_details(activity, 0, &details, err));
        CHECK(details && thb_details_count(details) == 0);
        thb_details_free(details);
        SUCCEEDS(thb_activity_flush(activity, 0, err));
        SUCCEEDS(thb_activity_flush(activity, THB_FOREVER, err));
        SUCCEEDS(thb_activity_complete(activity, THB_ENCODING_JSON, "1", 1, 1000, err));
        SUCCEEDS(thb_activity_fail(activity, "{\"message\":\"no\"}", 16, 1000, err));
        SUCCEEDS(thb_activity_report_cancelled(activity, THB_ENCODING_NONE, NULL, 0, 1000, err));
    }
    info_contains(activity, "\"state\":\"inactive\"");
    info_contains(activity, "\"addressed_by\":null");
    info_contains(activity, "\"pending\":false");
    info_contains(activity, "\"next_beat_ms\":null");
}

static void mistakes_are_found(thb_activity_t activity) {
    static char large[MORE_THAN_THE_LIMIT];
    FAILS(THB_INVALID_ARGUMENT, thb_activity_heartbeat(activity, THB_ENCODING_JSON, "{", 1, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_heartbeat(activity, THB_ENCODING_NONE, NULL, 0, NULL, err));
    FAILS(THB_TOO_LARGE, thb_activity_heartbeat(activity, THB_ENCODING_BINARY, large, sizeof large, NULL, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_complete(activity, THB_ENCODING_JSON, "{", 1, 1000, err));
    FAILS(THB_TOO_LARGE, thb_activity_complete(activity, THB_ENCODING_BINARY, large, sizeof large, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_fail(activity, "{\"reason\":\"no\"}", 15, 1000, err));
    FAILS(THB_INVALID_ARGUMENT, thb_activity_flush(activity, UINT32_MAX - 1, err));
}

static void waits_end_by_their_timeouts(thb_activity_t activity) {
    uint32_t signals = POISON;
    SUCCEEDS(thb_activity_wait(activity, UINT32_MAX, 0, 0, &signals, err));
    SUCCEEDS(thb_activity_wait(activity, UINT32_MAX, 0, SOON_MS, &signals, err));
    CHECK(signals == 0);
    /* The end of a pause. */
    SUCCEEDS(thb_activity_wait(activity, THB_SIGNAL_PAUSED, THB_SIGNAL_PAUSED, THB_FOREVER, &signals, err));
    CHECK(signals == 0);

    thb_watch_t watch;
    thb_activity_t changed = POISON;
    SUCCEEDS(thb_watch_open(&watch, err));
    SUCCEEDS(thb_watch_add(watch, activity, UINT32_MAX, 7, err));
    SUCCEEDS(thb_watch_next(watch, SOON_MS, &changed, NULL, NULL, err));
    CHECK(changed == 0);
    SUCCEEDS(thb_watch_close(watch, err));
}

static void submissions_complete(void) {
    thb_queue_t queue;
    thb_completions_t *taken;
    thb_activity_t activity = open_inactive();
    SUCCEEDS(thb_queue_open(&queue, err));
    SUCCEEDS(thb_queue_submit_activity_get_details(queue, 0, activity, 1000, err));
    SUCCEEDS(thb_queue_submit_activity_flush(queue, 1, activity, 1000, err));
    SUCCEEDS(thb_queue_submit_activity_complete(queue, 2, activity, THB_ENCODING_JSON, "1", 1, 1000, err));
    SUCCEEDS(thb_queue_submit_activity_fail(queue, 3, activity, "{\"message\":\"no\"}", 16, 1000, err));
    SUCCEEDS(thb_queue_submit_activity_report_cancelled(queue, 4, activity, THB_ENCODING_NONE, NULL, 0, 1000, err));
    SUCCEEDS(thb_queue_submit_activity_close(queue, 5, activity, 1000, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_touch(activity, NULL, err));
    SUCCEEDS(thb_queue_next(queue, 16, 0, &taken, err));
    CHECK(thb_completions_count(taken) == 6);
    for (size_t at = 0; at < 6; at++) {
        CHECK(thb_completions_user_data(taken)[at] == at && is(THB_OK, thb_completions_statuses(taken)[at]));
        CHECK((thb_completions_details(taken, at) != NULL) == (at == 0));
    }
    thb_completions_free(taken);
    SUCCEEDS(thb_queue_close(queue, err));
}

static void handles_are_independent(void) {
    thb_activity_t one = open_inactive(), other = open_inactive();
    CHECK(one != other);
    SUCCEEDS(thb_activity_close(one, 0, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_close(one, 0, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_heartbeat(one, THB_ENCODING_JSON, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_heartbeat(other, THB_ENCODING_JSON, "1", 1, NULL, err));
    SUCCEEDS(thb_activity_close(other, 1000, err));
}

static void log_says_why_nothing_is_sent(void) {
    thb_text_t *record;
    SUCCEEDS(thb_activity_close(open_inactive(), 0, err));
    SUCCEEDS(thb_log_next(0, &record, err));
    CHECK(record && strstr(thb_text_data(record, NULL), "\"event\":\"inactive\""));
    thb_text_free(record);
}

static void every_call(void) {
    thb_activity_t activity = open_inactive();
    calls_do_nothing_and_succeed(activity);
    mistakes_are_found(activity);
    waits_end_by_their_timeouts(activity);
    SUCCEEDS(thb_activity_close(activity, 1000, err));
    submissions_complete();
    handles_are_independent();
}

/* A process that connected without an activity, or a child of it. */
static void process_is_inactive(void) {
    FAILS_BECAUSE(THB_NOT_CONNECTED, thb_heartbeat(TOKEN, TOKEN_LEN, THB_ENCODING_NONE, NULL, 0, 1000, NULL, err));
    CHECK(strstr(thb_error_message(error), "when_absent"));
    thb_error_free(error);
    thb_activity_t active;
    FAILS(THB_NOT_CONNECTED, thb_activity_open(TOKEN, TOKEN_LEN, NULL, 0, &active, err));
    FAILS(THB_ALREADY_CONNECTED, thb_connect(DIALS_NOTHING, strlen(DIALS_NOTHING), err));
    FAILS(THB_ALREADY_CONNECTED, thb_connect(NULL, 0, err));
    SUCCEEDS(thb_reconfigure("{\"api_key\":\"k\"}", 15, err));
    FAILS(THB_CONFIG, thb_reconfigure("{\"address\":\"a:1\"}", 17, err));
    FAILS(THB_CONFIG, thb_reconfigure("{\"api-key\":\"k\"}", 15, err));
    every_call();
    /* Before the first activity is open. */
    thb_watch_t watch;
    SUCCEEDS(thb_watch_open(&watch, err));
    SUCCEEDS(thb_watch_close(watch, err));
}

static void forked_child_is_inactive(void) {
    thb_activity_t of_parent = open_inactive();
    pid_t child = fork();
    if (child == 0) {
        FAILS(THB_FORKED, thb_activity_touch(of_parent, NULL, err));
        process_is_inactive();
        SUCCEEDS(thb_disconnect(0, err));
        _exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    SUCCEEDS(thb_activity_close(of_parent, 0, err));
}

static void disconnect_closes_the_handles(void) {
    thb_activity_t activity = open_inactive();
    SUCCEEDS(thb_disconnect(1000, err));
    FAILS(THB_INVALID_HANDLE, thb_activity_touch(activity, NULL, err));
}

static void broken_variables_are_mistakes(void) {
    static const char *const variables[][2] = {
        {"TEMPORAL_ACTIVITY_TASK_TOKEN", ""},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN", "not base64"},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", ""},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FILE", "/no/such/file"},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FD", ""},
        {"TEMPORAL_ACTIVITY_TASK_TOKEN_FD", "999"},
        {"TEMPORAL_ACTIVITY_ID", ""},
        {"TEMPORAL_ACTIVITY_WORKFLOW_ID", "w"},
        {"TEMPORAL_ACTIVITY_WORKFLOW_ID", ""},
        {"TEMPORAL_ACTIVITY_RUN_ID", "r"},
        {"TEMPORAL_ACTIVITY_RUN_ID", ""},
        {"TEMPORAL_ACTIVITY_ATTEMPT", "second"},
        {"TEMPORAL_ACTIVITY_HEARTBEAT_TIMEOUT_MS", "10s"},
        {"TEMPORAL_ACTIVITY_HEARTBEAT_DETAILS", "?"},
        {"TEMPORAL_ACTIVITY_AGE_MS", "-1"},
        {"TEMPORAL_ACTIVITY_DEADLINE_MS", "soon"},
        {"TEMPORAL_ACTIVITY_REQUIRE_ENCODED", "maybe"},
    };
    for (size_t at = 0; at < sizeof variables / sizeof *variables; at++) {
        thb_activity_t activity;
        setenv(variables[at][0], variables[at][1], 1);
        FAILS_BECAUSE(THB_CONFIG, open_with(INACTIVE, &activity));
        bool is_named = strstr(thb_error_message(error), variables[at][0]);
        if (!is_named) fprintf(stderr, "%s: %s\n", variables[at][0], thb_error_message(error));
        CHECK(is_named);
        thb_error_free(error);
        unsetenv(variables[at][0]);
    }
    /* An empty token isn't the absence of an activity for connect either. */
    setenv("TEMPORAL_ACTIVITY_TASK_TOKEN", "", 1);
    FAILS_BECAUSE(THB_CONFIG, thb_connect(DIALS_NOTHING, strlen(DIALS_NOTHING), err));
    CHECK(strstr(thb_error_message(error), "TEMPORAL_ACTIVITY_TASK_TOKEN is empty"));
    thb_error_free(error);
    unsetenv("TEMPORAL_ACTIVITY_TASK_TOKEN");
    FAILS(THB_CONFIG, thb_connect("{\"when_absent\":\"run\"}", 21, err));
    FAILS(THB_CONFIG, thb_connect("{\"when_absent\":\"inactive\",\"adress\":\"a:1\"}", 41, err));
}

/* Without a connection an open fails if there is an activity. */
static void given_activity_is_not_absent(void) {
    static const char with_ids[] = "{\"from_env\":true,\"when_absent\":\"inactive\",\"activity_id\":\"a\"}";
    thb_activity_t activity;
    FAILS(THB_NOT_CONNECTED, open_with(with_ids, &activity));
    FAILS(THB_NOT_CONNECTED, thb_activity_open(TOKEN, TOKEN_LEN, INACTIVE, strlen(INACTIVE), &activity, err));
    FAILS(THB_NOT_CONNECTED, open_with("{\"when_absent\":\"inactive\"}", &activity));
    FAILS(THB_CONFIG, open_with("{\"from_env\":true,\"when_absent\":\"error\"}", &activity));
    setenv("TEMPORAL_ACTIVITY_ID", "a", 1);
    FAILS(THB_NOT_CONNECTED, open_with(INACTIVE, &activity));
    unsetenv("TEMPORAL_ACTIVITY_ID");
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "connected") == 0) {
        SUCCEEDS(thb_connect(NULL, 0, err));
        every_call();
        thb_activity_t activity = open_inactive();
        SUCCEEDS(thb_activity_heartbeat(activity, THB_ENCODING_JSON, "1", 1, NULL, err));
        disconnect_closes_the_handles();
        FAILS(THB_INVALID_HANDLE, thb_activity_touch(activity, NULL, err));
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "forked") == 0) {
        SUCCEEDS(thb_connect(DIALS_NOTHING, strlen(DIALS_NOTHING), err));
        forked_child_is_inactive();
        return 0;
    }
    int before = descriptors();
    thb_watch_t watch;
    FAILS(THB_NOT_CONNECTED, thb_watch_open(&watch, err));
    log_says_why_nothing_is_sent();
    every_call();
    disconnect_closes_the_handles();
    given_activity_is_not_absent();
    broken_variables_are_mistakes();

    SUCCEEDS(thb_connect(DIALS_NOTHING, strlen(DIALS_NOTHING), err));
    process_is_inactive();
    disconnect_closes_the_handles();
    SUCCEEDS(thb_connect("{\"when_absent\":\"inactive\"}", 26, err));
    process_is_inactive();
    CHECK(descriptors() == before);
    return 0;
}
