/** Record client: a game's play is recorded by a server, step by step; no model is asked. */

import { ReconnectingConnection } from "./connection.js";
import { connectionOf, encodeReport, helloOf, pictureOf, sendText } from "./client.js";
import type { AttachOptions } from "./client.js";
import { AnswerError, BridgeError } from "./errors.js";
import { packFrame, withPictureNumber } from "./frames.js";
import { checkWords } from "./message_text.js";
import type { RecordState, StepReport, Welcome } from "./messages.js";
import type { PictureSource } from "./pictures.js";
import { ClientRecording } from "./recording.js";
import { ClientSession } from "./session.js";
import type { Binary } from "./session.js";
import { now } from "./clock.js";
import type { Action, GameSpec } from "./spec.js";

/** Longest wait for the server to close an episode; its recorder takes two minutes at most. */
const CLOSE_TIMEOUT_MS = 150_000;

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
export class RecordClient {
  /** The newest step, whose action comes with the next picture; null between episodes. */
  private pending: StepReport | null = null;
  /** Pictures and texts are sent one after the other. */
  private queue: Promise<void> = Promise.resolve();

  constructor(
    private readonly connection: ReconnectingConnection,
    private readonly recording: ClientRecording,
    readonly spec: GameSpec,
  ) {}

  /** The server's newest welcome. */
  get welcome(): Welcome {
    return this.connection.session.welcome!;
  }

  get isConnected(): boolean {
    return this.connection.session.isConnected;
  }

  /** Why the recording is over; null while it is not. */
  get error(): BridgeError | null {
    return this.connection.error;
  }

  /** What counts now: a console's instruction, else this game's. */
  get instruction(): string {
    return this.connection.session.agents[0]!.instruction;
  }

  /**
   * Record a picture and the step that begins with it; the first begins an episode. `action` is what the person pressed
   * ({} at rest). Resolves once it is sent: while the recorder is behind, await it before the game goes on.
   */
  async step(picture: PictureSource, action: Action, values: RecordStep = {}): Promise<void> {
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
  async end(values: RecordEnd = {}, timeoutMs = CLOSE_TIMEOUT_MS): Promise<RecordState> {
    const { success, task = "", truncated = false, score } = values;
    if (this.pending === null) throw new BridgeError("an episode has at least one step: call step before end");
    checkWords("end.task", task, 0, 100);
    const event = { ...this.pending, type: "event", terminated: !truncated, truncated, success, task, score } as const;
    this.pending = null;
    await this.enqueue(() => sendText(this.connection, event));
    const { state, difference } = await this.connection.waitFor(() => this.takeState(), timeoutMs, "closed episode");
    if (difference) throw new BridgeError(`${state.episode || "the recording"} is not what was sent: ${difference}`);
    return state;
  }

  /** Change the instruction; the next episode's header has it. */
  async instruct(text: string): Promise<void> {
    checkWords("instruct.text", text, 0);
    await this.enqueue(() => sendText(this.connection, { type: "instruct", text }));
  }

  /** A person's words about what happens. */
  async say(text: string): Promise<void> {
    checkWords("say.text", text, 1);
    await this.enqueue(() => sendText(this.connection, { type: "say", text }));
  }

  /** A person's words about what should have been done. */
  async correct(text: string): Promise<void> {
    checkWords("correct.text", text, 1);
    await this.enqueue(() => sendText(this.connection, { type: "correct", text }));
  }

  /** Close the connection; an episode that has not ended is interrupted. */
  async close(): Promise<void> {
    await this.connection.close();
  }

  /** Do it after what waits for credit. */
  private enqueue(send: () => void | Promise<void>): Promise<void> {
    this.queue = this.queue.then(send);
    return this.queue;
  }

  private tryToObserve(data: Binary): true | null {
    const { session, error } = this.connection;
    const number = session.agents[0]!.number + 1;
    if (error !== null || !this.recording.maySend(number, data.length)) return null;
    this.connection.transact(() => session.observe([withPictureNumber(data, number)], now(), 0));
    return true;
  }

  private takeState(): { state: RecordState; difference: string } | AnswerError | null {
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
export async function record(url: string, options: AttachOptions): Promise<RecordClient> {
  const recording = new ClientRecording();
  const hello = { ...helloOf(options, "record"), mode: options.mode ?? "realtime", owner: "human" } as const;
  const connection = connectionOf(url, new ClientSession(hello, recording), options);
  await connection.open();
  return new RecordClient(connection, recording, options.spec);
}
