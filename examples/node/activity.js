// Does the work of a Temporal Activity in Node.js. Needs koffi (npm install koffi) and the library:
//
//     node activity.js ITEMS
//
// Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
// finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.
'use strict';

const { promisify } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const koffi = require('koffi');

// Functions from temporal_heartbeat.h. koffi stores the value of an _Out_ pointer in an array of length 1.
const library = koffi.load(process.env.TEMPORAL_HEARTBEAT_LIBRARY ?? 'libtemporal_heartbeat.so.0');
koffi.opaque('thb_error_t');
koffi.opaque('thb_details_t');
const checkAbi = library.func('int32_t thb_check_abi(uint32_t abi)');
const statusName = library.func('const char *thb_status_name(int32_t status)');
const errorMessage = library.func('const char *thb_error_message(const thb_error_t *error)');
const errorFree = library.func('void thb_error_free(thb_error_t *error)');
const connect = awaited('thb_connect(const char *options, size_t options_len, _Out_ thb_error_t **error)');
const disconnect = library.func('int32_t thb_disconnect(uint32_t timeout_ms, thb_error_t **error)');
const open = direct(
  'thb_activity_open(const void *token, size_t token_len, const char *options, size_t options_len,' +
    ' _Out_ uint64_t *activity, _Out_ thb_error_t **error)',
);
const getDetails = awaited(
  'thb_activity_get_details(uint64_t activity, uint32_t timeout_ms, _Out_ thb_details_t **details,' +
    ' _Out_ thb_error_t **error)',
);
const heartbeat = direct(
  'thb_activity_heartbeat(uint64_t activity, int32_t encoding, const char *details, size_t details_len,' +
    ' _Out_ uint32_t *signals, _Out_ thb_error_t **error)',
);
const wait = awaited(
  'thb_activity_wait(uint64_t activity, uint32_t mask, uint32_t known, uint32_t timeout_ms, _Out_ uint32_t *signals,' +
    ' _Out_ thb_error_t **error)',
);
const complete = awaited(
  'thb_activity_complete(uint64_t activity, int32_t encoding, const char *result, size_t result_len,' +
    ' uint32_t timeout_ms, _Out_ thb_error_t **error)',
);
const reportCancelled = awaited(
  'thb_activity_report_cancelled(uint64_t activity, int32_t encoding, const char *details, size_t details_len,' +
    ' uint32_t timeout_ms, _Out_ thb_error_t **error)',
);
const fail = awaited(
  'thb_activity_fail(uint64_t activity, const char *failure, size_t failure_len, uint32_t timeout_ms,' +
    ' _Out_ thb_error_t **error)',
);
const detailsData = library.func('const void *thb_details_data(const thb_details_t *details, size_t index, _Out_ size_t *len)');
const detailsAttempt = library.func('int32_t thb_details_attempt(const thb_details_t *details)');
const detailsFree = library.func('void thb_details_free(thb_details_t *details)');

const ABI = 1;
const [NONE, JSON_PLAIN] = [0, 1];
const [CANCEL_REQUESTED, PAUSED] = [1, 2];
const STOP = 4 | 8 | 16; // RESET, GONE, LEASE_LOST: this attempt must end
const WHILE_PAUSED = PAUSED | CANCEL_REQUESTED | STOP; // while only PAUSED is set, the work waits
const TIMEOUT_MS = 10_000;

function must(status, [error]) {
  if (status === 0) return;
  const message = `${statusName(status)}: ${errorMessage(error)}`;
  errorFree(error);
  throw new Error(message);
}

// Wraps a function that never blocks. The error is its last argument.
function direct(prototype) {
  const call = library.func(`int32_t ${prototype}`);
  return (...args) => {
    const error = [null];
    must(call(...args, error), error);
  };
}

// Wraps a function that may block. It runs on a thread of koffi, so the event loop isn't blocked.
function awaited(prototype) {
  const call = promisify(library.func(`int32_t ${prototype}`).async);
  return async (...args) => {
    const error = [null];
    must(await call(...args, error), error);
  };
}

// Returns the last item that the previous attempt recorded, or 0.
async function lastItem(activity) {
  const [details, length] = [[null], [0]];
  await getDetails(activity, TIMEOUT_MS, details);
  const data = detailsData(details[0], 0, length);
  const text = data ? koffi.decode(data, 'char', Number(length[0])) : '0';
  if (!/^\d+$/.test(text)) throw new Error(`the previous attempt's details are not an item: ${text}`);
  const item = Number(text);
  console.log(`attempt ${detailsAttempt(details[0])} resumes after item ${item}`);
  detailsFree(details[0]);
  return item;
}

async function work(activity, items) {
  for (let item = (await lastItem(activity)) + 1; item <= items; item++) {
    await sleep(100); // the work
    console.log(`item ${item} done`);

    const signals = [0];
    heartbeat(activity, JSON_PLAIN, `${item}`, `${item}`.length, signals);
    while ((signals[0] & WHILE_PAUSED) === PAUSED) {
      await wait(activity, WHILE_PAUSED, PAUSED, TIMEOUT_MS, signals); // heartbeats continue
    }
    if (signals[0] & CANCEL_REQUESTED) {
      await reportCancelled(activity, NONE, null, 0, TIMEOUT_MS);
      return 'cancelled';
    }
    if (signals[0] & STOP) return 'stopped';
  }
  await complete(activity, JSON_PLAIN, `${items}`, `${items}`.length, TIMEOUT_MS);
  return 'completed';
}

async function main() {
  if (checkAbi(ABI) !== 0) throw new Error('the library has another ABI version than this program needs: install a matching library');
  await connect(null, 0);
  try {
    const activity = [0];
    const options = JSON.stringify({ from_env: true });
    open(null, 0, options, options.length, activity);
    try {
      console.log(await work(activity[0], Number(process.argv[2] ?? 20)));
    } catch (error) {
      // After this report the server retries at once, and shows the reason. It refuses the report if the attempt is over.
      const failure = Buffer.from(JSON.stringify({ message: error.message, type: error.name }));
      await fail(activity[0], failure, failure.length, TIMEOUT_MS).catch(() => {});
      throw error;
    }
  } finally {
    disconnect(TIMEOUT_MS, null); // sends the last record and closes the activity
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
