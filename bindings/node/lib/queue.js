// Calls of the library as promises. Any number of calls may be in flight, and all share one thread of koffi: it waits in
// thb_queue_next, because a descriptor can't be polled in plain JavaScript.
'use strict';

const { setImmediate: turn } = require('node:timers/promises');
const { call, callOnThread, errorOf, koffi, native } = require('./library.js');
const { Details } = require('./values.js');

const TIMEOUT_MS = 10_000;
const FOREVER = 0xffff_ffff;
const MOST = 1024; // completions that are taken at once
// How long the thread waits at a time. Node.js waits for the thread when the process exits or a worker is terminated.
const WAIT_MS = 100;

let queue;
let last = 0;
let isTaking = false;
const calls = new Map(); // by their numbers: how to settle the promise of a call

// Submits a call, and returns a promise of { signals, details }.
function submit(name, args, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    queue ??= opened();
    const number = ++last;
    try {
      call(`thb_queue_submit_${name}`, queue, number, ...args);
    } catch (error) {
      if (!isTaking) close();
      throw error;
    }
    const abort = () => call('thb_queue_cancel', queue, number);
    signal?.addEventListener('abort', abort);
    const settle = (error, result) => {
      signal?.removeEventListener('abort', abort);
      if (error) reject(signal?.aborted ? signal.reason : error);
      else resolve(result);
    };
    calls.set(number, settle);
    if (!isTaking) take();
  });
}

// Submits a call whose last argument is the timeout.
function submitWithTimeout(name, args, { timeoutMs = TIMEOUT_MS, signal } = {}) {
  return submit(name, [...args, milliseconds(timeoutMs)], signal);
}

function milliseconds(timeoutMs) {
  if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) throw new RangeError(`timeoutMs is ${timeoutMs}: it must be a number from 0`);
  return timeoutMs === Infinity ? FOREVER : Math.ceil(timeoutMs);
}

function opened() {
  const out = [0];
  call('thb_queue_open', out);
  return out[0];
}

// Settles promises while calls are in flight. Nothing waits otherwise, so that the program can end. The queue is closed then:
// a worker that is terminated can't close it.
async function take() {
  isTaking = true;
  try {
    while (calls.size > 0) {
      const taken = [null];
      await callOnThread('thb_queue_next', queue, MOST, WAIT_MS, taken);
      try {
        settleAll(taken[0]);
      } finally {
        native('thb_completions_free')(taken[0]);
      }
      if (calls.size === 0) await turn(); // the functions that awaited the calls may make the next ones
    }
  } catch (error) {
    for (const settle of calls.values()) settle(error);
    calls.clear();
  } finally {
    isTaking = false;
    close();
  }
}

function close() {
  try {
    call('thb_queue_close', queue);
  } catch {
    // It is invalid already.
  }
  queue = undefined;
}

function settleAll(completions) {
  if (!completions) return; // the time is over
  const count = Number(native('thb_completions_count')(completions));
  const numbers = koffi.decode(native('thb_completions_user_data')(completions), 'uint64_t', count);
  const statuses = koffi.decode(native('thb_completions_statuses')(completions), 'int32_t', count);
  const signals = koffi.decode(native('thb_completions_signals')(completions), 'uint32_t', count);
  for (let at = 0; at < count; at++) {
    const number = Number(numbers[at]);
    const settle = calls.get(number);
    calls.delete(number);
    if (statuses[at]) {
      settle(errorOf(statuses[at], native('thb_completions_error')(completions, at)));
      continue;
    }
    const details = native('thb_completions_details')(completions, at);
    settle(null, { signals: signals[at], details: details && new Details(details) });
  }
}

module.exports = { milliseconds, submit, submitWithTimeout };
