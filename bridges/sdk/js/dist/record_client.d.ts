/** Record client: a game's play is recorded by a server, step by step; no model is asked. */
import { ReconnectingConnection } from "./connection.js";
import type { AttachOptions } from "./client.js";
import { BridgeError } from "./errors.js";
import type { RecordState, Welcome } from "./messages.js";
import type { PictureSource } from "./pictures.js";
import { ClientRecording } from "./recording.js";
import type { Action, GameSpec } from "./spec.js";
/** What became of a step, beside the person's action. */
export interface RecordStep {
    /** What the game did instead of the action. */
    readonly executed?: Action;
    /** Of this step. */
    readonly reward?: number;
    /** At the picture, as `state`. */
    readonly score?: number;
    readonly state?: Readonly<Record<string, unknown>>;
}
export interface RecordEnd {
    readonly success?: boolean;
    readonly task?: string;
    /** Whether time ended it, and not the game. */
    readonly truncated?: boolean;
    readonly score?: number;
}
/**
 * One game whose play is recorded. `step` gets each picture with the action of the step that begins with it.
 *
 * What is not recorded yet is kept, and sent again after a lost connection. Methods reject with `BridgeError` once the
 * recording is over.
 */
export declare class RecordClient {
    private readonly connection;
    private readonly recording;
    readonly spec: GameSpec;
    /** The newest step, whose action comes with the next picture; null between episodes. */
    private pending;
    /** Pictures and texts are sent one after the other. */
    private queue;
    constructor(connection: ReconnectingConnection, recording: ClientRecording, spec: GameSpec);
    /** The server's newest welcome. */
    get welcome(): Welcome;
    get isConnected(): boolean;
    /** Why the recording is over; null while it is not. */
    get error(): BridgeError | null;
    /** What counts now: a console's instruction, else this game's. */
    get instruction(): string;
    /**
     * Record a picture and the step that begins with it; the first begins an episode. `action` is what the person pressed
     * ({} at rest). Resolves once it is sent: while the recorder is behind, await it before the game goes on.
     */
    step(picture: PictureSource, action: Action, values?: RecordStep): Promise<void>;
    /**
     * End the episode; resolves to what the server has on disk. Rejects with `BridgeError` where that is not what was
     * sent, or where nobody can say it any more: the server was restarted between the end and its confirmation.
     */
    end(values?: RecordEnd, timeoutMs?: number): Promise<RecordState>;
    /** Change the instruction; the next episode's header has it. */
    instruct(text: string): Promise<void>;
    /** A person's words about what happens. */
    say(text: string): Promise<void>;
    /** A person's words about what should have been done. */
    correct(text: string): Promise<void>;
    /** Close the connection; an episode that has not ended is interrupted. */
    close(): Promise<void>;
    /** Do it after what waits for credit. */
    private enqueue;
    private tryToObserve;
    private takeState;
}
/**
 * Attach a game that is recorded (`iafm serve --record DIR`); rejects with `BridgeError` where the server is away,
 * refuses or does not record. `mode` is `lockstep` for a game that waits for its player, and so has no times.
 */
export declare function record(url: string, options: AttachOptions): Promise<RecordClient>;
