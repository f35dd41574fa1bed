'use strict';

const { SIGNALS } = require('./lib/abi.js');
const { Activity, Cancelled, STOP_SIGNALS, tokenArguments } = require('./lib/activity.js');
const { HeartbeatError, call, load, native, textBytes } = require('./lib/library.js');
const { submit, submitWithTimeout } = require('./lib/queue.js');
const { Details, EncodedValue, Payloads, encoded, encodedFailure, encodedOptions } = require('./lib/values.js');

async function connect({ signal, ...options } = {}) {
  await submit('connect', encodedOptions(options), signal);
}

function reconfigure(options) {
  call('thb_reconfigure', ...encodedOptions(options));
}

async function disconnect(options) {
  await submitWithTimeout('disconnect', [], options);
}

async function heartbeat(token, details, { clear = false, ...options } = {}) {
  if ((details === undefined) !== clear) {
    throw new TypeError('a heartbeat without details erases those on the server: pass details, or { clear: true } without details');
  }
  return (await submitWithTimeout('heartbeat', [...tokenArguments(token), ...encoded(details)], options)).signals;
}

async function getDetails(token, options) {
  return (await submitWithTimeout('get_details', tokenArguments(token), options)).details;
}

async function complete(token, result = null, options = undefined) {
  await submitWithTimeout('complete', [...tokenArguments(token), ...encoded(result)], options);
}

async function fail(token, failure, options) {
  await submitWithTimeout('fail', [...tokenArguments(token), ...encodedFailure(failure)], options);
}

async function reportCancelled(token, details, options) {
  await submitWithTimeout('report_cancelled', [...tokenArguments(token), ...encoded(details)], options);
}

const tokenFromEnv = () => textBytes('thb_token_from_env');
const metrics = () => textBytes('thb_get_metrics').toString();
const version = () => native('thb_version')();
const Signals = Object.freeze(SIGNALS);

// Plain names, so that `import { connect } from 'temporal-heartbeat'` finds them.
module.exports = {
  Activity,
  Cancelled,
  Details,
  EncodedValue,
  HeartbeatError,
  Payloads,
  STOP_SIGNALS,
  Signals,
  complete,
  connect,
  disconnect,
  fail,
  getDetails,
  heartbeat,
  load,
  metrics,
  reconfigure,
  reportCancelled,
  tokenFromEnv,
  version,
};
