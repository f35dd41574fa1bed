// A worker of the official TypeScript SDK, with the activity that docs/hand-off.md prints.
import { NativeConnection, Worker } from '@temporalio/worker';
import { solve } from './handoff.mjs';

const [address, taskQueue] = process.argv.slice(2);
const connection = await NativeConnection.connect({ address });
const worker = await Worker.create({ connection, namespace: 'default', taskQueue, activities: { solve } });
process.stdin.on('end', () => worker.shutdown()).resume();
console.log('ready');
await worker.run();
await connection.close();
