/** Socket: the part of the browser's `WebSocket` that the client uses, and where its class comes from. */
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
export declare function socketClass(given?: SocketClass): SocketClass;
