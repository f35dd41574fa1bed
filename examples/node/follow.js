// Waits until its Activity is cancelled, and prints the reason. By the option followServer, a cancellation is noticed at
// once, not with the next heartbeat. Needs the package temporal-heartbeat (npm install).
'use strict';

const thb = require('temporal-heartbeat');

async function main() {
  await thb.connect();
  await thb.Activity.fromEnv({ followServer: true }).run(async (activity) => {
    console.log('waiting');
    const signals = await activity.wait({ mask: thb.STOP_SIGNALS }); // beside the work
    if (signals & thb.Signals.CANCEL_REQUESTED) {
      console.log('cancelled:', activity.reason);
      await activity.reportCancelled();
    }
  });
  await thb.disconnect();
}

main();
