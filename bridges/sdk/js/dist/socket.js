/** Socket: the part of the browser's `WebSocket` that the client uses, and where its class comes from. */
import { BridgeError } from "./errors.js";
/** The class given, else the global one; throws `BridgeError` where there is none. */
export function socketClass(given) {
    const available = given ?? globalThis.WebSocket;
    if (available === undefined) {
        throw new BridgeError("no WebSocket here: Node has one from version 22 on. In Node 20 give one, " +
            'connect(url, { …, WebSocket }) with `import { WebSocket } from "ws"` (or "undici"), ' +
            "or start node with --experimental-websocket");
    }
    return available;
}
