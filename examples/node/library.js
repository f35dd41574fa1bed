// Opens the library, and wraps its functions. Needs koffi (npm install).
'use strict';

const { promisify } = require('node:util');
const koffi = require('koffi');

// Prototypes are those of temporal_heartbeat.h. koffi stores the value of an _Out_ pointer in an array of length 1.
const library = koffi.load(process.env.TEMPORAL_HEARTBEAT_LIBRARY ?? 'libtemporal_heartbeat.so.0');
koffi.opaque('thb_error_t');
koffi.opaque('thb_details_t');
const checkAbi = library.func('int32_t thb_check_abi(uint32_t abi)');
const statusName = library.func('const char *thb_status_name(int32_t status)');
const errorMessage = library.func('const char *thb_error_message(const thb_error_t *error)');
const errorFree = library.func('void thb_error_free(thb_error_t *error)');
const awaitConnect = awaited('thb_connect(const char *options, size_t options_len, _Out_ thb_error_t **error)');
const disconnect = library.func('int32_t thb_disconnect(uint32_t timeout_ms, thb_error_t **error)');

const ABI = 1;
const TIMEOUT_MS = 10_000;

function must(status, [error]) {
  if (status === 0) return;
  const failed = failure(status, error);
  errorFree(error);
  throw failed;
}

function failure(status, error) {
  return Object.assign(new Error(`${statusName(status)}: ${errorMessage(error)}`), { status: statusName(status) });
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

// Connects to the server of TEMPORAL_ADDRESS.
async function connect() {
  if (checkAbi(ABI) !== 0) throw new Error('the library has another ABI version than this program needs: install a matching library');
  await awaitConnect(null, 0);
}

module.exports = { TIMEOUT_MS, awaited, connect, direct, disconnect, failure, koffi, library };
