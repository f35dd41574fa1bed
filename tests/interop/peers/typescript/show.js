'use strict';
// Shows a value that was read: its type, and its value as JSON or in hexadecimal digits.

exports.show = (value) => {
  if (value === undefined || value === null) return String(value);
  if (value instanceof Uint8Array) return `Uint8Array ${Array.from(value, hex).join('')}`;
  const type = typeof value === 'object' ? value.constructor.name : typeof value;
  return `${type} ${JSON.stringify(value)}`;
};

const hex = (byte) => byte.toString(16).padStart(2, '0');
