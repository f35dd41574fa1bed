// Asynchronous calls as promises. Any number of calls may be in flight, and all share one thread of koffi: it waits in
// thb_queue_next, because a descriptor can't be polled in plain JavaScript.
'use strict';

const { awaited, direct, failure, koffi, library, TIMEOUT_MS } = require('./library.js');

koffi.opaque('thb_completions_t');
const open = direct('thb_queue_open(_Out_ uint64_t *queue, _Out_ thb_error_t **error)');
const close = direct('thb_queue_close(uint64_t queue, _Out_ thb_error_t **error)');
const cancel = direct('thb_queue_cancel(uint64_t queue, uint64_t user_data, _Out_ thb_error_t **error)');
const next = awaited(
  'thb_queue_next(uint64_t queue, size_t max, uint32_t timeout_ms, _Out_ thb_completions_t **completions,' +
    ' _Out_ thb_error_t **error)',
);
const VALUE = 'const void *token, size_t token_len, int32_t encoding, const void *value, size_t value_len';
const submitHeartbeat = direct(
  `thb_queue_submit_heartbeat(uint64_t queue, uint64_t user_data, ${VALUE}, uint32_t timeout_ms, _Out_ thb_error_t **error)`,
);
const submitComplete = direct(
  `thb_queue_submit_complete(uint64_t queue, uint64_t user_data, ${VALUE}, uint32_t timeout_ms, _Out_ thb_error_t **error)`,
);
const completionsCount = library.func('size_t thb_completions_count(const thb_completions_t *completions)');
const completionsUserData = library.func('const void *thb_completions_user_data(const thb_completions_t *completions)');
const completionsStatuses = library.func('const void *thb_completions_statuses(const thb_completions_t *completions)');
const completionsSignals = library.func('const void *thb_completions_signals(const thb_completions_t *completions)');
const completionsError = library.func(
  'const thb_error_t *thb_completions_error(const thb_completions_t *completions, size_t index)',
);
const completionsFree = library.func('void thb_completions_free(thb_completions_t *completions)');

const JSON_PLAIN = 1;
const MOST = 1024; // completions that are taken at once
const FOREVER = 0xffff_ffff;

class Queue {
  #queue;
  #calls = new Map(); // by their numbers: how to settle the promise of a call
  #last = 0;
  #isTaking = false;

  constructor() {
    const queue = [0];
    open(queue);
    this.#queue = queue[0];
  }

  // Sends a heartbeat with one value, and returns the server's signals. `signal`, an AbortSignal, cancels the call.
  heartbeat(token, value, { timeoutMs = TIMEOUT_MS, signal } = {}) {
    return this.#submit(submitHeartbeat, signal, token, value, timeoutMs);
  }

  // Completes the Activity with a result.
  async complete(token, result, { timeoutMs = TIMEOUT_MS, signal } = {}) {
    await this.#submit(submitComplete, signal, token, result, timeoutMs);
  }

  // Closes the queue. Its calls continue, but their promises are rejected.
  close() {
    close(this.#queue);
    this.#rejectAll(new Error('the queue was closed'));
  }

  #submit(submit, signal, token, value, timeoutMs) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const json = Buffer.from(JSON.stringify(value));
      const number = ++this.#last;
      submit(this.#queue, number, token, token.length, JSON_PLAIN, json, json.length, timeoutMs);
      const abort = () => cancel(this.#queue, number);
      signal?.addEventListener('abort', abort);
      const settle = (error, signals) => {
        signal?.removeEventListener('abort', abort);
        if (error) reject(error);
        else resolve(signals);
      };
      this.#calls.set(number, settle);
      if (!this.#isTaking) this.#take();
    });
  }

  // Settles promises while calls are in flight. Nothing waits otherwise, so that the program can end.
  async #take() {
    this.#isTaking = true;
    try {
      while (this.#calls.size > 0) {
        const taken = [null];
        await next(this.#queue, MOST, FOREVER, taken);
        this.#settle(taken[0]);
        completionsFree(taken[0]);
      }
    } catch (error) {
      this.#rejectAll(error);
    } finally {
      this.#isTaking = false;
    }
  }

  #rejectAll(error) {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    calls.forEach((settle) => settle(error));
  }

  #settle(completions) {
    const count = Number(completionsCount(completions));
    const numbers = koffi.decode(completionsUserData(completions), 'uint64_t', count);
    const statuses = koffi.decode(completionsStatuses(completions), 'int32_t', count);
    const signals = koffi.decode(completionsSignals(completions), 'uint32_t', count);
    for (let at = 0; at < count; at++) {
      const number = Number(numbers[at]);
      const settle = this.#calls.get(number);
      this.#calls.delete(number);
      settle?.(statuses[at] && failure(statuses[at], completionsError(completions, at)), signals[at]);
    }
  }
}

module.exports = { Queue };
