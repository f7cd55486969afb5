/** Client: attach a game to a server. */
import { DEFAULT_BACKOFF } from "./backoff.js";
import { clockDifference, now } from "./clock.js";
import { ReconnectingConnection, REPLY_TIMEOUT_MS } from "./connection.js";
import { AnswerError, BridgeError } from "./errors.js";
import { MAX_MESSAGE, packFrame } from "./frames.js";
import { checkWords, encode, withHint } from "./message_text.js";
import { VERSION } from "./messages.js";
import { rawPicture } from "./pictures.js";
import { ClientSession } from "./session.js";
import { socketClass } from "./socket.js";
import { isAtRest, nullAction } from "./spec.js";
export const SDK = "iafm-js 0.1";
/** Bytes that may wait in a realtime game's socket; a picture beyond them is not sent. */
const MAX_BUFFERED = MAX_MESSAGE;
/**
 * One game attached to a server.
 *
 * Realtime: `send(picture)` at your own pace, and `action()` whenever a step is due. Lockstep: `await act(picture)`. A
 * lost connection is opened again and the session resumed; meanwhile `action()` is the null action. A method throws
 * `AnswerError` where only its own picture or query has no answer, and `BridgeError` once the session is over.
 */
export class GameClient {
    connection;
    spec;
    mode;
    constructor(connection, spec, mode) {
        this.connection = connection;
        this.spec = spec;
        this.mode = mode;
    }
    get session() {
        return this.connection.session;
    }
    /** The server's newest welcome. */
    get welcome() {
        return this.session.welcome;
    }
    get isConnected() {
        return this.session.isConnected;
    }
    /** Why the session is over; null while it is not. */
    get error() {
        return this.connection.error;
    }
    /** What counts now: a console's instruction, else this game's. */
    instruction({ agent = 0 } = {}) {
        return this.agent(agent).instruction;
    }
    /** What a console asks for, until it is released. */
    consoleInstruction({ agent = 0 } = {}) {
        return this.agent(agent).consoleInstruction;
    }
    /** Whose actions the game plays, also where a console decided it. */
    owner({ agent = 0 } = {}) {
        return this.agent(agent).owner;
    }
    // --- pictures and actions ---
    /**
     * Send an observation; returns its number. `options` tell of the step before it: `executed`, `input`, `reward`,
     * `score`, `state`. In realtime a picture is not sent while the connection is lost or behind. Throws `BridgeError`
     * for a picture or report that the server would refuse.
     */
    send(picture, options = {}) {
        return this.observe(picture, options, false);
    }
    /**
     * Send an observation and wait for its whole answer. Rejects with `AnswerError` where this picture has none: play on
     * with the null action. The time of a lost connection does not count.
     */
    async act(picture, options = {}, timeoutMs = REPLY_TIMEOUT_MS) {
        const state = this.agent(options.agent ?? 0);
        if (this.mode === "lockstep" && state.inFlight >= this.welcome.max_in_flight) {
            throw new BridgeError(`${state.inFlight} pictures wait for their answers: await them first`);
        }
        const number = this.observe(picture, options, true);
        try {
            return await this.connection.waitFor(() => state.takeAct(number), timeoutMs, "action");
        }
        finally {
            state.forgetAct(number);
        }
    }
    /**
     * The answer that is due now; null once its time has passed or the connection is lost: then release all keys.
     *
     * Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when the
     * picture was sent; a game that sends one at every step can give the number of the picture of this step.
     */
    currentAct({ agent = 0, step } = {}) {
        if (this.connection.error)
            throw this.connection.error;
        return this.agent(agent).actionDue(now(), step);
    }
    /**
     * What the game has to do now, a value for each control. `input` is what a person presses at this step, if one plays.
     *
     * A person owns the player, or takes a shared one over by this input: the input. Else the agent's action that is due.
     * Where that is none, the null action (the failsafe). Who was taken over stays so until `control` hands it back; tell
     * the server by the next picture's `input`.
     */
    action({ agent = 0, step, input } = {}) {
        const state = this.agent(agent);
        if (state.owner === "shared" && input !== undefined && !isAtRest(this.spec, input))
            state.owner = "human";
        const due = state.owner === "human" ? input : this.currentAct({ agent, step })?.action;
        return { ...nullAction(this.spec), ...due };
    }
    // --- texts ---
    /** Change the game's instruction; one from a console goes before it until it is released there. */
    instruct(text, { agent = 0 } = {}) {
        checkWords("instruct.text", text, 0);
        this.sendText({ type: "instruct", text, agent });
    }
    /** Report reward, terminated, truncated, success; after the end of an episode answers to its pictures are ignored. */
    event(values) {
        if (values.task !== undefined)
            checkWords("event.task", values.task, 0, 100);
        this.sendText({ type: "event", ...values });
    }
    /** Say whose actions count: hand the player to a person ("human"), to the agent, or share it. */
    control(owner, { agent = 0 } = {}) {
        this.sendText({ type: "control", owner, agent });
    }
    /** A person's words about what the agent should have done. */
    correct(text, { agent = 0 } = {}) {
        checkWords("correct.text", text, 1);
        this.sendText({ type: "correct", text, agent });
    }
    /** A person's words about what happens. */
    say(text, { agent = 0 } = {}) {
        checkWords("say.text", text, 1);
        this.sendText({ type: "say", text, agent });
    }
    /** Say where a replay stands. */
    replayState(values) {
        this.sendText({ type: "replay.state", ...values });
    }
    /** Ask "next_action", "why" or "caption" about the newest picture; rejects with `AnswerError`. */
    async ask(kind, { agent = 0 } = {}, timeoutMs = REPLY_TIMEOUT_MS) {
        const id = this.session.nextQuery();
        this.sendText({ type: "query", id, kind, agent });
        try {
            return await this.connection.waitFor(() => this.session.takeAnswer(id), timeoutMs, "answer");
        }
        finally {
            this.session.forgetQuery(id);
        }
    }
    /** Compare the server's clock with `performance.now()`, by so many questions of which the quickest counts. */
    async askClock(times = 8, timeoutMs = REPLY_TIMEOUT_MS) {
        let best = null;
        for (let i = 0; i < Math.max(1, times); i++) {
            this.connection.transact(() => this.session.askClock(now()));
            const exchange = await this.connection.waitFor(() => this.session.takeExchange(), timeoutMs, "time");
            const difference = clockDifference(exchange);
            if (best === null || difference.uncertaintyMs < best.uncertaintyMs)
                best = difference;
        }
        return best;
    }
    /** Say bye, once what was sent is acknowledged or a second is over. */
    async close() {
        await this.connection.close();
    }
    agent(agent) {
        const state = this.session.agents[agent];
        if (state === undefined) {
            throw new BridgeError(`agent ${agent}: connect was called with agents: ${this.session.agents.length}`);
        }
        return state;
    }
    observe(source, options, awaited) {
        const { agent = 0, cameras = {}, ...report } = options;
        const state = this.agent(agent);
        const number = state.number + 1;
        const pictures = Object.entries(cameras).map(([camera, other]) => this.pack(other, { number, agent, camera: this.checkedCamera(Number(camera)) }));
        pictures.push(this.pack(source, { number, agent, camera: 0, meta: encodeReport(report) }));
        if (this.mode === "realtime" && this.connection.bufferedBytes > MAX_BUFFERED && !awaited)
            return state.number;
        this.connection.transact(() => this.session.observe(pictures, now(), agent, awaited));
        return number;
    }
    pack(source, fields) {
        return packFrame(pictureOf(source, this.spec), { ...fields, tNs: BigInt(Math.round(now() * 1e6)) });
    }
    checkedCamera(camera) {
        if (camera > 0 && camera < this.session.cameras)
            return camera;
        const announced = `connect was called with cameras: ${this.session.cameras}`;
        throw new BridgeError(`camera ${camera}: ${announced}, and camera 0 is the picture`);
    }
    sendText(message) {
        sendText(this.connection, message);
    }
}
/** Attach a game; rejects with `BridgeError` in one line where the server is away or refuses. */
export async function connect(url, options) {
    const { seed, owner = "agent", agents = 1, cameras = 1, replay = false, mode = "realtime" } = options;
    const hello = {
        ...helloOf(options, "play"), mode, owner, agents, cameras,
        ...(replay ? { replay } : {}), ...(seed === undefined ? {} : { seed }),
    };
    const connection = connectionOf(url, new ClientSession(hello), options);
    await connection.open();
    return new GameClient(connection, options.spec, mode);
}
/** The hello's fields that do not depend on the role. */
export function helloOf(options, role) {
    const { spec, instruction = "", token, tasks = [] } = options;
    checkWords("instruction", instruction, 0);
    for (const task of tasks)
        checkWords("tasks", task, 0);
    const hello = { type: "hello", version: VERSION, role, sdk: SDK, spec, instruction, tasks };
    return token === undefined ? hello : { ...hello, token };
}
export function connectionOf(url, session, options) {
    const { onState, onError, onMessage } = options;
    return new ReconnectingConnection(url, session, {
        WebSocket: socketClass(options.WebSocket),
        backoff: { ...DEFAULT_BACKOFF, ...options.backoff },
        onState: onState ?? (() => undefined),
        onMessage: (message) => {
            onMessage?.(message);
            if (message.type === "error")
                onError?.(new AnswerError(withHint(message), message.code));
        },
    });
}
export function sendText(connection, message) {
    if (!connection.transact(() => connection.session.send(message))) {
        throw new BridgeError("too many messages wait for the server: send less, or close");
    }
}
/** A picture's JSON as UTF-8; nothing where nothing is reported. */
export function encodeReport(report) {
    const isEmpty = Object.values(report).every((value) => value === undefined || value === null);
    return new TextEncoder().encode(isEmpty ? "" : encode(report));
}
/** What is sent of a source: a canvas is drawn in the spec's size. */
export function pictureOf(source, spec) {
    return "codec" in source ? source : rawPicture(source, spec.frame);
}
