/** Socket: the part of the browser's `WebSocket` that the client uses, and where its class comes from. */

import { BridgeError } from "./errors.js";

/** One websocket: a browser's, Node's (from 22 on), or the package `ws`'s. */
export interface Socket {
  binaryType: string;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type SocketClass = new (url: string, protocols?: string[]) => Socket;

/** The class given, else the global one; throws `BridgeError` where there is none. */
export function socketClass(given?: SocketClass): SocketClass {
  const available = given ?? (globalThis as { WebSocket?: SocketClass }).WebSocket;
  if (available === undefined) {
    throw new BridgeError(
      "no WebSocket here: Node has one from version 22 on. In Node 20 give one, " +
        'connect(url, { …, WebSocket }) with `import { WebSocket } from "ws"` (or "undici"), ' +
        "or start node with --experimental-websocket",
    );
  }
  return available;
}
