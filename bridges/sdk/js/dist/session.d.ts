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
import type { Exchange } from "./clock.js";
import { AnswerError } from "./errors.js";
import type { FromClient, FromServer, Hello, Welcome } from "./messages.js";
import type { ClientRecording } from "./recording.js";
/** A binary message. */
export type Binary = Uint8Array<ArrayBuffer>;
/** What a game has sent and got; `hello` says what it is. */
export declare class ClientSession {
    private readonly firstHello;
    readonly recording: ClientRecording | null;
    readonly agents: readonly ClientAgent[];
    welcome: Welcome | null;
    isConnected: boolean;
    private readonly keepsPictures;
    private outgoing;
    private waiting;
    /** Of a recording's newest episode. */
    private end;
    private sent;
    private received;
    private acknowledged;
    /** Queries without an answer. */
    private queries;
    private query;
    private answers;
    /** Of the question for the server's time that has no answer yet. */
    private clockT0;
    private exchange;
    constructor(firstHello: Hello, recording?: ClientRecording | null);
    /** How many cameras there are. */
    get cameras(): number;
    /** What to say over a new connection. */
    hello(): Hello;
    /** A connection is open; what waits is sent again. */
    connected(welcome: Welcome): void;
    /** Another session counts from 1, and knows none of the queries, nor what a console asked for. */
    private beginAnew;
    /** Another recording begins with the pictures that are not recorded. */
    private renumberPictures;
    /** What agents from 1 on are told that is not in the hello, which says how agent 0 begins. */
    private unlikeTheFirst;
    /** The connection is lost: no action is valid any more. */
    disconnected(): void;
    /** What to write over the connection, in order. */
    dataToSend(): (string | Binary)[];
    /** Messages that the server has not acknowledged. */
    get waitingTexts(): number;
    /**
     * Send an agent's observation of number `number + 1`; in realtime it is dropped where there is no connection.
     * `pictures` are those of all its cameras, camera 0's the last.
     */
    observe(pictures: readonly Binary[], now: number, agent: number, awaited?: boolean): void;
    /** Send a text, now or over the next connection; false where too many wait. */
    send(message: Exclude<FromClient, Hello>): boolean;
    /** A number for a query. */
    nextQuery(): number;
    /** The answer to a query, once; null where it has not come. */
    takeAnswer(query: number): string | AnswerError | null;
    /** Nobody waits for this answer any more. */
    forgetQuery(query: number): void;
    /** Ask for the server's time; without a connection there is none. */
    askClock(now: number): void;
    /** The answer to `askClock`, once; null where it has not come. */
    takeExchange(): Exchange | AnswerError | null;
    /** Apply a message and return it; null for one that came before or is unknown. Throws `BridgeError`. */
    receive(text: string, now: number): FromServer | null;
    private apply;
    private applyError;
    private answerQuery;
    private answerClock;
    private settleTexts;
    private settlePicture;
    /** What the recorder has need not be sent again. */
    private applyToRecording;
}
