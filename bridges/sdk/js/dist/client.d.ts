/** Client: attach a game to a server. */
import type { Backoff } from "./backoff.js";
import type { ClockDifference } from "./clock.js";
import { ReconnectingConnection } from "./connection.js";
import type { ConnectionState } from "./connection.js";
import { AnswerError, BridgeError } from "./errors.js";
import type { Picture } from "./frames.js";
import type { Act, EventMessage, FromClient, FromServer, Hello, Mode, Owner, QueryKind, ReplayState, StepReport, Welcome } from "./messages.js";
import type { PictureSource } from "./pictures.js";
import { ClientSession } from "./session.js";
import type { SocketClass } from "./socket.js";
import type { Action, GameSpec, Value } from "./spec.js";
export declare const SDK = "iafm-js 0.1";
/** What is common to games that are played and games that are recorded. */
export interface AttachOptions {
    readonly spec: GameSpec;
    /** What the player shall do, at most 500 characters. */
    readonly instruction?: string;
    /** `realtime` (the newest picture counts) or `lockstep` (every picture is answered or recorded). */
    readonly mode?: Mode;
    /** Of a server that was started with one. */
    readonly token?: string;
    /** Example instructions that a console offers. */
    readonly tasks?: readonly string[];
    /** In Node 20, which has none: the class of `ws` or `undici`. */
    readonly WebSocket?: SocketClass;
    readonly backoff?: Partial<Backoff>;
    /** Hears `connecting`, `playing`, `reconnecting` and `closed`, each with a line about it. */
    readonly onState?: (state: ConnectionState, detail: string) => void;
    /** Hears every error that the server reports, by its `code`. */
    readonly onError?: (error: AnswerError) => void;
    /** Hears every message of the server once. */
    readonly onMessage?: (message: FromServer) => void;
}
export interface ConnectOptions extends AttachOptions {
    /** Makes the player's randomness repeatable. */
    readonly seed?: number;
    /** Who plays: `agent`, `shared` (until a person presses something) or `human`. */
    readonly owner?: Owner;
    /** 1 to 16 players of the same spec. */
    readonly agents?: number;
    /** 1 to 4 pictures of one moment. */
    readonly cameras?: number;
    /** Whether it is a recorded match, which consoles may steer. */
    readonly replay?: boolean;
}
/** What goes with a picture, and whose it is. */
export interface ObserveOptions extends StepReport {
    readonly agent?: number;
    /** The pictures beside camera 0's, by their numbers from 1. */
    readonly cameras?: Readonly<Record<number, PictureSource>>;
}
export interface OfAgent {
    readonly agent?: number;
}
/**
 * One game attached to a server.
 *
 * Realtime: `send(picture)` at your own pace, and `action()` whenever a step is due. Lockstep: `await act(picture)`. A
 * lost connection is opened again and the session resumed; meanwhile `action()` is the null action. A method throws
 * `AnswerError` where only its own picture or query has no answer, and `BridgeError` once the session is over.
 */
export declare class GameClient {
    private readonly connection;
    readonly spec: GameSpec;
    private readonly mode;
    constructor(connection: ReconnectingConnection, spec: GameSpec, mode: Mode);
    private get session();
    /** The server's newest welcome. */
    get welcome(): Welcome;
    get isConnected(): boolean;
    /** Why the session is over; null while it is not. */
    get error(): BridgeError | null;
    /** What counts now: a console's instruction, else this game's. */
    instruction({ agent }?: OfAgent): string;
    /** What a console asks for, until it is released. */
    consoleInstruction({ agent }?: OfAgent): string | null;
    /** Whose actions the game plays, also where a console decided it. */
    owner({ agent }?: OfAgent): Owner;
    /**
     * Send an observation; returns its number. `options` tell of the step before it: `executed`, `input`, `reward`,
     * `score`, `state`. In realtime a picture is not sent while the connection is lost or behind. Throws `BridgeError`
     * for a picture or report that the server would refuse.
     */
    send(picture: PictureSource, options?: ObserveOptions): number;
    /**
     * Send an observation and wait for its whole answer. Rejects with `AnswerError` where this picture has none: play on
     * with the null action. The time of a lost connection does not count.
     */
    act(picture: PictureSource, options?: ObserveOptions, timeoutMs?: number): Promise<Act>;
    /**
     * The answer that is due now; null once its time has passed or the connection is lost: then release all keys.
     *
     * Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when the
     * picture was sent; a game that sends one at every step can give the number of the picture of this step.
     */
    currentAct({ agent, step }?: OfAgent & {
        step?: number;
    }): Act | null;
    /**
     * What the game has to do now, a value for each control. `input` is what a person presses at this step, if one plays.
     *
     * A person owns the player, or takes a shared one over by this input: the input. Else the agent's action that is due.
     * Where that is none, the null action (the failsafe). Who was taken over stays so until `control` hands it back; tell
     * the server by the next picture's `input`.
     */
    action({ agent, step, input }?: OfAgent & {
        step?: number;
        input?: Action;
    }): Record<string, Value>;
    /** Change the game's instruction; one from a console goes before it until it is released there. */
    instruct(text: string, { agent }?: OfAgent): void;
    /** Report reward, terminated, truncated, success; after the end of an episode answers to its pictures are ignored. */
    event(values: Omit<EventMessage, "type" | "session">): void;
    /** Say whose actions count: hand the player to a person ("human"), to the agent, or share it. */
    control(owner: Owner, { agent }?: OfAgent): void;
    /** A person's words about what the agent should have done. */
    correct(text: string, { agent }?: OfAgent): void;
    /** A person's words about what happens. */
    say(text: string, { agent }?: OfAgent): void;
    /** Say where a replay stands. */
    replayState(values: Omit<ReplayState, "type">): void;
    /** Ask "next_action", "why" or "caption" about the newest picture; rejects with `AnswerError`. */
    ask(kind: QueryKind, { agent }?: OfAgent, timeoutMs?: number): Promise<string>;
    /** Compare the server's clock with `performance.now()`, by so many questions of which the quickest counts. */
    askClock(times?: number, timeoutMs?: number): Promise<ClockDifference>;
    /** Say bye, once what was sent is acknowledged or a second is over. */
    close(): Promise<void>;
    private agent;
    private observe;
    private pack;
    private checkedCamera;
    private sendText;
}
/** Attach a game; rejects with `BridgeError` in one line where the server is away or refuses. */
export declare function connect(url: string, options: ConnectOptions): Promise<GameClient>;
/** The hello's fields that do not depend on the role. */
export declare function helloOf(options: AttachOptions, role: "play" | "record"): Hello;
export declare function connectionOf(url: string, session: ClientSession, options: AttachOptions): ReconnectingConnection;
export declare function sendText(connection: ReconnectingConnection, message: Exclude<FromClient, Hello>): void;
/** A picture's JSON as UTF-8; nothing where nothing is reported. */
export declare function encodeReport(report: StepReport): Uint8Array;
/** What is sent of a source: a canvas is drawn in the spec's size. */
export declare function pictureOf(source: PictureSource, spec: GameSpec): Picture;
