// Opens the native library, and calls its functions.
'use strict';

const { existsSync } = require('node:fs');
const { join, resolve } = require('node:path');
const koffi = require('koffi');
const { ABI_VERSION, FUNCTIONS, STATUSES } = require('./abi.js');

const FILE = process.platform === 'darwin' ? 'libtemporal_heartbeat.0.dylib' : 'libtemporal_heartbeat.so.0';

class HeartbeatError extends Error {
  constructor(code, message, { status = STATUSES[code.slice('THB_'.length)], retryable = false, retryAfterMs = null } = {}) {
    super(`${code}: ${message}`);
    this.name = 'HeartbeatError';
    this.code = code;
    this.status = status;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

let loaded; // { path, library }
const functions = {};

// Chooses the library's path, instead of the places where it is searched. Call it before the other functions.
function load(path) {
  const absolute = resolve(path);
  if (loaded && loaded.path !== absolute) throw new Error(`the library is already loaded from ${loaded.path}`);
  loaded ??= opened(absolute);
}

// The package contains a library for each platform that it was packed for.
function bundledPath() {
  const platform = `${process.platform}-${process.arch}`;
  const isMusl = process.platform === 'linux' && !hasGlibc();
  return join(__dirname, '..', 'native', isMusl ? `${platform}-musl` : platform, FILE);
}

function hasGlibc() {
  const { excludeNetwork } = process.report;
  process.report.excludeNetwork = true; // otherwise it resolves the names of all peers
  const { glibcVersionRuntime } = process.report.getReport().header;
  process.report.excludeNetwork = excludeNetwork;
  return Boolean(glibcVersionRuntime);
}

function defaultPath() {
  if (process.env.TEMPORAL_HEARTBEAT_LIBRARY) return process.env.TEMPORAL_HEARTBEAT_LIBRARY;
  const bundled = bundledPath();
  return existsSync(bundled) ? bundled : FILE;
}

function opened(path) {
  let library;
  try {
    library = koffi.load(path);
    const status = library.func(FUNCTIONS.thb_check_abi)(ABI_VERSION);
    if (status === 0) return { path, library };
  } catch (error) {
    throw new HeartbeatError('THB_CONFIG', `can't load the library: set TEMPORAL_HEARTBEAT_LIBRARY to its path (${error.message})`);
  }
  throw new HeartbeatError(
    'THB_ABI_MISMATCH',
    `the library has another ABI version than this program needs: install a matching library instead of ${path}`,
  );
}

function native(name) {
  loaded ??= opened(defaultPath());
  return (functions[name] ??= loaded.library.func(FUNCTIONS[name]));
}

// Throws for a status other than THB_OK. The error object still belongs to the caller.
function check(status, error) {
  if (status !== 0) throw errorOf(status, error);
}

function errorOf(status, error) {
  const wait = Number(native('thb_error_retry_after_ms')(error));
  return new HeartbeatError(native('thb_status_name')(status), native('thb_error_message')(error), {
    status,
    retryable: native('thb_error_is_retryable')(error) === 1,
    retryAfterMs: wait < 0 ? null : wait,
  });
}

// Calls a function that never blocks. Its last argument, the error, is added.
function call(name, ...args) {
  const error = [null];
  const status = native(name)(...args, error);
  try {
    check(status, error[0]);
  } finally {
    native('thb_error_free')(error[0]);
  }
}

// Like call, on a thread of koffi. It may block.
function callOnThread(name, ...args) {
  const error = [null];
  return new Promise((settle, reject) => {
    native(name).async(...args, error, (failed, status) => {
      try {
        if (failed) throw failed;
        check(status, error[0]);
        settle();
      } catch (reason) {
        reject(reason);
      } finally {
        native('thb_error_free')(error[0]);
      }
    });
  });
}

// Returns a copy of the bytes that a function returns, whose last argument is the length.
function bytes(name, ...args) {
  const length = [0];
  const data = native(name)(...args, length);
  const size = Number(length[0]);
  return data && size ? Buffer.from(koffi.decode(data, 'uint8_t', size)) : Buffer.alloc(0);
}

// Calls a function that outputs a thb_text_t, and returns its bytes.
function textBytes(name, ...args) {
  const text = [null];
  call(name, ...args, text);
  try {
    return bytes('thb_text_data', text[0]);
  } finally {
    native('thb_text_free')(text[0]);
  }
}

module.exports = { HeartbeatError, bytes, call, callOnThread, errorOf, koffi, load, native, textBytes };
