/** Backoff: when a client tries again to connect, without a clock. */
import { BridgeError, DisconnectedError } from "./errors.js";
/** A connection that the server ended sooner (ms) does not begin the backoff anew. */
const SHORT_MS = 5000;
/** Close codes after which another try would end in the same way, or would take the session from its new owner. */
const FINAL_CLOSES = new Set([1000, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409, 4413, 4415, 4426]);
export const DEFAULT_BACKOFF = { firstMs: 100, capMs: 5000, patienceMs: 60_000 };
/** Whether a close is no reason to try again; 4429 is one before the welcome: the server was full. */
export function isFinal(code, welcomed) {
    return code !== null && (FINAL_CLOSES.has(code) || (code === 4429 && welcomed));
}
/** The tries of one client to connect again; times are milliseconds of its clock. */
export class Retries {
    backoff;
    attempts = 0;
    openedAt = 0;
    lostAt = 0;
    constructor(backoff) {
        this.backoff = backoff;
    }
    opened(now) {
        this.openedAt = now;
    }
    /** The connection is lost; throws the reason where another try does not help. */
    lost(reason, now) {
        if (isFinal(reason.code, true) || this.backoff.patienceMs <= 0)
            throw reason;
        this.lostAt = now;
        if (reason.code === null || now - this.openedAt > SHORT_MS)
            this.attempts = 0;
    }
    /** Milliseconds before the next try; `jitter` of 0 to 1. */
    nextDelayMs(jitter) {
        return jitter * Math.min(this.backoff.capMs, this.backoff.firstMs * 2 ** Math.min(this.attempts++, 30));
    }
    /** A try failed; throws why there is no other. */
    failed(reason, now) {
        if (isFinal(reason.code, false))
            throw reason;
        if (this.waitedMs(now) >= this.backoff.patienceMs) {
            throw new BridgeError(`no connection for ${this.backoff.patienceMs / 1000} s: ${reason.message}`);
        }
    }
    /** Milliseconds since the connection was lost. */
    waitedMs(now) {
        return now - this.lostAt;
    }
}
