/** Server address: the forms that a user may give, and the websocket address they mean. */
import { BridgeError } from "./errors.js";
const PATH = "/v1";
const EXAMPLE = "ws://127.0.0.1:8765/v1";
const SCHEMES = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };
/**
 * `ws://host:port/v1` for any of `host:port`, `ws://host:port`, `ws://host:port/v1` and `http://host:port/`.
 *
 * Throws `BridgeError` for anything else. An address with a user or a query is not repeated in the message: it may hold
 * a token.
 */
export function websocketUrl(address) {
    const text = address.trim();
    let url;
    try {
        url = new URL(text.includes("://") ? text : `ws://${text}`);
    }
    catch {
        throw new BridgeError(`that is no address such as ${EXAMPLE}`);
    }
    if (url.username || url.password || url.search || url.hash) {
        throw new BridgeError(`an address is no more than ${EXAMPLE}: a token is given by itself, not in the address`);
    }
    const scheme = SCHEMES[url.protocol];
    if (scheme === undefined) {
        throw new BridgeError(`${text} is no address such as ${EXAMPLE}: it starts with ${url.protocol}//`);
    }
    if (!["", "/", PATH, `${PATH}/`].includes(url.pathname)) {
        throw new BridgeError(`${text} is no address such as ${EXAMPLE}: its path is ${PATH}, not ${url.pathname}`);
    }
    return `${scheme}//${url.host}${PATH}`;
}
