// Does the work of a Temporal Activity in Node.js. Needs the package temporal-heartbeat (npm install):
//
//     node activity.js ITEMS
//
// Reads the task token from TEMPORAL_ACTIVITY_TASK_TOKEN and the server's address from TEMPORAL_ADDRESS. Records each
// finished item. If the process is killed, the Activity's next attempt resumes after the last item that the server has.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const thb = require('temporal-heartbeat');

// Returns the last item that the previous attempt recorded, or 0.
async function lastItem(activity) {
  const { values, attempt } = await activity.details();
  const item = values[0] ?? 0;
  if (!Number.isInteger(item)) throw new Error(`the previous attempt's details are not an item: ${JSON.stringify(item)}`);
  console.log(`attempt ${attempt} resumes after item ${item}`);
  return item;
}

async function work(activity, items) {
  for (let item = (await lastItem(activity)) + 1; item <= items; item++) {
    await sleep(100); // the work
    console.log(`item ${item} done`);

    activity.heartbeat(item);
    await activity.waitWhilePaused(); // heartbeats continue
    activity.throwIfCancelled();
  }
  await activity.complete(items);
}

async function main(items) {
  await thb.connect();
  try {
    await thb.Activity.fromEnv().run((activity) => work(activity, items));
    console.log('completed');
  } catch (error) {
    if (!(error instanceof thb.Cancelled)) throw error;
    console.log(error.signals & thb.Signals.CANCEL_REQUESTED ? 'cancelled' : 'stopped');
  } finally {
    await thb.disconnect();
  }
}

main(Number(process.argv[2] ?? 20)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
