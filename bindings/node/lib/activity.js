// An open activity: the library sends its heartbeats in the background.
'use strict';

const { setTimeout: sleep } = require('node:timers/promises');
const { SIGNALS } = require('./abi.js');
const { call, textBytes } = require('./library.js');
const { submitWithTimeout } = require('./queue.js');
const { base64, encoded, encodedFailure, encodedOptions } = require('./values.js');

const STOP_SIGNALS = SIGNALS.CANCEL_REQUESTED | SIGNALS.RESET | SIGNALS.GONE | SIGNALS.LEASE_LOST;
const WHILE_PAUSED = STOP_SIGNALS | SIGNALS.PAUSED;
const ALL_SIGNALS = 0xffff_ffff;
// The signals are read from memory, which takes less than a microsecond. A thread for each wait would cost more.
const POLL_MS = 20;
// The activity is over, closed, or closed by disconnect.
const OVER = ['THB_ENDED', 'THB_NOT_FOUND', 'THB_INVALID_HANDLE'];

class Cancelled extends Error {
  constructor(signals, reason) {
    const names = Object.keys(SIGNALS).filter((name) => signals & SIGNALS[name]);
    super(`the work should stop: ${names.join(', ')}${reason ? ` (${reason})` : ''}`);
    this.name = 'Cancelled';
    this.signals = signals;
    this.reason = reason;
  }
}

// An object that is collected before it is closed would let the library heartbeat for abandoned work.
const abandoned = new FinalizationRegistry((handle) => {
  process.emitWarning('an Activity was not closed: its heartbeats stop, and details that are not sent yet are lost');
  closeAtOnce(handle);
});

function closeAtOnce(handle) {
  try {
    call('thb_activity_close', handle, 0);
  } catch {
    // It is closed with any status.
  }
}

class Activity {
  #handle;
  #isClosed = false;
  #closeTimeoutMs;
  #failOnError;

  constructor(token, { closeTimeoutMs, failOnError = true, initialDetails, ...options } = {}) {
    const handle = [0];
    const seed = initialDetails && { initialDetails: initialDetails.length === 0 ? '' : base64(initialDetails) };
    const [text, length] = encodedOptions({ ...options, ...seed });
    call('thb_activity_open', ...tokenArguments(token), text, length, handle);
    this.#handle = handle[0];
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#failOnError = failOnError;
    abandoned.register(this, this.#handle, this);
  }

  static open(token, options) {
    return new Activity(token, options);
  }

  static fromEnv(options) {
    return new Activity(null, { ...options, fromEnv: true });
  }

  async details(options) {
    return (await this.#submit('get_details', [], options)).details;
  }

  heartbeat(value) {
    if (value === undefined) return this.touch();
    return this.#signals('thb_activity_heartbeat', ...encoded(value));
  }

  touch() {
    return this.#signals('thb_activity_touch');
  }

  setStatus(text) {
    const bytes = Buffer.from(text);
    call('thb_activity_set_status', this.#handle, bytes, bytes.length);
  }

  get signals() {
    return this.#signals('thb_activity_get_signals');
  }

  get info() {
    return JSON.parse(textBytes('thb_activity_get_info', this.#handle));
  }

  async wait({ mask = ALL_SIGNALS, known = 0, timeoutMs = Infinity, signal } = {}) {
    const end = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const signals = this.signals;
      const left = end - performance.now();
      if ((signals ^ known) & mask || left <= 0) return signals;
      await sleep(Math.min(left, POLL_MS));
    }
  }

  waitWhilePaused(options) {
    return this.wait({ ...options, mask: WHILE_PAUSED, known: SIGNALS.PAUSED });
  }

  get reason() {
    const { signals, cancel_reason: cancelReason, pause_reason: pauseReason } = this.info;
    if (signals & SIGNALS.CANCEL_REQUESTED) return cancelReason;
    return signals & SIGNALS.PAUSED ? pauseReason : null;
  }

  throwIfCancelled() {
    const signals = this.signals;
    if (signals & STOP_SIGNALS) throw new Cancelled(signals, this.reason);
  }

  async flush(options) {
    await this.#submit('flush', [], options);
  }

  async complete(result = null, options = undefined) {
    await this.#submit('complete', encoded(result), options);
  }

  async fail(failure, options) {
    await this.#submit('fail', encodedFailure(failure), options);
  }

  async reportCancelled(details, options) {
    await this.#submit('report_cancelled', encoded(details), options);
  }

  async close(options = { timeoutMs: this.#closeTimeoutMs }) {
    if (this.#isClosed) return;
    this.#isClosed = true;
    abandoned.unregister(this);
    if (options.timeoutMs === 0) return closeAtOnce(this.#handle);
    try {
      await this.#submit('close', [], options);
    } catch (error) {
      if (error.code !== 'THB_INVALID_HANDLE') throw error;
    }
  }

  async run(body) {
    let result;
    try {
      result = await body(this);
    } catch (error) {
      // The error of the body is more important than these.
      const warn = (reason) => process.emitWarning(`the activity could not be ended: ${reason.message}`);
      if (this.#failOnError) await this.#report(error).catch((reason) => OVER.includes(reason.code) || warn(reason));
      await this.close().catch(warn);
      throw error;
    }
    await this.close();
    return result;
  }

  async #report(error) {
    const signals = this.signals;
    if (signals & (SIGNALS.GONE | SIGNALS.LEASE_LOST)) return; // the server has ended this attempt, or soon will
    const isCancellation = error instanceof Cancelled || error?.name === 'AbortError' || error?.name === 'CancelledFailure';
    const options = { timeoutMs: this.#closeTimeoutMs };
    if (signals & SIGNALS.CANCEL_REQUESTED && isCancellation) await this.reportCancelled(undefined, options);
    else await this.fail(error, options);
  }

  #signals(name, ...args) {
    const signals = [0];
    call(name, this.#handle, ...args, signals);
    return signals[0];
  }

  #submit(name, args, options) {
    return submitWithTimeout(`activity_${name}`, [this.#handle, ...args], options);
  }
}

// Returns the bytes of a task token and their number. Without a token the ids name the activity.
function tokenArguments(token) {
  if (token === null || token === undefined) return [null, 0];
  if (!(token instanceof Uint8Array)) throw new TypeError(`a task token is a Uint8Array, not a ${typeof token}`);
  return [token, token.length];
}

module.exports = { Activity, Cancelled, STOP_SIGNALS, tokenArguments };
