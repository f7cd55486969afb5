/** Clock: the times of a session, and how far the server's clock is ahead. */
/** Milliseconds of a monotonic clock. */
export function now() {
    return performance.now();
}
export function clockDifference({ t0, t1, t2, t3 }) {
    return { offsetMs: (t1 - t0 + (t2 - t3)) / 2, uncertaintyMs: Math.max(0, (t3 - t0 - (t2 - t1)) / 2) };
}
