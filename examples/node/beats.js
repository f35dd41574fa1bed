// Sends one heartbeat for each of many Activities, all at the same time:
//
//     node beats.js TOKEN_FILE...
//
// Each file has the bytes of a task token.
'use strict';

const { readFile } = require('node:fs/promises');
const thb = require('temporal-heartbeat');

async function main(files) {
  await thb.connect();
  await Promise.all(
    files.map(async (file) => {
      try {
        await thb.heartbeat(await readFile(file), 41);
        console.log(`${file}: THB_OK`);
      } catch (error) {
        console.log(`${file}: ${error.code ?? error.message}`);
      }
    }),
  );
  await thb.disconnect();
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
