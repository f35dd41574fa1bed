// Sends one heartbeat for each of many Activities, all at the same time:
//
//     node beats.js TOKEN_FILE...
//
// Each file has the bytes of a task token.
'use strict';

const { readFile } = require('node:fs/promises');
const { connect, disconnect, TIMEOUT_MS } = require('./library.js');
const { Queue } = require('./queue.js');

async function main(files) {
  await connect();
  const queue = new Queue();
  await Promise.all(
    files.map(async (file) => {
      try {
        await queue.heartbeat(await readFile(file), 41);
        console.log(`${file}: THB_OK`);
      } catch (error) {
        console.log(`${file}: ${error.status ?? error.message}`);
      }
    }),
  );
  queue.close();
  disconnect(TIMEOUT_MS, null);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
