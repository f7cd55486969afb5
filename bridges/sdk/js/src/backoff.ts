/** Backoff: when a client tries again to connect, without a clock. */

import { BridgeError, DisconnectedError } from "./errors.js";

/** A connection that the server ended sooner (ms) does not begin the backoff anew. */
const SHORT_MS = 5000;
/** Close codes after which another try would end in the same way, or would take the session from its new owner. */
const FINAL_CLOSES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409, 4413, 4415, 4426]);

/**
 * Exponential backoff with full jitter: try n (0, 1, …) waits up to `firstMs * 2**n`, at most `capMs`. After
 * `patienceMs` without a connection the client gives up; 0 never tries again.
 */
export interface Backoff {
  readonly firstMs: number;
  readonly capMs: number;
  readonly patienceMs: number;
}

export const DEFAULT_BACKOFF: Backoff = { firstMs: 100, capMs: 5000, patienceMs: 60_000 };

/** Whether a close is no reason to try again; 4429 is one before the welcome: the server was full. */
export function isFinal(code: number | null, welcomed: boolean): boolean {
  return code !== null && (FINAL_CLOSES.has(code) || (code === 4429 && welcomed));
}

/** The tries of one client to connect again; times are milliseconds of its clock. */
export class Retries {
  private attempts = 0;
  private openedAt = 0;
  private lostAt = 0;

  constructor(private readonly backoff: Backoff) {}

  opened(now: number): void {
    this.openedAt = now;
  }

  /** The connection is lost; throws the reason where another try does not help. */
  lost(reason: DisconnectedError, now: number): void {
    if (isFinal(reason.code, true) || this.backoff.patienceMs <= 0) throw reason;
    this.lostAt = now;
    if (reason.code === null || now - this.openedAt > SHORT_MS) this.attempts = 0;
  }

  /** Milliseconds before the next try; `jitter` of 0 to 1. */
  nextDelayMs(jitter: number): number {
    return jitter * Math.min(this.backoff.capMs, this.backoff.firstMs * 2 ** Math.min(this.attempts++, 30));
  }

  /** A try failed; throws why there is no other. */
  failed(reason: DisconnectedError, now: number): void {
    if (isFinal(reason.code, false)) throw reason;
    if (this.waitedMs(now) >= this.backoff.patienceMs) {
      throw new BridgeError(`no connection for ${this.backoff.patienceMs / 1000} s: ${reason.message}`);
    }
  }

  /** Milliseconds since the connection was lost. */
  waitedMs(now: number): number {
    return now - this.lostAt;
  }
}
