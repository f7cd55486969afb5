/** Errors of the client. */

/** The session cannot begin or is over, or a value is refused; one line says why and the way out. */
export class BridgeError extends Error {
  override name = "BridgeError";
}

/**
 * One picture or one query has no answer; the session goes on.
 *
 * `code` is that of the server's `error`, `connection_lost` for a picture that was on its way, or `timeout`.
 */
export class AnswerError extends BridgeError {
  override name = "AnswerError";
  constructor(message: string, readonly code: string) {
    super(message);
  }
}

/** No connection; `code` is the server's close code, null where there was none. */
export class DisconnectedError extends BridgeError {
  override name = "DisconnectedError";
  constructor(message: string, readonly code: number | null = null) {
    super(message);
  }
}
