'use strict';
// The values in JavaScript, by the names of docs/values.md.

exports.VALUES = {
  integer: 42,
  'large integer': 9007199254740993, // rounded to the nearest number
  fraction: 0.1,
  'whole float': 3.0,
  boolean: true,
  text: 'seven of nine',
  Unicode: 'é 漢 😀 <&>',
  nested: { b: [1, 'two', null], a: { deep: [] } },
  bytes: Uint8Array.of(0, 1, 255),
  'empty bytes': new Uint8Array(),
  null: null,
  undefined: undefined,
  object: { name: 'solve', item: 41 },
  time: new Date(Date.UTC(2025, 5, 1, 12, 0, 0, 500)),
};
