/** Reconnecting connection: one session's websocket, opened again with backoff when it is lost. */
import { websocketUrl } from "./address.js";
import { Retries } from "./backoff.js";
import { now } from "./clock.js";
import { AnswerError, BridgeError, DisconnectedError } from "./errors.js";
import { decode, encode, withHint } from "./message_text.js";
import { SUBPROTOCOL } from "./messages.js";
export const REPLY_TIMEOUT_MS = 30_000;
const OPEN_TIMEOUT_MS = 10_000;
/** Longest wait at the end for the acknowledgement of what was sent. */
const FLUSH_MS = 1000;
/** How often a silent connection is asked for a sign of life, and how long that may take. */
const PROBE_MS = 5000;
const PROBE_TIMEOUT_MS = 10_000;
/** Tells these questions from those of `askClock`, whose times are positive. */
const PROBE_T0 = -1;
/** Carries a `ClientSession`; `error` is set once it is over. */
export class ReconnectingConnection {
    session;
    options;
    error = null;
    socket = null;
    isClosing = false;
    url;
    retries;
    /** Look again whether what they wait for has come. */
    waiting = new Set();
    probe;
    heardAt = 0;
    probedAt = null;
    retry;
    /** Gives up the connection that is being opened. */
    abandon = null;
    constructor(url, session, options) {
        this.session = session;
        this.options = options;
        this.url = websocketUrl(url);
        this.retries = new Retries(options.backoff);
    }
    /** The first connection; rejects with `BridgeError` where the server is away or refuses. */
    async open() {
        this.options.onState("connecting", this.url);
        try {
            await this.attach();
        }
        catch (error) {
            this.error = error;
            throw error;
        }
        this.options.onState("playing", `attached as ${this.session.welcome.session}`);
    }
    /** Bytes that the socket has not sent yet. */
    get bufferedBytes() {
        return this.socket?.bufferedAmount ?? 0;
    }
    /** Change the session and send what it has to send; a lost connection is no error, it is opened again. */
    transact(change) {
        if (this.error)
            throw this.error;
        const result = change();
        this.write();
        return result;
    }
    /**
     * What `take` returns once it is something; an `AnswerError` is thrown. While there is no connection the time does
     * not run. Rejects with `BridgeError` once the session is over, and with `AnswerError` ("timeout").
     */
    waitFor(take, timeoutMs, what) {
        return new Promise((resolve, reject) => {
            let timer;
            const finish = (end) => {
                clearTimeout(timer);
                this.waiting.delete(look);
                end();
            };
            const expire = () => finish(() => reject(timedOut(what, timeoutMs)));
            const look = () => {
                const result = take();
                if (result instanceof AnswerError)
                    finish(() => reject(result));
                else if (result !== null)
                    finish(() => resolve(result));
                else if (this.error)
                    finish(() => reject(this.error));
                else if (!this.session.isConnected)
                    timer = void clearTimeout(timer);
                else if (timeoutMs < Infinity)
                    timer ??= setTimeout(expire, timeoutMs);
            };
            this.waiting.add(look);
            look();
        });
    }
    /** Wait a moment for what is not acknowledged, and say bye. */
    async close() {
        if (this.isClosing)
            return;
        const isSettled = () => (this.session.waitingTexts === 0 ? true : null);
        if (!this.error && this.session.isConnected) {
            await this.waitFor(isSettled, FLUSH_MS, "acknowledgement").catch(() => undefined);
        }
        if (this.session.isConnected)
            this.socket?.send(encode({ type: "bye" }));
        this.isClosing = true;
        const socket = this.socket;
        this.drop();
        socket?.close(1000);
        this.end(new BridgeError("the connection was closed"));
    }
    // --- one connection ---
    /** A connection with its welcome; rejects with `BridgeError`, `DisconnectedError` where another try may succeed. */
    attach() {
        return new Promise((resolve, reject) => {
            const socket = this.newSocket();
            socket.binaryType = "arraybuffer";
            let problem = "";
            let isOpen = false;
            const fail = (error) => {
                this.abandon = null;
                clearTimeout(timer);
                silence(socket);
                socket.close();
                reject(error);
            };
            const late = (ms) => {
                fail(new DisconnectedError(`no answer from ${this.url} within ${ms / 1000} s`));
            };
            let timer = setTimeout(late, OPEN_TIMEOUT_MS, OPEN_TIMEOUT_MS);
            this.abandon = () => fail(new BridgeError("the connection was closed"));
            const closed = (event) => fail(isOpen ? closedError(event, problem) : new DisconnectedError(this.noServer()));
            socket.onerror = () => closed({}); // not everywhere a close follows
            socket.onopen = () => {
                isOpen = true;
                clearTimeout(timer);
                timer = setTimeout(late, REPLY_TIMEOUT_MS, REPLY_TIMEOUT_MS);
                socket.send(encode(this.session.hello()));
            };
            socket.onclose = closed;
            socket.onmessage = ({ data }) => {
                try {
                    const { message } = decode(String(data));
                    if (message?.type === "error")
                        problem = withHint(message);
                    if (message?.type !== "welcome")
                        return;
                    clearTimeout(timer);
                    this.abandon = null;
                    this.welcomed(socket, message);
                    resolve();
                }
                catch (error) {
                    fail(error);
                }
            };
        });
    }
    /** Throws `BridgeError` where a page may not even try, such as one over HTTPS without `wss:`. */
    newSocket() {
        try {
            return new this.options.WebSocket(this.url, [SUBPROTOCOL]);
        }
        catch (error) {
            throw new BridgeError(`cannot connect to ${this.url}: ${error.message}`);
        }
    }
    noServer() {
        const { origin } = globalThis.location ?? {};
        const page = origin === undefined ? "" : `, and must allow this page's origin (--allow-origin ${origin})`;
        return `no server at ${this.url}: start one with \`iafm serve\`${page}`;
    }
    welcomed(socket, welcome) {
        this.socket = socket;
        this.retries.opened(now());
        this.session.connected(welcome);
        this.heardAt = now();
        this.probedAt = null;
        this.probe = setInterval(() => this.lookForLife(), PROBE_MS);
        this.probe.unref?.();
        socket.onmessage = ({ data }) => this.receive(data);
        socket.onclose = (event) => this.lost(closedError(event, ""));
        socket.onerror = () => this.lost(closedError({}, ""));
        this.write();
        this.notify();
    }
    write() {
        if (!this.session.isConnected || this.socket === null)
            return;
        for (const message of this.session.dataToSend())
            this.socket.send(message);
    }
    receive(data) {
        this.heardAt = now();
        if (typeof data !== "string")
            return; // pictures are for consoles
        let message;
        try {
            message = this.session.receive(data, now());
        }
        catch (error) {
            this.end(error);
            return;
        }
        this.write();
        this.notify();
        if (message !== null)
            this.options.onMessage(message);
    }
    /** A page cannot send pings: the server's clock is asked instead, whose answer nobody waits for. */
    lookForLife() {
        if (this.socket === null)
            return;
        const isSilent = this.probedAt !== null && this.heardAt < this.probedAt;
        if (isSilent && now() - this.probedAt >= PROBE_TIMEOUT_MS) {
            this.lost(new DisconnectedError("the server is silent"));
        }
        else if (!isSilent) {
            this.probedAt = now();
            this.socket.send(encode({ type: "clock", t0: PROBE_T0 }));
        }
    }
    /** Let go of the socket. */
    drop() {
        clearInterval(this.probe);
        clearTimeout(this.retry);
        this.abandon?.();
        if (this.socket !== null)
            silence(this.socket);
        this.socket = null;
        this.session.disconnected();
        this.notify();
    }
    // --- one after another ---
    lost(reason) {
        const socket = this.socket;
        this.drop();
        socket?.close();
        try {
            this.retries.lost(reason, now());
        }
        catch (error) {
            this.end(error);
            return;
        }
        this.options.onState("reconnecting", reason.message);
        this.tryAgain();
    }
    tryAgain() {
        this.retry = setTimeout(() => {
            this.attach().then(() => this.options.onState("playing", this.howItGoesOn()), (error) => this.failed(error));
        }, this.retries.nextDelayMs(Math.random()));
    }
    failed(error) {
        if (this.isClosing)
            return;
        try {
            if (!(error instanceof DisconnectedError))
                throw error;
            this.retries.failed(error, now());
            this.tryAgain();
        }
        catch (last) {
            this.end(last);
        }
    }
    howItGoesOn() {
        const { resumed, session } = this.session.welcome;
        const seconds = (this.retries.waitedMs(now()) / 1000).toFixed(1);
        return `${resumed ? "resumed" : "attached anew as"} ${session} after ${seconds} s`;
    }
    end(error) {
        if (this.error)
            return;
        this.error = error;
        const socket = this.socket;
        this.drop();
        socket?.close();
        this.options.onState("closed", error.message);
    }
    notify() {
        for (const look of [...this.waiting])
            look();
    }
}
function silence(socket) {
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.onerror = () => undefined; // of `ws`, an error without a handler ends the process
}
function timedOut(what, timeoutMs) {
    return new AnswerError(`no ${what} within ${timeoutMs / 1000} s`, "timeout");
}
/** A closed connection as an error, with the server's code and reason; 1005 and 1006 say that there was none. */
function closedError({ code, reason }, problem) {
    const isNone = code === undefined || code === 1005 || code === 1006;
    const why = problem || (isNone ? "connection lost" : `${code} ${reason ?? ""}`.trim());
    return new DisconnectedError(`the server ended the session: ${why}`, isNone ? null : code);
}
