'use strict';
// A codec that encrypts payloads. It is simple and not secure, because the tests need no secrecy. Every peer has the same codec.

const { Payload } = require('@temporalio/proto').temporal.api.common.v1;

const ENCRYPTED = 'binary/encrypted';
const KEY = 0x5a;

const mixed = (data) => data.map((byte) => byte ^ KEY);

const encrypt = (payload) => ({
  metadata: { encoding: Buffer.from(ENCRYPTED), 'encryption-key-id': Buffer.from('interop') },
  data: mixed(Payload.encode(payload).finish()),
});

const decrypt = (payload) =>
  Buffer.from(payload.metadata.encoding).toString() === ENCRYPTED ? Payload.decode(mixed(payload.data)) : payload;

exports.cipher = {
  encode: async (payloads) => payloads.map(encrypt),
  decode: async (payloads) => payloads.map(decrypt),
};
