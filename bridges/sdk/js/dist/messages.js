/** Messages: the JSON of `iafm.bridge.v1`, as types. */
export const SUBPROTOCOL = "iafm.bridge.v1";
export const VERSION = 1;
