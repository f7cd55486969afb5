/** Backoff: when a client tries again to connect, without a clock. */
import { DisconnectedError } from "./errors.js";
/**
 * Exponential backoff with full jitter: try n (0, 1, …) waits up to `firstMs * 2**n`, at most `capMs`. After
 * `patienceMs` without a connection the client gives up; 0 never tries again.
 */
export interface Backoff {
    readonly firstMs: number;
    readonly capMs: number;
    readonly patienceMs: number;
}
export declare const DEFAULT_BACKOFF: Backoff;
/** Whether a close is no reason to try again; 4429 is one before the welcome: the server was full. */
export declare function isFinal(code: number | null, welcomed: boolean): boolean;
/** The tries of one client to connect again; times are milliseconds of its clock. */
export declare class Retries {
    private readonly backoff;
    private attempts;
    private openedAt;
    private lostAt;
    constructor(backoff: Backoff);
    opened(now: number): void;
    /** The connection is lost; throws the reason where another try does not help. */
    lost(reason: DisconnectedError, now: number): void;
    /** Milliseconds before the next try; `jitter` of 0 to 1. */
    nextDelayMs(jitter: number): number;
    /** A try failed; throws why there is no other. */
    failed(reason: DisconnectedError, now: number): void;
    /** Milliseconds since the connection was lost. */
    waitedMs(now: number): number;
}
