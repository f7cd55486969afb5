/** Client: attach a game to a server. */

import type { ClientAgent } from "./agent.js";
import { DEFAULT_BACKOFF } from "./backoff.js";
import type { Backoff } from "./backoff.js";
import { clockDifference, now } from "./clock.js";
import type { ClockDifference } from "./clock.js";
import { ReconnectingConnection, REPLY_TIMEOUT_MS } from "./connection.js";
import type { ConnectionState } from "./connection.js";
import { AnswerError, BridgeError } from "./errors.js";
import { MAX_MESSAGE, packFrame } from "./frames.js";
import type { FrameFields, Picture } from "./frames.js";
import { checkWords, encode, withHint } from "./message_text.js";
import { VERSION } from "./messages.js";
import type {
  Act, EventMessage, FromClient, FromServer, Hello, Mode, Owner, QueryKind, ReplayState, StepReport, Welcome,
} from "./messages.js";
import { rawPicture } from "./pictures.js";
import type { PictureSource } from "./pictures.js";
import { ClientSession } from "./session.js";
import type { Binary } from "./session.js";
import { socketClass } from "./socket.js";
import type { SocketClass } from "./socket.js";
import { isAtRest, nullAction } from "./spec.js";
import type { Action, GameSpec, Value } from "./spec.js";

export const SDK = "iafm-js 0.1";
/** Bytes that may wait in a realtime game's socket; a picture beyond them is not sent. */
const MAX_BUFFERED = MAX_MESSAGE;

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
export class GameClient {
  constructor(
    private readonly connection: ReconnectingConnection,
    readonly spec: GameSpec,
    private readonly mode: Mode,
  ) {}

  private get session(): ClientSession {
    return this.connection.session;
  }

  /** The server's newest welcome. */
  get welcome(): Welcome {
    return this.session.welcome!;
  }

  get isConnected(): boolean {
    return this.session.isConnected;
  }

  /** Why the session is over; null while it is not. */
  get error(): BridgeError | null {
    return this.connection.error;
  }

  /** What counts now: a console's instruction, else this game's. */
  instruction({ agent = 0 }: OfAgent = {}): string {
    return this.agent(agent).instruction;
  }

  /** What a console asks for, until it is released. */
  consoleInstruction({ agent = 0 }: OfAgent = {}): string | null {
    return this.agent(agent).consoleInstruction;
  }

  /** Whose actions the game plays, also where a console decided it. */
  owner({ agent = 0 }: OfAgent = {}): Owner {
    return this.agent(agent).owner;
  }

  // --- pictures and actions ---

  /**
   * Send an observation; returns its number. `options` tell of the step before it: `executed`, `input`, `reward`,
   * `score`, `state`. In realtime a picture is not sent while the connection is lost or behind. Throws `BridgeError`
   * for a picture or report that the server would refuse.
   */
  send(picture: PictureSource, options: ObserveOptions = {}): number {
    return this.observe(picture, options, false);
  }

  /**
   * Send an observation and wait for its whole answer. Rejects with `AnswerError` where this picture has none: play on
   * with the null action. The time of a lost connection does not count.
   */
  async act(picture: PictureSource, options: ObserveOptions = {}, timeoutMs = REPLY_TIMEOUT_MS): Promise<Act> {
    const state = this.agent(options.agent ?? 0);
    if (this.mode === "lockstep" && state.inFlight >= this.welcome.max_in_flight) {
      throw new BridgeError(`${state.inFlight} pictures wait for their answers: await them first`);
    }
    const number = this.observe(picture, options, true);
    try {
      return await this.connection.waitFor(() => state.takeAct(number), timeoutMs, "action");
    } finally {
      state.forgetAct(number);
    }
  }

  /**
   * The answer that is due now; null once its time has passed or the connection is lost: then release all keys.
   *
   * Of planned actions it is the one of this step, and the last is held. Steps are counted by the clock from when the
   * picture was sent; a game that sends one at every step can give the number of the picture of this step.
   */
  currentAct({ agent = 0, step }: OfAgent & { step?: number } = {}): Act | null {
    if (this.connection.error) throw this.connection.error;
    return this.agent(agent).actionDue(now(), step);
  }

  /**
   * What the game has to do now, a value for each control. `input` is what a person presses at this step, if one plays.
   *
   * A person owns the player, or takes a shared one over by this input: the input. Else the agent's action that is due.
   * Where that is none, the null action (the failsafe). Who was taken over stays so until `control` hands it back; tell
   * the server by the next picture's `input`.
   */
  action({ agent = 0, step, input }: OfAgent & { step?: number; input?: Action } = {}): Record<string, Value> {
    const state = this.agent(agent);
    if (state.owner === "shared" && input !== undefined && !isAtRest(this.spec, input)) state.owner = "human";
    const due = state.owner === "human" ? input : this.currentAct({ agent, step })?.action;
    return { ...nullAction(this.spec), ...due };
  }

  // --- texts ---

  /** Change the game's instruction; one from a console goes before it until it is released there. */
  instruct(text: string, { agent = 0 }: OfAgent = {}): void {
    checkWords("instruct.text", text, 0);
    this.sendText({ type: "instruct", text, agent });
  }

  /** Report reward, terminated, truncated, success; after the end of an episode answers to its pictures are ignored. */
  event(values: Omit<EventMessage, "type" | "session">): void {
    if (values.task !== undefined) checkWords("event.task", values.task, 0, 100);
    this.sendText({ type: "event", ...values });
  }

  /** Say whose actions count: hand the player to a person ("human"), to the agent, or share it. */
  control(owner: Owner, { agent = 0 }: OfAgent = {}): void {
    this.sendText({ type: "control", owner, agent });
  }

  /** A person's words about what the agent should have done. */
  correct(text: string, { agent = 0 }: OfAgent = {}): void {
    checkWords("correct.text", text, 1);
    this.sendText({ type: "correct", text, agent });
  }

  /** A person's words about what happens. */
  say(text: string, { agent = 0 }: OfAgent = {}): void {
    checkWords("say.text", text, 1);
    this.sendText({ type: "say", text, agent });
  }

  /** Say where a replay stands. */
  replayState(values: Omit<ReplayState, "type">): void {
    this.sendText({ type: "replay.state", ...values });
  }

  /** Ask "next_action", "why" or "caption" about the newest picture; rejects with `AnswerError`. */
  async ask(kind: QueryKind, { agent = 0 }: OfAgent = {}, timeoutMs = REPLY_TIMEOUT_MS): Promise<string> {
    const id = this.session.nextQuery();
    this.sendText({ type: "query", id, kind, agent });
    try {
      return await this.connection.waitFor(() => this.session.takeAnswer(id), timeoutMs, "answer");
    } finally {
      this.session.forgetQuery(id);
    }
  }

  /** Compare the server's clock with `performance.now()`, by so many questions of which the quickest counts. */
  async askClock(times = 8, timeoutMs = REPLY_TIMEOUT_MS): Promise<ClockDifference> {
    let best: ClockDifference | null = null;
    for (let i = 0; i < Math.max(1, times); i++) {
      this.connection.transact(() => this.session.askClock(now()));
      const exchange = await this.connection.waitFor(() => this.session.takeExchange(), timeoutMs, "time");
      const difference = clockDifference(exchange);
      if (best === null || difference.uncertaintyMs < best.uncertaintyMs) best = difference;
    }
    return best!;
  }

  /** Say bye, once what was sent is acknowledged or a second is over. */
  async close(): Promise<void> {
    await this.connection.close();
  }

  private agent(agent: number): ClientAgent {
    const state = this.session.agents[agent];
    if (state === undefined) {
      throw new BridgeError(`agent ${agent}: connect was called with agents: ${this.session.agents.length}`);
    }
    return state;
  }

  private observe(source: PictureSource, options: ObserveOptions, awaited: boolean): number {
    const { agent = 0, cameras = {}, ...report } = options;
    const state = this.agent(agent);
    const number = state.number + 1;
    const pictures = Object.entries(cameras).map(([camera, other]) =>
      this.pack(other, { number, agent, camera: this.checkedCamera(Number(camera)) }),
    );
    pictures.push(this.pack(source, { number, agent, camera: 0, meta: encodeReport(report) }));
    if (this.mode === "realtime" && this.connection.bufferedBytes > MAX_BUFFERED && !awaited) return state.number;
    this.connection.transact(() => this.session.observe(pictures, now(), agent, awaited));
    return number;
  }

  private pack(source: PictureSource, fields: FrameFields): Binary {
    return packFrame(pictureOf(source, this.spec), { ...fields, tNs: BigInt(Math.round(now() * 1e6)) });
  }

  private checkedCamera(camera: number): number {
    if (camera > 0 && camera < this.session.cameras) return camera;
    const announced = `connect was called with cameras: ${this.session.cameras}`;
    throw new BridgeError(`camera ${camera}: ${announced}, and camera 0 is the picture`);
  }

  private sendText(message: Exclude<FromClient, Hello>): void {
    sendText(this.connection, message);
  }
}

/** Attach a game; rejects with `BridgeError` in one line where the server is away or refuses. */
export async function connect(url: string, options: ConnectOptions): Promise<GameClient> {
  const { seed, owner = "agent", agents = 1, cameras = 1, replay = false, mode = "realtime" } = options;
  const hello: Hello = {
    ...helloOf(options, "play"), mode, owner, agents, cameras,
    ...(replay ? { replay } : {}), ...(seed === undefined ? {} : { seed }),
  };
  const connection = connectionOf(url, new ClientSession(hello), options);
  await connection.open();
  return new GameClient(connection, options.spec, mode);
}

/** The hello's fields that do not depend on the role. */
export function helloOf(options: AttachOptions, role: "play" | "record"): Hello {
  const { spec, instruction = "", token, tasks = [] } = options;
  checkWords("instruction", instruction, 0);
  for (const task of tasks) checkWords("tasks", task, 0);
  const hello = { type: "hello", version: VERSION, role, sdk: SDK, spec, instruction, tasks } as const;
  return token === undefined ? hello : { ...hello, token };
}

export function connectionOf(url: string, session: ClientSession, options: AttachOptions): ReconnectingConnection {
  const { onState, onError, onMessage } = options;
  return new ReconnectingConnection(url, session, {
    WebSocket: socketClass(options.WebSocket),
    backoff: { ...DEFAULT_BACKOFF, ...options.backoff },
    onState: onState ?? (() => undefined),
    onMessage: (message) => {
      onMessage?.(message);
      if (message.type === "error") onError?.(new AnswerError(withHint(message), message.code));
    },
  });
}

export function sendText(connection: ReconnectingConnection, message: Exclude<FromClient, Hello>): void {
  if (!connection.transact(() => connection.session.send(message))) {
    throw new BridgeError("too many messages wait for the server: send less, or close");
  }
}

/** A picture's JSON as UTF-8; nothing where nothing is reported. */
export function encodeReport(report: StepReport): Uint8Array {
  const isEmpty = Object.values(report).every((value) => value === undefined || value === null);
  return new TextEncoder().encode(isEmpty ? "" : encode(report));
}

/** What is sent of a source: a canvas is drawn in the spec's size. */
export function pictureOf(source: PictureSource, spec: GameSpec): Picture {
  return "codec" in source ? source : rawPicture(source, spec.frame);
}
