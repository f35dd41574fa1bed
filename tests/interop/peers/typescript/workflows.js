'use strict';
const { ActivityFailure, ApplicationFailure, TimeoutFailure, proxyActivities } = require('@temporalio/workflow');
const { show } = require('./show');

exports.Interop = async (value, records, heartbeatTimeoutMs, maximumAttempts) => {
  const { interop } = proxyActivities({
    startToCloseTimeout: '2m',
    heartbeatTimeout: heartbeatTimeoutMs,
    retry: { initialInterval: 100, maximumInterval: 100, maximumAttempts: maximumAttempts || undefined },
  });
  try {
    return ending('completed', '', [await interop(value, records)]);
  } catch (error) {
    const cause = error instanceof ActivityFailure ? error.cause : error;
    if (cause instanceof TimeoutFailure) return ending('timed out', cause.message, [cause.lastHeartbeatDetails]);
    if (cause instanceof ApplicationFailure) return ending('failed', cause.message, cause.details ?? []);
    throw error;
  }
};

const ending = (ended, message, values) => ({ ended, message, seen: values.map(show) });
