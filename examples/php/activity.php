<?php
/* Does the work of a Temporal Activity in PHP. Needs the FFI extension and the library:
 *
 *     php -d ffi.enable=1 activity.php ITEMS
 *
 * Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
 * finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.
 */

/* Declarations copied from temporal_heartbeat.h. (For all of them: cc -E -P temporal_heartbeat.h) */
const DECLARATIONS = <<<'C'
typedef int32_t thb_status_t;
typedef int32_t thb_encoding_t;
typedef uint64_t thb_activity_t;
typedef struct thb_error_t thb_error_t;
typedef struct thb_details_t thb_details_t;

thb_status_t thb_check_abi(uint32_t abi);
const char *thb_status_name(thb_status_t status);
const char *thb_error_message(const struct thb_error_t *error);
void thb_error_free(struct thb_error_t *error);

thb_status_t thb_connect(const char *options_json, size_t options_len, struct thb_error_t **error_out);
thb_status_t thb_disconnect(uint32_t timeout_ms, struct thb_error_t **error_out);

thb_status_t thb_activity_open(const void *token, size_t token_len, const char *options_json, size_t options_len,
                               thb_activity_t *activity_out, struct thb_error_t **error_out);
thb_status_t thb_activity_get_details(thb_activity_t activity, uint32_t timeout_ms, struct thb_details_t **details_out,
                                      struct thb_error_t **error_out);
thb_status_t thb_activity_heartbeat(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                    size_t details_len, uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_wait(thb_activity_t activity, uint32_t mask, uint32_t known_signals, uint32_t timeout_ms,
                               uint32_t *signals_out, struct thb_error_t **error_out);
thb_status_t thb_activity_complete(thb_activity_t activity, thb_encoding_t encoding, const void *result,
                                   size_t result_len, uint32_t timeout_ms, struct thb_error_t **error_out);
thb_status_t thb_activity_report_cancelled(thb_activity_t activity, thb_encoding_t encoding, const void *details,
                                           size_t details_len, uint32_t timeout_ms, struct thb_error_t **error_out);

thb_status_t thb_activity_fail(thb_activity_t activity, const char *failure_json, size_t failure_len, uint32_t timeout_ms,
                               struct thb_error_t **error_out);

const void *thb_details_data(const struct thb_details_t *details, size_t index, size_t *len_out);
int32_t thb_details_attempt(const struct thb_details_t *details);
void thb_details_free(struct thb_details_t *details);
C;

const ABI = 1, NONE = 0, JSON = 1, CANCEL_REQUESTED = 1, PAUSED = 2;
const STOP = 4 | 8 | 16; // RESET, GONE, LEASE_LOST: this attempt must end
const WHILE_PAUSED = PAUSED | CANCEL_REQUESTED | STOP; // while only PAUSED is set, the work waits
const TIMEOUT_MS = 10_000;

$thb = FFI::cdef(DECLARATIONS, getenv('TEMPORAL_HEARTBEAT_LIBRARY') ?: 'libtemporal_heartbeat.so.0');

/* Calls a function of the library with error_out as its last argument. Throws an exception with the error's message. */
function call(string $name, ...$arguments): void
{
    global $thb;
    $error = $thb->new('thb_error_t *');
    $status = $thb->{"thb_$name"}(...$arguments, ...[FFI::addr($error)]);
    if ($status !== 0) {
        $message = "{$thb->thb_status_name($status)}: {$thb->thb_error_message($error)}";
        $thb->thb_error_free($error);
        throw new RuntimeException($message);
    }
}

/* Returns the last item that the previous attempt recorded, or 0. */
function last_item(int $activity): int
{
    global $thb;
    [$details, $len] = [$thb->new('thb_details_t *'), $thb->new('size_t')];
    call('activity_get_details', $activity, TIMEOUT_MS, FFI::addr($details));
    $data = $thb->thb_details_data($details, 0, FFI::addr($len));
    $text = $data === null ? '0' : FFI::string($data, $len->cdata);
    if (!ctype_digit($text)) {
        throw new RuntimeException("the previous attempt's details are not an item: $text");
    }
    $item = (int) $text;
    echo "attempt {$thb->thb_details_attempt($details)} resumes after item $item\n";
    $thb->thb_details_free($details);
    return $item;
}

function work(int $activity, int $items): string
{
    global $thb;
    $signals = $thb->new('uint32_t');
    for ($item = last_item($activity) + 1; $item <= $items; $item++) {
        usleep(100_000); // the work
        echo "item $item done\n";

        call('activity_heartbeat', $activity, JSON, "$item", strlen("$item"), FFI::addr($signals));
        while (($signals->cdata & WHILE_PAUSED) === PAUSED) { // heartbeats continue
            call('activity_wait', $activity, WHILE_PAUSED, PAUSED, TIMEOUT_MS, FFI::addr($signals));
        }
        if ($signals->cdata & CANCEL_REQUESTED) {
            call('activity_report_cancelled', $activity, NONE, null, 0, TIMEOUT_MS);
            return 'cancelled';
        }
        if ($signals->cdata & STOP) {
            return 'stopped';
        }
    }
    call('activity_complete', $activity, JSON, "$items", strlen("$items"), TIMEOUT_MS);
    return 'completed';
}

if ($thb->thb_check_abi(ABI) !== 0) {
    fwrite(STDERR, "the library has another ABI version than this program needs: install a matching library\n");
    exit(1);
}
try {
    call('connect', null, 0);
    $activity = $thb->new('thb_activity_t');
    $options = '{"from_env": true}';
    call('activity_open', null, 0, $options, strlen($options), FFI::addr($activity));
    try {
        echo work($activity->cdata, (int) ($argv[1] ?? 20)), "\n";
    } catch (Throwable $why) {
        // After this report the server retries at once, and shows the reason. It refuses the report if the attempt is over.
        $failure = json_encode(['message' => $why->getMessage(), 'type' => get_class($why)]);
        $thb->thb_activity_fail($activity->cdata, $failure, strlen($failure), TIMEOUT_MS, null);
        throw $why;
    }
} finally {
    $thb->thb_disconnect(TIMEOUT_MS, null); // sends the last record and closes the activity
}
