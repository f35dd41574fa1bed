/// <reference types="node" />

/** Heartbeat a Temporal Activity from any Node.js process: see the README. */

/** The signals of an activity are a set of these bits. Ignore bits that aren't listed. */
export const Signals: {
  /** Cancellation was requested: clean up, then call `reportCancelled`. The server also still accepts `complete`. */
  readonly CANCEL_REQUESTED: number;
  /** Stop working until the bit is cleared. */
  readonly PAUSED: number;
  /** An operator reset the activity. End this attempt, for example with `fail`. */
  readonly RESET: number;
  /** The activity is over for this token. Stop the work. Only of an `Activity`, like all further signals. */
  readonly GONE: number;
  /** No heartbeat was acknowledged in time: another attempt may be running. */
  readonly LEASE_LOST: number;
  /** Nothing was recorded for `stallTimeoutMs`, so the heartbeats have stopped, or as `stallAction` says. */
  readonly STALLED: number;
  /** The server refuses the heartbeats; `info` has the error. */
  readonly REFUSED: number;
  /** `attemptRemainingMs` has passed, so the attempt has probably timed out. */
  readonly DEADLINE: number;
  /** The saved progress couldn't be read, so automatic heartbeats are off until something is recorded. */
  readonly UNSEEDED: number;
};

/** The signals after which the work should stop: CANCEL_REQUESTED, RESET, GONE, LEASE_LOST. */
export const STOP_SIGNALS: number;

/** Every function that fails throws this error, or rejects with it. */
export class HeartbeatError extends Error {
  /** The name of the status in temporal_heartbeat.h, for example `THB_NOT_FOUND`. */
  readonly code: string;
  /** The number of the status. */
  readonly status: number;
  /** Whether the same call may succeed later. It was already retried within its timeout. */
  readonly retryable: boolean;
  /** How long to wait before that; null if it is unknown. */
  readonly retryAfterMs: number | null;
}

/** Thrown by `throwIfCancelled`. */
export class Cancelled extends Error {
  readonly signals: number;
  /** `Activity.reason` when it was thrown. The message contains it. */
  readonly reason: string | null;
}

/** Several values as one, or values that a codec has encoded: a serialized temporal.api.common.v1.Payloads. */
export class Payloads {
  constructor(data: Uint8Array);
  static of(...values: unknown[]): Payloads;
  readonly data: Uint8Array;
}

/** A value that this process can't decode, for example an encrypted one. */
export class EncodedValue {
  readonly encoding: string;
  readonly data: Buffer;
}

/** The heartbeat details that the server holds. Send `payloads` to record them again. */
export class Details {
  private constructor();
  /** JSON values as `JSON.parse` returns them, `null`, bytes as a Buffer, or an `EncodedValue`. */
  readonly values: any[];
  readonly payloads: Payloads;
  /** The number of the attempt that the server has now, from 1; 0 if it is unknown. */
  readonly attempt: number;
  /** The time of the last heartbeat by the server's clock; null if there was none. */
  readonly recordedAt: Date | null;
  /** 0: the activity has no heartbeat timeout. null: it is unknown. */
  readonly heartbeatTimeoutMs: number | null;
}

export interface CallOptions {
  /** The time limit in milliseconds, retries included; Infinity for none. Default: 10000. */
  timeoutMs?: number;
  /** Cancels the call. The server may have applied a request that was sent. */
  signal?: AbortSignal;
}

export interface TlsOptions {
  disabled?: boolean;
  serverCaCertPath?: string;
  serverCaCertData?: string;
  clientCertPath?: string;
  clientCertData?: string;
  clientKeyPath?: string;
  clientKeyData?: string;
  serverName?: string;
  disableHostVerification?: boolean;
}

export interface Credentials {
  apiKey?: string;
  apiKeyPath?: string;
  tls?: boolean | TlsOptions;
  grpcMeta?: Record<string, string>;
  codecAuth?: string;
  codecHeaders?: Record<string, string>;
  codecTls?: TlsOptions;
}

/** The options of the library: docs/options.md of the project describes them. */
export interface ConnectOptions extends Credentials {
  address?: string;
  namespace?: string;
  authority?: string;
  identity?: string;
  configFile?: string;
  profile?: string;
  connectTimeoutMs?: number;
  lazy?: boolean;
  proxy?: string | { targetHost?: string; basicAuthUser?: string; basicAuthPassword?: string };
  keepalive?: boolean | { disabled?: boolean; intervalMs?: number; timeoutMs?: number };
  retry?:
    | boolean
    | {
        disabled?: boolean;
        initialIntervalMs?: number;
        multiplier?: number;
        maxIntervalMs?: number;
        randomizationFactor?: number;
        maxRetries?: number;
      };
  compression?: 'gzip' | 'none';
  maxMessageBytes?: number;
  requireEncoded?: boolean;
  /** The URL of a codec server, which encodes every value that is sent and decodes every value that is read. */
  codecEndpoint?: string;
  codecHttpHost?: string;
  encodeCommonAttributes?: boolean;
  metricsAddress?: string;
  /** 'inactive': without an activity in the environment, as for `Activity.fromEnv`, nothing is read or dialled. */
  whenAbsent?: 'error' | 'inactive';
  signal?: AbortSignal;
}

export interface Failure {
  message?: string;
  type?: string;
  nonRetryable?: boolean;
  /** Values for the workflow. */
  details?: unknown[] | Payloads;
  nextRetryDelayMs?: number;
  category?: 'benign';
  stackTrace?: string;
  source?: string;
  cause?: unknown;
  /** Values that are stored as the last progress. Only of the function `fail`. */
  heartbeatDetails?: unknown[] | Payloads;
}

export interface ActivityOptions {
  workflowId?: string;
  runId?: string;
  activityId?: string;
  attempt?: number;
  /** The activity's heartbeat timeout. Without it the library asks the server. */
  heartbeatTimeoutMs?: number;
  /** False: send heartbeats only for records. */
  pulse?: boolean;
  /** After this time without `heartbeat` or `touch` the work is stalled. Default: never. */
  stallTimeoutMs?: number;
  /**
   * What happens then. 'stop' (the default): the heartbeats stop, so that the server retries the work. 'fail': the attempt fails as
   * retryable, with the type Stalled, the newest details, and the status. 'warn': only the signal, the log and the metrics show it.
   */
  stallAction?: 'stop' | 'warn' | 'fail';
  /** 'brief': the failure doesn't have the status. */
  stallReport?: 'full' | 'brief';
  /** The longest time between heartbeats, to learn of a cancellation sooner. */
  cancelPollMs?: number;
  /** A long poll at the server shows a cancellation at once, not with the next heartbeat. docs/guide/follow.md has what it costs. */
  followServer?: boolean;
  /** The last details of the previous attempt; empty if there are none. Without it the library asks the server. */
  initialDetails?: unknown[] | Details;
  ageMs?: number;
  attemptRemainingMs?: number;
  requireEncoded?: boolean;
  /** Look up the outcome before an ending call rejects with THB_IN_DOUBT. */
  verify?: boolean;
  /**
   * Only of `fromEnv`. 'inactive': without an activity in the environment, all calls succeed and do nothing, so that a
   * program also runs by hand. Default: 'error'.
   */
  whenAbsent?: 'error' | 'inactive';
  /** The timeout of the close at the end of `run`. Default: 10000. */
  closeTimeoutMs?: number;
  /** Whether an error in `run` ends the activity. Default: true. */
  failOnError?: boolean;
}

export interface WaitOptions extends CallOptions {
  /** The signals to wait for. Default: any. */
  mask?: number;
  /** It returns when a signal differs from these. Default: none. */
  known?: number;
}

/**
 * An open activity: the library sends its heartbeats in the background, even while the event loop is blocked.
 * A token has at most one. Opening never waits for the server.
 */
export class Activity {
  private constructor();
  /** Opens the activity of a token, or, with null, of the ids in the options. */
  static open(token: Uint8Array | null, options?: ActivityOptions): Activity;
  /** Opens the activity that the parent process handed over in the environment. */
  static fromEnv(options?: ActivityOptions): Activity;

  /** The details that were recorded before this attempt. Call it before the first `heartbeat`. */
  details(options?: CallOptions): Promise<Details>;
  /** Records progress, and returns the signals. Never waits. Without a value it is `touch`. */
  heartbeat(value?: unknown): number;
  /** Reports that the work continues. */
  touch(): number;
  /**
   * Sets what the work is doing now; at most 4 KiB. `info.status` shows it, and so does the failure of a stall. It is no progress. Don't
   * put secrets into it.
   */
  setStatus(text: string): void;
  readonly signals: number;
  /** The state of the activity, with the keys of thb_activity_get_info. */
  readonly info: Record<string, any>;
  /**
   * The reason of the cancellation after CANCEL_REQUESTED, else of the pause while PAUSED is set, as the request for it
   * contained it. Null without these signals, and if the server hasn't shown it: see `followServer`.
   */
  readonly reason: string | null;
  /** Waits until a signal of `mask` differs from `known`, or `timeoutMs` has passed (default: Infinity). */
  wait(options?: WaitOptions): Promise<number>;
  /** Waits until the activity isn't paused, or the work should stop. The heartbeats continue. */
  waitWhilePaused(options?: CallOptions): Promise<number>;
  /** Throws `Cancelled` if one of STOP_SIGNALS is set. */
  throwIfCancelled(): void;
  /** Sends the recorded details, and waits for the acknowledgement. */
  flush(options?: CallOptions): Promise<void>;
  /** Ends the activity successfully. Without a result it is null. */
  complete(result?: unknown, options?: CallOptions): Promise<void>;
  /** Ends this attempt as failed. The retry policy decides whether another attempt follows. */
  fail(failure: string | Error | Failure, options?: CallOptions): Promise<void>;
  /** Ends the activity as cancelled, after CANCEL_REQUESTED was set. */
  reportCancelled(details?: unknown, options?: CallOptions): Promise<void>;
  /** Sends the recorded details, and stops the heartbeats. Doesn't end the activity. Closing again does nothing. */
  close(options?: CallOptions): Promise<void>;
  /**
   * Runs the work, and closes the activity after it. An error of the work fails the attempt, or, if it is a `Cancelled`
   * after CANCEL_REQUESTED, reports the cancellation. It is thrown again.
   */
  run<T>(work: (activity: Activity) => T | Promise<T>): Promise<T>;
}

/** Chooses the library's path. Call it before the other functions. */
export function load(path: string): void;
/** Connects this process. It has one connection. Missing options are read from the environment and from a profile. */
export function connect(options?: ConnectOptions): Promise<void>;
/** Changes credentials while connected. */
export function reconfigure(options: Credentials): void;
/** Sends the recorded details, closes all activities, and ends the connection. */
export function disconnect(options?: CallOptions): Promise<void>;

/**
 * Sends one heartbeat and returns the signals. `clear`, without details, ERASES those on the server. Between two calls
 * nothing is noticed: to learn of a cancellation at once, open an `Activity` with `followServer`.
 */
export function heartbeat(token: Uint8Array, details: unknown, options?: CallOptions & { clear?: boolean }): Promise<number>;
export function getDetails(token: Uint8Array, options?: CallOptions): Promise<Details>;
export function complete(token: Uint8Array, result?: unknown, options?: CallOptions): Promise<void>;
export function fail(token: Uint8Array, failure: string | Error | Failure, options?: CallOptions): Promise<void>;
export function reportCancelled(token: Uint8Array, details?: unknown, options?: CallOptions): Promise<void>;

/** The task token that the parent process handed over in the environment. */
export function tokenFromEnv(): Buffer;
/** The metrics in Prometheus's text format. */
export function metrics(): string;
/** The library's version. */
export function version(): string;
