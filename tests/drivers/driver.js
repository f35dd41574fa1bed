// The Node.js driver. README.md in this folder describes the protocol. Argument: the package.
'use strict';

const readline = require('node:readline');
const thb = require(process.argv[2]);

// The open activities, by the NAMEs of the protocol.
const activities = new Map();

const bytes = (word) => Buffer.from(word === '-' || word === '.' ? '' : word, 'hex');
const hex = (data) => Buffer.from(data).toString('hex') || '.';
const limit = (word) => ({ timeoutMs: word === 'forever' ? Infinity : Number(word) });

function value(word) {
  const [encoding, data] = word.split(':');
  if (encoding === 'json') return JSON.parse(bytes(data));
  return encoding === 'binary' ? bytes(data) : null;
}

function several(words) {
  if (words.length === 0) return undefined;
  return words.length === 1 ? value(words[0]) : thb.Payloads.of(...words.map(value));
}

function word(value) {
  if (value === null) return 'binary/null:.';
  if (value instanceof thb.EncodedValue) return `${value.encoding}:${hex(value.data)}`;
  return Buffer.isBuffer(value) ? `binary/plain:${hex(value)}` : `json/plain:${hex(JSON.stringify(value))}`;
}

function shown(details) {
  const recordedAt = details.recordedAt ? details.recordedAt.getTime() : 0;
  return [details.attempt, recordedAt, details.heartbeatTimeoutMs ?? -1, ...details.values.map(word)];
}

// Returns an object from JSON, with its keys in camel case.
function object(word) {
  return camelCased(JSON.parse(bytes(word).toString() || '{}'));
}

function camelCased(options) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) return options;
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()),
      /_headers$|^grpc_meta$/.test(name) ? value : camelCased(value),
    ]),
  );
}

const requests = {
  connect: (options) => thb.connect(object(options)),
  reconfigure: (options) => thb.reconfigure(object(options)),
  disconnect: (timeout) => thb.disconnect(limit(timeout)),
  heartbeat: async (token, timeout, ...values) => [
    await thb.heartbeat(bytes(token), several(values), { ...limit(timeout), clear: values.length === 0 }),
  ],
  get_details: async (token, timeout) => shown(await thb.getDetails(bytes(token), limit(timeout))),
  complete: (token, timeout, ...values) => thb.complete(bytes(token), several(values), limit(timeout)),
  fail: (token, timeout, failure) => thb.fail(bytes(token), object(failure), limit(timeout)),
  report_cancelled: (token, timeout, ...values) => thb.reportCancelled(bytes(token), several(values), limit(timeout)),
  token_from_env: () => [hex(thb.tokenFromEnv())],
  activity_open(name, token, options) {
    const given = object(options);
    activities.set(name, token === '-' ? thb.Activity.fromEnv(given) : thb.Activity.open(bytes(token), given));
  },
  activity_record: (name, ...values) => [activities.get(name).heartbeat(several(values))],
  activity_touch: (name) => [activities.get(name).touch()],
  activity_set_status: (name, text) => activities.get(name).setStatus(bytes(text).toString()),
  activity_signals: (name) => [activities.get(name).signals],
  activity_info: (name) => [hex(JSON.stringify(activities.get(name).info))],
  activity_details: async (name, timeout) => shown(await activities.get(name).details(limit(timeout))),
  activity_flush: (name, timeout) => activities.get(name).flush(limit(timeout)),
  activity_complete: (name, timeout, ...values) => activities.get(name).complete(several(values), limit(timeout)),
  activity_fail: (name, timeout, failure) => activities.get(name).fail(object(failure), limit(timeout)),
  activity_report_cancelled: (name, timeout, ...values) => activities.get(name).reportCancelled(several(values), limit(timeout)),
  activity_close: (name, timeout) => activities.get(name).close(limit(timeout)),
};

async function answer(line) {
  const [verb, ...words] = line.split(' ');
  try {
    return ['ok', ...((await requests[verb](...words)) ?? [])].join(' ');
  } catch (error) {
    if (!(error instanceof thb.HeartbeatError)) throw error;
    return ['error', error.code, -1, Number(error.retryable), error.retryAfterMs ?? 0, hex(error.message)].join(' ');
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(await answer(line));
}

main();
