'use strict';
// The worker of the official TypeScript SDK. README.md in the peers folder describes it.

const { NativeConnection, Worker, bundleWorkflowCode } = require('@temporalio/worker');
const activities = require('./activities');
const { cipher } = require('./cipher');

async function main(address, namespace, taskQueue) {
  const connection = await NativeConnection.connect({ address });
  const workflowBundle = await bundleWorkflowCode({ workflowsPath: require.resolve('./workflows'), logger: silent });
  const create = (queue, dataConverter) =>
    Worker.create({ connection, namespace, taskQueue: queue, workflowBundle, activities, dataConverter });
  const workers = [
    await create(taskQueue, undefined),
    await create(`${taskQueue}-encrypted`, { payloadCodecs: [cipher] }),
  ];
  process.stdin.on('end', () => workers.forEach((worker) => worker.shutdown())).resume();
  console.log(JSON.stringify({ ready: true }));
  await Promise.all(workers.map((worker) => worker.run()));
  await connection.close();
}

const quiet = () => {};
const silent = { log: quiet, trace: quiet, debug: quiet, info: quiet, warn: console.error, error: console.error };

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
