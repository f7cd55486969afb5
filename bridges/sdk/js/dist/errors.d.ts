/** Errors of the client. */
/** The session cannot begin or is over, or a value is refused; one line says why and the way out. */
export declare class BridgeError extends Error {
    name: string;
}
/**
 * One picture or one query has no answer; the session goes on.
 *
 * `code` is that of the server's `error`, `connection_lost` for a picture that was on its way, or `timeout`.
 */
export declare class AnswerError extends BridgeError {
    readonly code: string;
    name: string;
    constructor(message: string, code: string);
}
/** No connection; `code` is the server's close code, null where there was none. */
export declare class DisconnectedError extends BridgeError {
    readonly code: number | null;
    name: string;
    constructor(message: string, code?: number | null);
}
