/**
 * Client session: the game's side of a session as a state machine, over all its connections, without sockets.
 *
 * Texts are numbered and wait until the server acknowledges them; in lockstep, pictures wait until they are answered,
 * in a recording until they are recorded. What waits is sent again over the next connection, in its order: to a session
 * that was resumed only what the server does not have, to a new one (the server was restarted) all of it. In realtime
 * nothing of the past is worth sending, and answers to pictures of an earlier connection are ignored. Times are
 * milliseconds of a monotonic clock.
 */
import { ClientAgent } from "./agent.js";
import { AnswerError } from "./errors.js";
import { withPictureNumber } from "./frames.js";
import { decode, encode, withHint } from "./message_text.js";
/** Messages that wait for the server; further texts are refused. */
const MAX_WAITING = 4096;
/** In lockstep answers are acknowledged in groups, texts at once. */
const ACTS_PER_ACK = 8;
/** Errors that name a picture without being its answer. */
const REMARKS = new Set(["bad_report"]);
/** What a game has sent and got; `hello` says what it is. */
export class ClientSession {
    firstHello;
    recording;
    agents;
    welcome = null;
    isConnected = false;
    keepsPictures;
    outgoing = [];
    waiting = [];
    /** Of a recording's newest episode. */
    end = null;
    sent = 0;
    received = 0;
    acknowledged = 0;
    /** Queries without an answer. */
    queries = new Map();
    query = 0;
    answers = new Map();
    /** Of the question for the server's time that has no answer yet. */
    clockT0 = null;
    exchange = null;
    constructor(firstHello, recording = null) {
        this.firstHello = firstHello;
        this.recording = recording;
        this.agents = Array.from({ length: firstHello.agents ?? 1 }, () => new ClientAgent(firstHello.instruction ?? "", firstHello.owner ?? "agent"));
        this.keepsPictures = recording !== null || firstHello.mode === "lockstep";
    }
    /** How many cameras there are. */
    get cameras() {
        return this.firstHello.cameras ?? 1;
    }
    // --- connections ---
    /** What to say over a new connection. */
    hello() {
        const key = this.welcome?.resume;
        const first = this.agents[0];
        return {
            ...this.firstHello,
            resumable: true,
            ...(key ? { resume: key, received: this.received } : {}),
            instruction: first.ownInstruction,
            owner: first.owner,
        };
    }
    /** A connection is open; what waits is sent again. */
    connected(welcome) {
        this.welcome = welcome;
        this.isConnected = true;
        if (welcome.resumed)
            this.settleTexts(welcome.received);
        else
            this.beginAnew();
        if (welcome.credit !== null)
            this.applyToRecording(welcome.credit);
        const { resumed, observation, observations } = welcome;
        const newest = !resumed ? [] : observations.length > 0 ? observations : [observation];
        for (const waiting of this.waiting) {
            const has = newest[waiting.agent] ?? null;
            if (typeof waiting.data === "string" || has === null || waiting.number > has)
                this.outgoing.push(toSend(waiting));
        }
    }
    /** Another session counts from 1, and knows none of the queries, nor what a console asked for. */
    beginAnew() {
        for (const agent of this.agents)
            agent.consoleInstruction = null;
        if (this.recording !== null)
            this.renumberPictures(this.recording);
        this.received = this.acknowledged = this.sent = 0;
        const different = this.unlikeTheFirst().map((message) => ({ data: encode(message), number: 0, agent: 0 }));
        this.waiting = [...different, ...this.waiting];
        const texts = this.waiting.filter((waiting) => typeof waiting.data === "string");
        for (const text of texts)
            text.number = ++this.sent;
        const unsent = new Set(texts.map((text) => text.data));
        for (const query of this.queries.values()) {
            if (!unsent.has(query))
                this.waiting.push({ data: query, number: ++this.sent, agent: 0 });
        }
    }
    /** Another recording begins with the pictures that are not recorded. */
    renumberPictures(recording) {
        let number = 0;
        const pictures = [];
        for (const waiting of this.waiting) {
            if (typeof waiting.data === "string")
                continue;
            waiting.number = ++number;
            waiting.data = withPictureNumber(waiting.data, number);
            pictures.push(waiting.data);
        }
        this.agents[0].number = number;
        recording.beginAnew(pictures, this.waiting.some((waiting) => waiting === this.end));
    }
    /** What agents from 1 on are told that is not in the hello, which says how agent 0 begins. */
    unlikeTheFirst() {
        const [first, ...others] = this.agents;
        return others.flatMap((agent, i) => [
            ...(agent.ownInstruction === first.ownInstruction
                ? []
                : [{ type: "instruct", text: agent.ownInstruction, agent: i + 1 }]),
            ...(agent.owner === first.owner ? [] : [{ type: "control", owner: agent.owner, agent: i + 1 }]),
        ]);
    }
    /** The connection is lost: no action is valid any more. */
    disconnected() {
        this.isConnected = false;
        this.outgoing = [];
        for (const agent of this.agents) {
            agent.release();
            if (!this.keepsPictures)
                agent.losePast();
        }
        if (this.clockT0 !== null) {
            this.clockT0 = null;
            this.exchange = new AnswerError("the connection was lost", "connection_lost");
        }
    }
    /** What to write over the connection, in order. */
    dataToSend() {
        const data = this.outgoing;
        this.outgoing = [];
        return data;
    }
    /** Messages that the server has not acknowledged. */
    get waitingTexts() {
        return this.waiting.filter((waiting) => typeof waiting.data === "string").length;
    }
    // --- from the game ---
    /**
     * Send an agent's observation of number `number + 1`; in realtime it is dropped where there is no connection.
     * `pictures` are those of all its cameras, camera 0's the last.
     */
    observe(pictures, now, agent, awaited = false) {
        const state = this.agents[agent];
        if (this.recording === null) {
            state.observe(now, awaited);
        }
        else {
            state.number += 1;
            this.recording.add(pictures.at(-1));
        }
        if (this.keepsPictures) {
            for (const data of pictures)
                this.waiting.push({ data, number: state.number, agent });
        }
        else if (!this.isConnected) {
            state.losePast();
            return;
        }
        if (this.isConnected)
            this.outgoing.push(...pictures);
    }
    /** Send a text, now or over the next connection; false where too many wait. */
    send(message) {
        if (this.waiting.length >= MAX_WAITING)
            return false;
        const data = encode(message);
        const agent = this.agents["agent" in message ? (message.agent ?? 0) : 0];
        if (message.type === "instruct")
            agent.ownInstruction = message.text;
        if (message.type === "control")
            agent.owner = message.owner;
        const isEnd = message.type === "event" && (message.terminated === true || message.truncated === true);
        if (isEnd)
            agent.endEpisode();
        const waiting = { data, number: ++this.sent, agent: 0 };
        this.waiting.push(waiting);
        if (this.isConnected)
            this.outgoing.push(toSend(waiting));
        if (isEnd && this.recording !== null) {
            this.end = waiting;
            this.recording.end();
        }
        if (message.type === "query")
            this.queries.set(message.id, data);
        return true;
    }
    /** A number for a query. */
    nextQuery() {
        return ++this.query;
    }
    /** The answer to a query, once; null where it has not come. */
    takeAnswer(query) {
        const answer = this.answers.get(query) ?? null;
        if (answer !== null)
            this.answers.delete(query);
        return answer;
    }
    /** Nobody waits for this answer any more. */
    forgetQuery(query) {
        this.queries.delete(query);
    }
    /** Ask for the server's time; without a connection there is none. */
    askClock(now) {
        this.exchange = null;
        if (this.isConnected) {
            this.clockT0 = now;
            this.outgoing.push(encode({ type: "clock", t0: now }));
        }
        else {
            this.clockT0 = null;
            this.exchange = new AnswerError("there is no connection", "connection_lost");
        }
    }
    /** The answer to `askClock`, once; null where it has not come. */
    takeExchange() {
        const exchange = this.exchange;
        this.exchange = null;
        return exchange;
    }
    // --- from the server ---
    /** Apply a message and return it; null for one that came before or is unknown. Throws `BridgeError`. */
    receive(text, now) {
        const { message, seq } = decode(text);
        if (seq !== null) {
            if (seq <= this.received)
                return null;
            this.received = seq;
            if (message?.type !== "act" || seq - this.acknowledged >= ACTS_PER_ACK) {
                this.acknowledged = seq;
                this.outgoing.push(encode({ type: "ack", received: seq }));
            }
        }
        if (message !== null)
            this.apply(message, now);
        return message;
    }
    apply(message, now) {
        const number = "agent" in message ? (message.agent ?? 0) : 0;
        const agent = this.agents[number];
        if (agent === undefined)
            return;
        switch (message.type) {
            case "act":
                this.settlePicture(number, message.observation);
                agent.answer(message, now);
                break;
            case "instruct":
                agent.consoleInstruction = message.release ? null : message.text;
                break;
            case "control":
                agent.owner = message.owner;
                break;
            case "clock":
                this.answerClock(message, now);
                break;
            case "text.done":
                this.answerQuery(message.id, message.text);
                break;
            case "ack":
                this.settleTexts(message.received);
                break;
            case "error":
                this.applyError(message, agent);
                break;
            case "credit":
            case "record.state":
                this.applyToRecording(message);
                break;
        }
    }
    applyError(error, agent) {
        const problem = new AnswerError(withHint(error), error.code);
        if (error.observation !== null && !REMARKS.has(error.code) && this.recording === null) {
            this.settlePicture(error.agent, error.observation);
            agent.fail(error.observation, problem);
        }
        if (error.id !== null)
            this.answerQuery(error.id, problem);
    }
    answerQuery(query, answer) {
        if (this.queries.delete(query))
            this.answers.set(query, answer);
    }
    answerClock({ t0, t1, t2 }, now) {
        if (t0 !== this.clockT0 || t1 == null || t2 == null)
            return;
        this.clockT0 = null;
        this.exchange = { t0, t1, t2, t3: now };
    }
    settleTexts(seq) {
        this.waiting = this.waiting.filter((waiting) => typeof waiting.data !== "string" || waiting.number > seq);
    }
    settlePicture(agent, number) {
        this.waiting = this.waiting.filter((waiting) => typeof waiting.data === "string" || waiting.agent !== agent || waiting.number !== number);
    }
    /** What the recorder has need not be sent again. */
    applyToRecording(message) {
        if (this.recording === null)
            return;
        if (message.type === "record.state") {
            this.recording.applyState(message);
            return;
        }
        this.recording.credit = message;
        this.waiting = this.waiting.filter((waiting) => typeof waiting.data === "string" || waiting.number > message.recorded);
    }
}
function toSend({ data, number }) {
    return typeof data === "string" ? `{"seq":${number},${data.slice(1)}` : data;
}
