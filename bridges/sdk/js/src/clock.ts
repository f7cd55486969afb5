/** Clock: the times of a session, and how far the server's clock is ahead. */

/** Milliseconds of a monotonic clock. */
export function now(): number {
  return performance.now();
}

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

export function clockDifference({ t0, t1, t2, t3 }: Exchange): ClockDifference {
  return { offsetMs: (t1 - t0 + (t2 - t3)) / 2, uncertaintyMs: Math.max(0, (t3 - t0 - (t2 - t1)) / 2) };
}
