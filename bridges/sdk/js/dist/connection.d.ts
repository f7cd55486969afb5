/** Reconnecting connection: one session's websocket, opened again with backoff when it is lost. */
import type { Backoff } from "./backoff.js";
import { AnswerError, BridgeError } from "./errors.js";
import type { FromServer } from "./messages.js";
import type { ClientSession } from "./session.js";
import type { SocketClass } from "./socket.js";
/** `connecting`, `playing`, `reconnecting`, and at last `closed`. */
export type ConnectionState = "connecting" | "playing" | "reconnecting" | "closed";
export declare const REPLY_TIMEOUT_MS = 30000;
export interface ConnectionOptions {
    readonly WebSocket: SocketClass;
    readonly backoff: Backoff;
    readonly onState: (state: ConnectionState, detail: string) => void;
    readonly onMessage: (message: FromServer) => void;
}
/** Carries a `ClientSession`; `error` is set once it is over. */
export declare class ReconnectingConnection {
    readonly session: ClientSession;
    private readonly options;
    error: BridgeError | null;
    private socket;
    private isClosing;
    private readonly url;
    private readonly retries;
    /** Look again whether what they wait for has come. */
    private readonly waiting;
    private probe;
    private heardAt;
    private probedAt;
    private retry;
    /** Gives up the connection that is being opened. */
    private abandon;
    constructor(url: string, session: ClientSession, options: ConnectionOptions);
    /** The first connection; rejects with `BridgeError` where the server is away or refuses. */
    open(): Promise<void>;
    /** Bytes that the socket has not sent yet. */
    get bufferedBytes(): number;
    /** Change the session and send what it has to send; a lost connection is no error, it is opened again. */
    transact<T>(change: () => T): T;
    /**
     * What `take` returns once it is something; an `AnswerError` is thrown. While there is no connection the time does
     * not run. Rejects with `BridgeError` once the session is over, and with `AnswerError` ("timeout").
     */
    waitFor<T>(take: () => T | AnswerError | null, timeoutMs: number, what: string): Promise<T>;
    /** Wait a moment for what is not acknowledged, and say bye. */
    close(): Promise<void>;
    /** A connection with its welcome; rejects with `BridgeError`, `DisconnectedError` where another try may succeed. */
    private attach;
    /** Throws `BridgeError` where a page may not even try, such as one over HTTPS without `wss:`. */
    private newSocket;
    private noServer;
    private welcomed;
    private write;
    private receive;
    /** A page cannot send pings: the server's clock is asked instead, whose answer nobody waits for. */
    private lookForLife;
    /** Let go of the socket. */
    private drop;
    private lost;
    private tryAgain;
    private failed;
    private howItGoesOn;
    private end;
    private notify;
}
