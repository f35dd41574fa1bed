// Converts values to the arguments of the library, and back, as Temporal's SDK for TypeScript does by default.
'use strict';

const { ENCODINGS } = require('./abi.js');
const { bytes, call, native } = require('./library.js');

// Several values, or values that are encoded already, as a serialized temporal.api.common.v1.Payloads.
class Payloads {
  constructor(data) {
    this.data = data;
  }

  static of(...values) {
    const details = [null];
    call('thb_details_new', details);
    try {
      for (const value of values) call('thb_details_add', details[0], ...encoded(value));
      return new Payloads(bytes('thb_details_payloads', details[0]));
    } finally {
      native('thb_details_free')(details[0]);
    }
  }
}

// A value that this process can't decode.
class EncodedValue {
  constructor(encoding, data) {
    this.encoding = encoding;
    this.data = data;
  }
}

// The details that the server holds.
class Details {
  constructor(pointer) {
    const count = Number(native('thb_details_count')(pointer));
    const recordedAt = Number(native('thb_details_recorded_at_unix_ms')(pointer));
    const timeout = Number(native('thb_details_heartbeat_timeout_ms')(pointer));
    this.values = Array.from({ length: count }, (_, index) => decoded(pointer, index));
    this.payloads = new Payloads(bytes('thb_details_payloads', pointer));
    this.attempt = native('thb_details_attempt')(pointer);
    this.recordedAt = recordedAt ? new Date(recordedAt) : null;
    this.heartbeatTimeoutMs = timeout < 0 ? null : timeout;
  }
}

// Returns the encoding, the bytes and their number. Only `undefined` is no value.
function encoded(value) {
  if (value === undefined) return [ENCODINGS.NONE, null, 0];
  if (value === null) return [ENCODINGS.NULL, null, 0];
  if (value instanceof Payloads) return [ENCODINGS.PAYLOADS, value.data, value.data.length];
  if (value instanceof Details) return encoded(value.payloads);
  if (value instanceof EncodedValue) throw new TypeError('an EncodedValue has lost its metadata: send the payloads of the Details');
  if (value instanceof Uint8Array) return [ENCODINGS.BINARY, value, value.length];
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`a ${typeof value} can't be converted to JSON`);
  return jsonArguments(json, ENCODINGS.JSON);
}

function decoded(pointer, index) {
  const encoding = native('thb_details_encoding')(pointer, index);
  const data = bytes('thb_details_data', pointer, index);
  if (encoding === 'binary/null' && data.length === 0) return null;
  if (encoding === 'binary/plain') return data;
  try {
    if (encoding === 'json/plain') return JSON.parse(data);
  } catch {
    // The progress of another program must stay readable.
  }
  return new EncodedValue(encoding, data);
}

// Returns the text in UTF-8 and its number of bytes, after the encoding if there is one.
function jsonArguments(json, ...encoding) {
  const data = Buffer.from(json);
  return [...encoding, data, data.length];
}

// Returns the arguments for an object of options. The library's names of { apiKey } are { api_key }.
function encodedOptions(options) {
  return jsonArguments(JSON.stringify(snakeCased(options)));
}

function snakeCased(options) {
  if (options === null || typeof options !== 'object' || Array.isArray(options)) return options;
  const renamed = Object.entries(options).map(([name, value]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    name === 'grpcMeta' || name === 'codecHeaders' ? value : snakeCased(value), // the names of headers stay
  ]);
  return Object.fromEntries(renamed);
}

// Returns values as the base64 text that options and failures take.
function base64(values) {
  const payloads = values instanceof Details || values instanceof Payloads ? values : Payloads.of(...values);
  return (payloads.payloads ?? payloads).data.toString('base64');
}

const MOST_CAUSES = 8;
const MOST_TEXT = 16 * 1024;

// Returns the arguments for a failure: an error, a message, or an object with the keys of the library.
function encodedFailure(failure) {
  return encodedOptions(failureOf(failure, MOST_CAUSES));
}

function failureOf(failure, causesLeft) {
  if (typeof failure === 'string') return { message: failure };
  if (failure === null || typeof failure !== 'object') return { message: String(failure) };
  const { cause, details, heartbeatDetails, ...fields } = failure instanceof Error ? fieldsOf(failure) : failure;
  return {
    ...fields,
    ...(details && { detailsPayloads: base64(details) }),
    ...(heartbeatDetails && { heartbeatDetailsPayloads: base64(heartbeatDetails) }),
    ...(cause !== undefined && cause !== null && causesLeft > 0 && { cause: failureOf(cause, causesLeft - 1) }),
  };
}

// Also of an ApplicationFailure of Temporal's SDK, whose fields keep their meaning.
function fieldsOf(error) {
  const { cause, nonRetryable, details } = error;
  return {
    message: String(error.message).slice(-MOST_TEXT),
    type: String(error.type ?? error.name),
    stackTrace: String(error.stack ?? '').slice(0, MOST_TEXT),
    cause,
    ...(nonRetryable === true && { nonRetryable }),
    ...(Array.isArray(details) && details.length > 0 && { details }),
  };
}

module.exports = { Details, EncodedValue, Payloads, base64, encoded, encodedFailure, encodedOptions };
