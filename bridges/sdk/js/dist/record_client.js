/** Record client: a game's play is recorded by a server, step by step; no model is asked. */
import { ReconnectingConnection } from "./connection.js";
import { connectionOf, encodeReport, helloOf, pictureOf, sendText } from "./client.js";
import { AnswerError, BridgeError } from "./errors.js";
import { packFrame, withPictureNumber } from "./frames.js";
import { checkWords } from "./message_text.js";
import { ClientRecording } from "./recording.js";
import { ClientSession } from "./session.js";
import { now } from "./clock.js";
/** Longest wait for the server to close an episode; its recorder takes two minutes at most. */
const CLOSE_TIMEOUT_MS = 150_000;
/**
 * One game whose play is recorded. `step` gets each picture with the action of the step that begins with it.
 *
 * What is not recorded yet is kept, and sent again after a lost connection. Methods reject with `BridgeError` once the
 * recording is over.
 */
export class RecordClient {
    connection;
    recording;
    spec;
    /** The newest step, whose action comes with the next picture; null between episodes. */
    pending = null;
    /** Pictures and texts are sent one after the other. */
    queue = Promise.resolve();
    constructor(connection, recording, spec) {
        this.connection = connection;
        this.recording = recording;
        this.spec = spec;
    }
    /** The server's newest welcome. */
    get welcome() {
        return this.connection.session.welcome;
    }
    get isConnected() {
        return this.connection.session.isConnected;
    }
    /** Why the recording is over; null while it is not. */
    get error() {
        return this.connection.error;
    }
    /** What counts now: a console's instruction, else this game's. */
    get instruction() {
        return this.connection.session.agents[0].instruction;
    }
    /**
     * Record a picture and the step that begins with it; the first begins an episode. `action` is what the person pressed
     * ({} at rest). Resolves once it is sent: while the recorder is behind, await it before the game goes on.
     */
    async step(picture, action, values = {}) {
        const { executed, reward, score, state } = values;
        const meta = encodeReport({ ...this.pending, score, state });
        const data = packFrame(pictureOf(picture, this.spec), { number: 0, tNs: BigInt(Math.round(now() * 1e6)), meta });
        const pending = { input: action, executed, reward };
        encodeReport(pending);
        this.pending = pending;
        await this.enqueue(async () => {
            await this.connection.waitFor(() => this.tryToObserve(data), Infinity, "credit");
        });
    }
    /**
     * End the episode; resolves to what the server has on disk. Rejects with `BridgeError` where that is not what was
     * sent, or where nobody can say it any more: the server was restarted between the end and its confirmation.
     */
    async end(values = {}, timeoutMs = CLOSE_TIMEOUT_MS) {
        const { success, task = "", truncated = false, score } = values;
        if (this.pending === null)
            throw new BridgeError("an episode has at least one step: call step before end");
        checkWords("end.task", task, 0, 100);
        const event = { ...this.pending, type: "event", terminated: !truncated, truncated, success, task, score };
        this.pending = null;
        await this.enqueue(() => sendText(this.connection, event));
        const { state, difference } = await this.connection.waitFor(() => this.takeState(), timeoutMs, "closed episode");
        if (difference)
            throw new BridgeError(`${state.episode || "the recording"} is not what was sent: ${difference}`);
        return state;
    }
    /** Change the instruction; the next episode's header has it. */
    async instruct(text) {
        checkWords("instruct.text", text, 0);
        await this.enqueue(() => sendText(this.connection, { type: "instruct", text }));
    }
    /** A person's words about what happens. */
    async say(text) {
        checkWords("say.text", text, 1);
        await this.enqueue(() => sendText(this.connection, { type: "say", text }));
    }
    /** A person's words about what should have been done. */
    async correct(text) {
        checkWords("correct.text", text, 1);
        await this.enqueue(() => sendText(this.connection, { type: "correct", text }));
    }
    /** Close the connection; an episode that has not ended is interrupted. */
    async close() {
        await this.connection.close();
    }
    /** Do it after what waits for credit. */
    enqueue(send) {
        this.queue = this.queue.then(send);
        return this.queue;
    }
    tryToObserve(data) {
        const { session, error } = this.connection;
        const number = session.agents[0].number + 1;
        if (error !== null || !this.recording.maySend(number, data.length))
            return null;
        this.connection.transact(() => session.observe([withPictureNumber(data, number)], now(), 0));
        return true;
    }
    takeState() {
        const taken = this.recording.takeState();
        if (taken === null && this.recording.endIsLost) {
            this.recording.endIsLost = false;
            const problem = "the server was restarted before it confirmed the episode: look at its captures";
            return new AnswerError(problem, "connection_lost");
        }
        return taken;
    }
}
/**
 * Attach a game that is recorded (`iafm serve --record DIR`); rejects with `BridgeError` where the server is away,
 * refuses or does not record. `mode` is `lockstep` for a game that waits for its player, and so has no times.
 */
export async function record(url, options) {
    const recording = new ClientRecording();
    const hello = { ...helloOf(options, "record"), mode: options.mode ?? "realtime", owner: "human" };
    const connection = connectionOf(url, new ClientSession(hello, recording), options);
    await connection.open();
    return new RecordClient(connection, recording, options.spec);
}
