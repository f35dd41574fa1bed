// Does the work of a Temporal Activity in Node.js. Needs koffi (npm install) and the library:
//
//     node activity.js ITEMS
//
// Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
// finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { awaited, connect, direct, disconnect, koffi, library, TIMEOUT_MS } = require('./library.js');

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

const [NONE, JSON_PLAIN] = [0, 1];
const [CANCEL_REQUESTED, PAUSED] = [1, 2];
const STOP = 4 | 8 | 16; // RESET, GONE, LEASE_LOST: this attempt must end
const WHILE_PAUSED = PAUSED | CANCEL_REQUESTED | STOP; // while only PAUSED is set, the work waits

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
  await connect();
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
