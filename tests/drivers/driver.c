/* The C driver. README.md in this folder describes the protocol. */
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "temporal_heartbeat.h"

enum { MAX_WORDS = 32 };

/* The values of outputs before a call, which show whether the call wrote them. */
static const uint32_t POISON = 0xDEADBEEFu;
static char poison_target;
#define POISONED ((void *)&poison_target)

/* Whether the call passes NULL for signals_out and error_out. */
static bool bare;

/* ---- answers ---- */

/* Buffers the answer, because a later check may still find a broken rule. */
static FILE *reply;

static void print_bytes(FILE *out, const void *data, size_t len) {
    const unsigned char *byte = data;
    if (len == 0) fputc('.', out);
    for (size_t i = 0; i < len; i++) fprintf(out, "%02x", byte[i]);
}

/* Reports a broken rule of the ABI or a malformed request, and exits. */
static _Noreturn void broken(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs("broken ", stdout);
    print_bytes(stdout, text, strlen(text));
    putchar('\n');
    fflush(stdout);
    exit(3);
}

/* Returns true on success. On failure, answers and frees the error. Checks the error in both cases. */
static bool succeeded(thb_status_t status, thb_error_t *error) {
    if (bare && error != POISONED) broken("an error was written where none was wanted");
    if (bare && status != THB_OK) fprintf(reply, "error %s -1 0 0 .", thb_status_name(status));
    if (bare) return status == THB_OK;
    if (status == THB_OK) {
        if (error != NULL) broken("THB_OK left an error behind");
        return true;
    }
    if (error == NULL || error == POISONED) broken("%s came without an error", thb_status_name(status));
    if (thb_error_code(error) != status)
        broken("the error says %s, the call %s", thb_status_name(thb_error_code(error)), thb_status_name(status));
    const char *message = thb_error_message(error);
    if (message == NULL || *message == '\0') broken("%s came without a message", thb_status_name(status));
    fprintf(reply, "error %s %" PRId32 " %" PRId32 " %" PRId64 " ", thb_status_name(status), thb_error_grpc_code(error),
           thb_error_is_retryable(error), thb_error_retry_after_ms(error));
    print_bytes(reply, message, strlen(message));
    thb_error_free(error);
    return false;
}

static void answer(thb_status_t status, thb_error_t *error) {
    if (succeeded(status, error)) fputs("ok", reply);
}

/* ---- words ---- */

struct bytes {
    void *data;
    size_t len;
};

struct value {
    thb_encoding_t encoding;
    struct bytes bytes;
};

/* The buffers into which the words of the current request were decoded. */
static void *owned[MAX_WORDS];
static size_t owned_count;

static void free_owned(void) {
    while (owned_count > 0) free(owned[--owned_count]);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    broken("'%c' is no hexadecimal digit", c);
}

static struct bytes parse_bytes(const char *word) {
    const char *at = strchr(word, '@');
    size_t digits = word[0] == '.' ? 0 : at ? (size_t)(at - word) : strlen(word);
    struct bytes bytes = {NULL, 0};
    if (word[0] != '-') {
        unsigned char *data = malloc(digits / 2 + 1);
        if (data == NULL || owned_count == MAX_WORDS) broken("no room");
        owned[owned_count++] = data;
        for (size_t i = 0; i < digits / 2; i++)
            data[i] = (unsigned char)(hex_digit(word[2 * i]) << 4 | hex_digit(word[2 * i + 1]));
        bytes.data = data;
        bytes.len = digits / 2;
    }
    if (at != NULL) bytes.len = (size_t)strtoull(at + 1, NULL, 10);
    return bytes;
}

static struct value parse_value(char *word) {
    static const char *const names[] = {"none", "json", "binary", "null", "payloads"};
    char *colon = strchr(word, ':');
    if (colon == NULL) broken("'%s' is no value", word);
    *colon = '\0';
    struct value value = {0, parse_bytes(colon + 1)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0) {
            value.encoding = (thb_encoding_t)i;
            return value;
        }
    value.encoding = (thb_encoding_t)strtol(word, NULL, 10);
    return value;
}

static uint32_t parse_timeout(const char *word) {
    return strcmp(word, "forever") == 0 ? THB_FOREVER : (uint32_t)strtoul(word, NULL, 10);
}

/* Passes one value directly, no value as THB_ENCODING_NONE, and several values through thb_details_t, which the caller frees.
 * Returns false when building the details failed; then the request is answered. */
static bool parse_values(char **words, size_t count, struct value *out, thb_details_t **details_out) {
    *details_out = NULL;
    *out = (struct value){THB_ENCODING_NONE, {NULL, 0}};
    if (count == 1) *out = parse_value(words[0]);
    if (count <= 1) return true;

    thb_details_t *details = POISONED;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_details_new(&details, &error);
    for (size_t i = 0; i < count && status == THB_OK; i++) {
        struct value value = parse_value(words[i]);
        error = POISONED;
        status = thb_details_add(details, value.encoding, value.bytes.data, value.bytes.len, &error);
    }
    if (!succeeded(status, error)) {
        thb_details_free(details);
        return false;
    }
    out->encoding = THB_ENCODING_PAYLOADS;
    out->bytes.data = (void *)(uintptr_t)thb_details_payloads(details, &out->bytes.len);
    *details_out = details;
    return true;
}

/* ---- requests ---- */

struct request {
    char *verb;
    char **words; /* after the verb */
    size_t count;
};

static thb_error_t **wanted(thb_error_t **error) {
    return bare ? NULL : error;
}

static void connect_(const struct request *request) {
    struct bytes options = parse_bytes(request->words[0]);
    thb_error_t *error = POISONED;
    thb_status_t status = thb_connect(options.data, options.len, wanted(&error));
    answer(status, error);
}

static void reconfigure(const struct request *request) {
    struct bytes options = parse_bytes(request->words[0]);
    thb_error_t *error = POISONED;
    thb_status_t status = thb_reconfigure(options.data, options.len, wanted(&error));
    answer(status, error);
}

static void disconnect(const struct request *request) {
    thb_error_t *error = POISONED;
    thb_status_t status = thb_disconnect(parse_timeout(request->words[0]), wanted(&error));
    answer(status, error);
}

static void heartbeat(const struct request *request) {
    struct bytes token = parse_bytes(request->words[0]);
    uint32_t timeout = parse_timeout(request->words[1]);
    struct value value;
    thb_details_t *details;
    if (!parse_values(request->words + 2, request->count - 2, &value, &details)) return;

    uint32_t signals = POISON;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_heartbeat(token.data, token.len, value.encoding, value.bytes.data, value.bytes.len,
                                        timeout, bare ? NULL : &signals, wanted(&error));
    if (succeeded(status, error)) {
        if (!bare && signals == POISON) broken("THB_OK left signals_out as it was");
        fprintf(reply, "ok %" PRIu32, bare ? 0 : signals);
    } else if (signals != POISON) {
        broken("a failure wrote signals_out");
    }
    thb_details_free(details);
}

/* Returns the details that a call has output, or NULL; then the request is answered. */
static thb_details_t *checked_details(thb_status_t status, thb_details_t *details, thb_error_t *error) {
    if (succeeded(status, error)) {
        if (details == NULL || details == POISONED) broken("THB_OK came without details");
        return details;
    }
    if (details != NULL) broken("a failure left details_out other than NULL");
    return NULL;
}

/* Returns the server's details, or NULL; then the request is answered. */
static thb_details_t *fetch_details(const struct request *request) {
    struct bytes token = parse_bytes(request->words[0]);
    thb_details_t *details = POISONED;
    thb_error_t *error = POISONED;
    thb_status_t status =
        thb_get_details(token.data, token.len, parse_timeout(request->words[1]), &details, wanted(&error));
    return checked_details(status, details, error);
}

/* Answers with the details, and frees them. NULL: the request is answered already. */
static void answer_details(thb_details_t *details) {
    if (details == NULL) return;
    fprintf(reply, "ok %" PRId32 " %" PRId64 " %" PRId64, thb_details_attempt(details),
           thb_details_recorded_at_unix_ms(details), thb_details_heartbeat_timeout_ms(details));
    size_t count = thb_details_count(details), len = 1;
    for (size_t i = 0; i < count; i++) {
        const void *data = thb_details_data(details, i, &len);
        fprintf(reply, " %s:", thb_details_encoding(details, i));
        print_bytes(reply, data, len);
    }
    if (thb_details_data(details, count, &len) != NULL || len != 0) broken("there is data beyond the last value");
    if (thb_details_encoding(details, count) == NULL) broken("the encoding beyond the last value is NULL");
    thb_details_free(details);
}

static void get_details(const struct request *request) {
    answer_details(fetch_details(request));
}

static void get_payloads(const struct request *request) {
    thb_details_t *details = fetch_details(request);
    if (details == NULL) return;
    size_t len;
    const void *payloads = thb_details_payloads(details, &len);
    fputs("ok ", reply);
    print_bytes(reply, payloads, len);
    thb_details_free(details);
}

/* The common signature of thb_complete and thb_report_cancelled. */
typedef thb_status_t ending(const void *token, size_t token_len, thb_encoding_t encoding, const void *data,
                            size_t data_len, uint32_t timeout_ms, thb_error_t **error_out);

static void end(const struct request *request, ending *call) {
    struct bytes token = parse_bytes(request->words[0]);
    uint32_t timeout = parse_timeout(request->words[1]);
    struct value value;
    thb_details_t *details;
    if (!parse_values(request->words + 2, request->count - 2, &value, &details)) return;
    thb_error_t *error = POISONED;
    thb_status_t status =
        call(token.data, token.len, value.encoding, value.bytes.data, value.bytes.len, timeout, wanted(&error));
    answer(status, error);
    thb_details_free(details);
}

static void complete(const struct request *request) {
    end(request, thb_complete);
}

static void report_cancelled(const struct request *request) {
    end(request, thb_report_cancelled);
}

static void fail(const struct request *request) {
    struct bytes token = parse_bytes(request->words[0]);
    uint32_t timeout = parse_timeout(request->words[1]);
    struct bytes failure = parse_bytes(request->words[2]);
    thb_error_t *error = POISONED;
    thb_status_t status = thb_fail(token.data, token.len, failure.data, failure.len, timeout, wanted(&error));
    answer(status, error);
}

static void answer_token(thb_status_t status, thb_text_t *token, thb_error_t *error) {
    if (succeeded(status, error)) {
        size_t len;
        const char *data = thb_text_data(token, &len);
        fputs("ok ", reply);
        print_bytes(reply, data, len);
        thb_text_free(token);
    } else if (token != NULL) {
        broken("a failure left token_out other than NULL");
    }
}

static void token_from_env(const struct request *request) {
    (void)request;
    thb_text_t *token = POISONED;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_token_from_env(&token, wanted(&error));
    answer_token(status, token, error);
}

static void token_from_ids(const struct request *request) {
    struct bytes ids = parse_bytes(request->words[0]);
    uint32_t timeout = parse_timeout(request->words[1]);
    thb_text_t *token = POISONED;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_token_from_ids((const char *)ids.data, ids.len, timeout, &token, wanted(&error));
    answer_token(status, token, error);
}

/* ---- requests for an open activity ---- */

/* The open activities, by the NAMEs of the protocol. */
static struct {
    char name[32];
    thb_activity_t handle;
} activities[MAX_WORDS];
static size_t activity_count;

static thb_activity_t named(const struct request *request) {
    for (size_t i = 0; i < activity_count; i++)
        if (strcmp(activities[i].name, request->words[0]) == 0) return activities[i].handle;
    broken("no activity is named '%s'", request->words[0]);
}

/* The options are a JSON object. Without a token they get `from_env`. */
static void activity_open(const struct request *request) {
    struct bytes token = parse_bytes(request->words[1]), given = parse_bytes(request->words[2]);
    char options[4096];
    const char *from_env = token.data == NULL ? "\"from_env\":true" : "";
    const char *comma = token.data == NULL && given.len > 2 ? "," : "";
    int len = given.len < 2 ? snprintf(options, sizeof options, "{%s}", from_env)
                            : snprintf(options, sizeof options, "{%s%s%.*s", from_env, comma, (int)given.len - 1,
                                       (const char *)given.data + 1);
    if (len < 0 || (size_t)len >= sizeof options || activity_count == MAX_WORDS) broken("no room");
    thb_activity_t handle = 0;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_activity_open(token.data, token.len, options, (size_t)len, &handle, wanted(&error));
    if (status == THB_OK) {
        snprintf(activities[activity_count].name, sizeof activities->name, "%s", request->words[0]);
        activities[activity_count++].handle = handle;
    }
    answer(status, error);
}

static void activity_record(const struct request *request) {
    thb_activity_t activity = named(request);
    struct value value;
    thb_details_t *details;
    if (!parse_values(request->words + 1, request->count - 1, &value, &details)) return;
    uint32_t signals = POISON;
    thb_error_t *error = POISONED;
    thb_status_t status = thb_activity_heartbeat(activity, value.encoding, value.bytes.data, value.bytes.len,
                                                 bare ? NULL : &signals, wanted(&error));
    if (succeeded(status, error)) fprintf(reply, "ok %" PRIu32, bare ? 0 : signals);
    thb_details_free(details);
}

static void activity_details(const struct request *request) {
    thb_details_t *details = POISONED;
    thb_error_t *error = POISONED;
    thb_status_t status =
        thb_activity_get_details(named(request), parse_timeout(request->words[1]), &details, wanted(&error));
    answer_details(checked_details(status, details, error));
}

static void activity_flush(const struct request *request) {
    thb_error_t *error = POISONED;
    thb_status_t status = thb_activity_flush(named(request), parse_timeout(request->words[1]), wanted(&error));
    answer(status, error);
}

/* The common signature of thb_activity_complete and thb_activity_report_cancelled. */
typedef thb_status_t activity_ending(thb_activity_t activity, thb_encoding_t encoding, const void *data,
                                     size_t data_len, uint32_t timeout_ms, thb_error_t **error_out);

static void activity_end(const struct request *request, activity_ending *call) {
    thb_activity_t activity = named(request);
    uint32_t timeout = parse_timeout(request->words[1]);
    struct value value;
    thb_details_t *details;
    if (!parse_values(request->words + 2, request->count - 2, &value, &details)) return;
    thb_error_t *error = POISONED;
    thb_status_t status =
        call(activity, value.encoding, value.bytes.data, value.bytes.len, timeout, wanted(&error));
    answer(status, error);
    thb_details_free(details);
}

static void activity_complete(const struct request *request) {
    activity_end(request, thb_activity_complete);
}

static void activity_report_cancelled(const struct request *request) {
    activity_end(request, thb_activity_report_cancelled);
}

static void activity_fail(const struct request *request) {
    uint32_t timeout = parse_timeout(request->words[1]);
    struct bytes failure = parse_bytes(request->words[2]);
    thb_error_t *error = POISONED;
    thb_status_t status = thb_activity_fail(named(request), failure.data, failure.len, timeout, wanted(&error));
    answer(status, error);
}

static void activity_close(const struct request *request) {
    thb_error_t *error = POISONED;
    thb_status_t status = thb_activity_close(named(request), parse_timeout(request->words[1]), wanted(&error));
    answer(status, error);
}

static const struct {
    const char *verb;
    size_t least_words;
    void (*run)(const struct request *);
} VERBS[] = {
    {"connect", 1, connect_},
    {"reconfigure", 1, reconfigure},
    {"disconnect", 1, disconnect},
    {"heartbeat", 2, heartbeat},
    {"get_details", 2, get_details},
    {"get_payloads", 2, get_payloads},
    {"complete", 2, complete},
    {"report_cancelled", 2, report_cancelled},
    {"fail", 3, fail},
    {"token_from_env", 0, token_from_env},
    {"token_from_ids", 2, token_from_ids},
    {"activity_open", 3, activity_open},
    {"activity_record", 2, activity_record},
    {"activity_details", 2, activity_details},
    {"activity_flush", 2, activity_flush},
    {"activity_complete", 2, activity_complete},
    {"activity_fail", 3, activity_fail},
    {"activity_report_cancelled", 2, activity_report_cancelled},
    {"activity_close", 2, activity_close},
};

static void handle(char *line) {
    char *words[MAX_WORDS];
    size_t count = 0;
    char *rest = NULL;
    for (char *word = strtok_r(line, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
        if (count == MAX_WORDS) broken("too many words");
        words[count++] = word;
    }
    size_t first = 0;
    bare = count > 0 && strcmp(words[0], "bare") == 0;
    if (bare) first = 1;
    if (first == count) broken("a request without a verb");

    struct request request = {words[first], words + first + 1, count - first - 1};
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        if (strcmp(request.verb, VERBS[i].verb) == 0 && request.count >= VERBS[i].least_words) {
            VERBS[i].run(&request);
            return;
        }
    broken("unknown or too short request '%s'", request.verb);
}

int main(void) {
    if (thb_check_abi(THB_ABI_VERSION) != THB_OK) broken("the library is of another ABI version than the header");
    char *line = NULL, *text = NULL;
    size_t capacity = 0, length = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        reply = open_memstream(&text, &length);
        if (reply == NULL) broken("no room");
        handle(line);
        fclose(reply);
        puts(text);
        fflush(stdout);
        free(text);
        free_owned();
    }
    free(line);
    return 0;
}
