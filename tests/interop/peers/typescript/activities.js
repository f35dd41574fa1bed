'use strict';
const { CompleteAsyncError, Context } = require('@temporalio/activity');
const { show } = require('./show');
const { VALUES } = require('./values');

exports.interop = async (value, records) => {
  const context = Context.current();
  const { attempt, workflowExecution, taskToken, heartbeatDetails } = context.info;
  if (records && attempt === 1) {
    context.heartbeat(VALUES[value]);
    throw new Error('recorded');
  }
  const token = Buffer.from(taskToken).toString('hex');
  const report = { workflow: workflowExecution.workflowId, attempt, token, seen: [show(heartbeatDetails)] };
  console.log(JSON.stringify(report));
  throw new CompleteAsyncError();
};
