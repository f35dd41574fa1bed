// A worker. Its activity hands itself over to `temporal-heartbeat exec`, which runs a command as the activity's work.
//
//     npm install && npx tsc && node parent.js ADDRESS TASK_QUEUE COMMAND ARGUMENT...
//
// The worker passes the token in the environment, which other processes of the same user can read.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CompleteAsyncError, Context } from '@temporalio/activity';
import { NativeConnection, Worker } from '@temporalio/worker';

const [address, taskQueue, ...command] = process.argv.slice(2);

// The string is the result with which exec completes the activity.
async function run(): Promise<string> {
  const token = Buffer.from(Context.current().info.taskToken).toString('base64');
  const flags = ['exec', '--progress-json', '--result', 'output', '--'];
  const child = spawn('temporal-heartbeat', [...flags, ...command], {
    env: { ...process.env, TEMPORAL_ADDRESS: address, TEMPORAL_ACTIVITY_TASK_TOKEN: token },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  child.on('exit', (code, signal) => console.log('exec', child.pid, 'exited with', code ?? signal));
  await once(child, 'spawn'); // throws if the program can't be started, which fails the attempt
  console.log('exec', child.pid);
  throw new CompleteAsyncError(); // exec completes it
}

async function main(): Promise<void> {
  const connection = await NativeConnection.connect({ address });
  const worker = await Worker.create({ connection, taskQueue, activities: { run } });
  await worker.run();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
