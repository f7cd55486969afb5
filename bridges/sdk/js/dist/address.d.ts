/** Server address: the forms that a user may give, and the websocket address they mean. */
/**
 * `ws://host:port/v1` for any of `host:port`, `ws://host:port`, `ws://host:port/v1` and `http://host:port/`.
 *
 * Throws `BridgeError` for anything else. An address with a user or a query is not repeated in the message: it may hold
 * a token.
 */
export declare function websocketUrl(address: string): string;
