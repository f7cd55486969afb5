/** Clock: the times of a session, and how far the server's clock is ahead. */
/** Milliseconds of a monotonic clock. */
export declare function now(): number;
/** Four timestamps in milliseconds: asked and answered by our clock, received and answered by the server's. */
export interface Exchange {
    readonly t0: number;
    readonly t1: number;
    readonly t2: number;
    readonly t3: number;
}
/** The server's clock is so far ahead of `performance.now()`, more or less. */
export interface ClockDifference {
    readonly offsetMs: number;
    readonly uncertaintyMs: number;
}
export declare function clockDifference({ t0, t1, t2, t3 }: Exchange): ClockDifference;
