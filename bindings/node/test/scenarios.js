// Runs one scenario on the activity of the environment, and prints what it observes: tests/e2e/test_node_ruby.py.
'use strict';

const { once } = require('node:events');
const { readdirSync } = require('node:fs');
const { setFlagsFromString } = require('node:v8');
const { Worker } = require('node:worker_threads');
const thb = require('..');

const print = (...values) => console.log(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '));
const codeOf = async (call) => {
  try {
    await call();
    return 'THB_OK';
  } catch (error) {
    return error instanceof thb.HeartbeatError ? error.code : error.name;
  }
};

const scenarios = {
  async values(token) {
    const sent = [1.5, null, 'ü', [true], { a: { b: 1 } }];
    print(await thb.heartbeat(token, thb.Payloads.of(...sent, Buffer.from([0, 255]))));
    const details = await thb.getDetails(token);
    print(details.values.slice(0, 5), details.values[5].toString('hex'));
    print(details.attempt, Math.abs(Date.now() - details.recordedAt) < 60_000, details.heartbeatTimeoutMs);
    await thb.heartbeat(token, details);
    const unreadable = Buffer.from('0a140a120a08656e636f64696e671206617574682f31', 'hex');
    await thb.heartbeat(token, new thb.Payloads(unreadable));
    print((await thb.getDetails(token)).values[0].encoding);
    print(await codeOf(() => thb.heartbeat(token)), await codeOf(() => thb.heartbeat(token, 1, { clear: true })));
    await thb.heartbeat(token, undefined, { clear: true });
    print((await thb.getDetails(token)).values);
    await thb.complete(token, { done: true });
  },

  async errors(token) {
    const activity = thb.Activity.open(token, { initialDetails: [] });
    print(await codeOf(() => thb.Activity.open(token)));
    print(await codeOf(() => thb.heartbeat(token, 1)));
    print(await codeOf(() => thb.connect()));
    print(await codeOf(() => activity.complete(() => 1)), await codeOf(() => thb.complete('token')));
    print(await codeOf(() => activity.details({ timeoutMs: -1 })), await codeOf(() => thb.Activity.open(token, { plse: true })));
    print((await activity.details()).values, activity.info.state);
    await activity.complete('done');
    print(await codeOf(() => activity.heartbeat(1)), await codeOf(() => activity.complete()));
    await activity.close();
    await activity.close();
    print(await codeOf(() => activity.signals), await codeOf(() => thb.heartbeat(token, 1)));
  },

  async cancelled(token) {
    const activity = thb.Activity.open(token, { heartbeatTimeoutMs: 60_000, followServer: true });
    await activity.run(async () => {
      print(await activity.wait({ timeoutMs: 30 }));
      print('open', activity.reason);
      print(await activity.wait({ mask: thb.Signals.CANCEL_REQUESTED }));
      print(await codeOf(() => activity.throwIfCancelled()), activity.reason);
      try {
        activity.throwIfCancelled();
      } catch (error) {
        print(error.message, error.reason);
      }
      await activity.reportCancelled({ cleaned: 'up' });
    });
  },

  async stalled(token) {
    const activity = thb.Activity.open(token, { stallTimeoutMs: 300, stallAction: 'fail' });
    activity.setStatus('läuft');
    print(activity.info.status, await codeOf(() => activity.setStatus('x'.repeat(4097))));
    await activity.wait({ mask: thb.Signals.GONE });
    print(await codeOf(() => activity.heartbeat(1)));
    await activity.close();
  },

  async failed(token) {
    const error = Object.assign(new TypeError('no such item'), { cause: new Error('the reason') });
    const activity = thb.Activity.open(token, { closeTimeoutMs: 20_000 });
    print(
      await codeOf(() =>
        activity.run(() => {
          activity.heartbeat(7);
          throw error;
        }),
      ),
    );
  },

  async failedFinally(token) {
    await thb.fail(token, { message: 'give up', type: 'Final', nonRetryable: true, details: [1, 'two'], cause: new Error('why') });
  },

  async abandoned(token) {
    process.removeAllListeners('warning');
    process.on('warning', (warning) => print(warning.message));
    setFlagsFromString('--expose-gc');
    const collect = require('node:vm').runInNewContext('gc');
    (() => thb.Activity.open(token))();
    while ((await codeOf(() => thb.getDetails(token).then(() => thb.heartbeat(token, 1)))) === 'THB_ALREADY_OPEN') collect();
    await new Promise(setImmediate);
  },

  async interrupted(token) {
    await thb.disconnect();
    const began = performance.now();
    const signal = AbortSignal.timeout(50);
    print(await codeOf(() => thb.connect({ address: '127.0.0.1:1', connectTimeoutMs: 60_000, signal })), performance.now() - began < 30_000);
  },

  async exits(token) {
    await connectToNothing();
    thb.heartbeat(token, 1, { timeoutMs: Infinity });
    process.exit();
  },

  async inactive() {
    await thb.connect({ whenAbsent: 'inactive', tls: { serverCaCertPath: '/no/such/file' } });
    const activity = thb.Activity.fromEnv({ whenAbsent: 'inactive' });
    await activity.run(async () => {
      print((await activity.details()).values, activity.heartbeat({ item: 41 }), await activity.waitWhilePaused());
      print(await activity.wait({ timeoutMs: 1 }), activity.info.state);
      for (let count = 0; count < 2; count++) await activity.complete('done');
    });
    print(await codeOf(() => thb.heartbeat(Buffer.from('token'), 1)), await codeOf(() => activity.heartbeat(1)));
    process.env.TEMPORAL_ACTIVITY_TASK_TOKEN = '';
    print(await codeOf(() => thb.Activity.fromEnv({ whenAbsent: 'inactive' })));
    await thb.disconnect();
  },

  async workers(token) {
    const run = (work) => new Worker(`const thb = require('${require.resolve('..')}'); ${work}`, { eval: true });
    const call = `thb.getDetails(Buffer.from('${token.toString('base64')}', 'base64'))`;
    const descriptors = () => readdirSync('/dev/fd').length;
    await once(run(call), 'exit');
    const before = descriptors();
    for (let count = 0; count < 5; count++) await once(run(call), 'exit');
    print(descriptors() - before);

    await connectToNothing();
    const waiting = run(`thb.heartbeat(Buffer.from('token'), 1, { timeoutMs: Infinity }); require('worker_threads').parentPort.postMessage('')`);
    await once(waiting, 'message');
    print(await waiting.terminate());
  },
};

// Connects to a port at which no server listens, so that calls wait until their timeouts.
async function connectToNothing() {
  await thb.disconnect();
  await thb.connect({ address: '127.0.0.1:1', lazy: true });
}

async function main(scenario) {
  if (scenario === 'inactive') return scenarios.inactive();
  await thb.connect();
  await scenarios[scenario](thb.tokenFromEnv());
  await thb.disconnect();
}

main(process.argv[2]);
