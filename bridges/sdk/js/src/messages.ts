/** Messages: the JSON of `iafm.bridge.v1`, as types, and their text, checked on both ways. */

import { BridgeError } from "./errors.js";
import type { Action, GameSpec } from "./spec.js";

export const SUBPROTOCOL = "iafm.bridge.v1";
export const VERSION = 1;
/** Bytes of a text message. */
export const MAX_TEXT = 256 << 10;
/** Characters of an instruction, a correction or a thought. */
export const MAX_WORDS = 500;

/** Whose actions the game plays: a person's, the agent's, or the agent's until a person presses something. */
export type Owner = "human" | "agent" | "shared";
export type Mode = "realtime" | "lockstep";
export type QueryKind = "next_action" | "why" | "caption";
type Source = "game" | "console";

// --- from the game ---

export interface Hello {
  readonly type: "hello";
  readonly version?: number;
  readonly role?: "play" | "record" | "watch" | "query";
  readonly sdk?: string;
  readonly spec?: GameSpec;
  readonly token?: string;
  readonly resumable?: boolean;
  readonly resume?: string;
  readonly received?: number;
  readonly mode?: Mode;
  readonly instruction?: string;
  readonly tasks?: readonly string[];
  readonly seed?: number;
  readonly owner?: Owner;
  readonly agents?: number;
  readonly cameras?: number;
  readonly replay?: boolean;
}

export interface Instruct {
  readonly type: "instruct";
  readonly text: string;
  readonly release?: boolean;
  readonly session?: string;
  readonly agent?: number;
  readonly source?: Source;
}

/** Reward and end of an episode: `terminated` or `truncated` ends it. */
export interface EventMessage {
  readonly type: "event";
  readonly executed?: Action;
  readonly input?: Action;
  readonly score?: number;
  readonly reward?: number;
  readonly terminated?: boolean;
  readonly truncated?: boolean;
  readonly success?: boolean | null;
  readonly task?: string;
  readonly episode?: number;
  readonly session?: string;
  readonly agent?: number;
}

export interface ControlMessage {
  readonly type: "control";
  readonly owner: Owner;
  readonly session?: string;
  readonly agent?: number;
  readonly source?: Source;
}

export interface Correct {
  readonly type: "correct";
  readonly text: string;
  readonly session?: string;
  readonly agent?: number;
  readonly source?: Source;
}

export interface Say {
  readonly type: "say";
  readonly text: string;
  readonly session?: string;
  readonly agent?: number;
  readonly source?: Source;
}

export interface Query {
  readonly type: "query";
  readonly id: number;
  readonly kind: QueryKind;
  readonly session?: string;
  readonly agent?: number;
}

export interface Clock {
  readonly type: "clock";
  readonly t0: number;
  readonly t1?: number;
  readonly t2?: number;
}

export interface Subscribe {
  readonly type: "subscribe";
  readonly session: string | null;
  readonly pictures?: boolean;
}

export interface ReplayState {
  readonly type: "replay.state";
  readonly match?: string;
  readonly step?: number;
  readonly steps?: number;
  readonly paused?: boolean;
  readonly words?: string;
  readonly agent?: number;
}

export interface Replay {
  readonly type: "replay";
  readonly command: "play" | "pause" | "step" | "seek";
  readonly step?: number;
  readonly session?: string;
  readonly agent?: number;
}

export interface Ack {
  readonly type: "ack";
  readonly received: number;
}

export interface Bye {
  readonly type: "bye";
}

export type FromClient =
  | Hello | Instruct | EventMessage | ControlMessage | Correct | Say | Query | Clock | Subscribe | ReplayState | Replay | Ack | Bye;

/** What happened in the step before a picture: the JSON between its header and its bytes. */
export interface StepReport {
  /** What the game did. */
  readonly executed?: Action;
  /** What a person pressed; `{}` for one who waits, missing where nobody plays. */
  readonly input?: Action;
  readonly reward?: number;
  readonly score?: number;
  /** The game's state at the picture, at most 16384 bytes of JSON. */
  readonly state?: Readonly<Record<string, unknown>>;
}

// --- from the server ---

/** What a recording may send, counted from the session's beginning, and what the recorder has. */
export interface Credit {
  readonly type: "credit";
  readonly picture: number;
  readonly bytes: number;
  readonly recorded: number;
}

export interface Welcome {
  readonly type: "welcome";
  readonly version: number;
  readonly session: string;
  readonly resume: string;
  readonly resumed: boolean;
  readonly received: number;
  readonly observation: number | null;
  readonly observations: readonly (number | null)[];
  readonly policy: string;
  readonly instruction: string;
  /** Controls that the player cannot use, and fields of the hello that the server does not know. */
  readonly warnings: readonly string[];
  readonly max_message: number;
  readonly max_pixels: number;
  readonly max_in_flight: number;
  readonly credit: Credit | null;
  readonly owner: Owner;
  readonly agents: number;
}

export interface ActionText {
  readonly words: string;
  readonly probability: number;
}

export interface PlannedAction {
  readonly action: Action;
  readonly words: string;
}

/** The answer to one picture. */
export interface Act {
  readonly type: "act";
  readonly session: string;
  readonly observation: number;
  /** A value for each control. */
  readonly action: Action;
  readonly words: string;
  readonly probability: number;
  readonly alternatives: readonly ActionText[];
  readonly entropy: number;
  /** The steps after this one, should no newer answer come by then. */
  readonly later: readonly PlannedAction[];
  readonly step_ms: number;
  readonly valid_ms: number;
  /** Pictures of the session that a newer one replaced. */
  readonly dropped: number;
  readonly owner: Owner;
  readonly agent: number;
  readonly latency: {
    readonly queue_ms: number;
    readonly infer_ms: number;
    readonly age_ms: number;
    readonly batch: number;
  };
}

export interface Answer {
  readonly type: "text.done";
  readonly id: number;
  readonly kind: string;
  readonly text: string;
}

export interface ErrorMessage {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly path: string;
  readonly hint: string;
  readonly observation: number | null;
  readonly id: number | null;
  readonly agent: number;
}

/** An episode of a recording whose capture is closed. */
export interface RecordState {
  readonly type: "record.state";
  /** Name of the capture; empty where nothing is left. */
  readonly episode: string;
  readonly pictures: number;
  /** Of the pictures alone. */
  readonly bytes: number;
  readonly sha256: string;
  /** Written. */
  readonly steps: number;
  readonly dropped: number;
  /** Why not all of it was written. */
  readonly error: string;
}

export interface State {
  readonly type: "state";
  readonly policy: string;
  readonly sessions: readonly Readonly<Record<string, unknown>>[];
}

/** The server repeats `instruct`, `control`, `correct` and `say` with these fields. */
type Told<M> = M & { readonly agent: number; readonly source: Source | null };

export type FromServer =
  | Welcome | Act | Told<Instruct & { readonly release: boolean }> | Told<ControlMessage> | Told<Correct> | Told<Say>
  | (EventMessage & { readonly agent: number }) | Clock | State | Answer | (Replay & { readonly agent: number })
  | ErrorMessage | Ack | Credit | RecordState | Bye;

// --- as text ---

/** A message, or a picture's JSON, as text; throws `BridgeError` for what is no strict JSON, or too long. */
export function encode(message: FromClient | StepReport, maxBytes = MAX_TEXT): string {
  const text = JSON.stringify(message, refuseWhatIsNoJson);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > maxBytes) throw new BridgeError(`a text message has at most ${maxBytes} bytes, got ${bytes}`);
  return text;
}

function refuseWhatIsNoJson(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new BridgeError(`${key}: ${value} is not JSON`);
  if (LONE_SURROGATE.test(key) || (typeof value === "string" && LONE_SURROGATE.test(value))) {
    throw new BridgeError(`${key}: half of a surrogate pair is no character`);
  }
  return value;
}

const LONE_SURROGATE = /\p{Surrogate}/u;
/** A text with a long exponent, hundreds of digits or an escaped surrogate: a number may be too large, a half alone. */
const MAY_BE_NO_JSON = /[eE]\+?\d{3}|\d{200}|\\u[dD][89a-fA-F]/;

/** Throws `BridgeError` where a text has too many characters, or too few. */
export function checkWords(name: string, text: string, least: number, most = MAX_WORDS): void {
  const length = text.length <= most ? text.length : [...text].length;
  if (length < least || length > most) throw new BridgeError(`${name}: ${least} to ${most} characters, got ${length}`);
}

type Kind = "string" | "number" | "count" | "boolean" | "object" | "array";
/** A field's kind, and the value of one that is missing; a required field has none. */
type Field = readonly [kind: Kind, missing?: unknown];

const AGENT: Field = ["count", 0];
const TOLD = { agent: AGENT, session: ["string", null], source: ["string", null] } as const;
const FIELDS: Readonly<Record<string, Readonly<Record<string, Field>>>> = {
  welcome: {
    version: ["count", 1], session: ["string"], resume: ["string", ""], resumed: ["boolean", false],
    received: ["count", 0], observation: ["count", null], observations: ["array", []], policy: ["string"],
    instruction: ["string", ""], warnings: ["array", []], max_message: ["count"], max_pixels: ["count"],
    max_in_flight: ["count", 1], credit: ["object", null], owner: ["string", "agent"], agents: ["count", 1],
  },
  act: {
    session: ["string"], observation: ["count"], action: ["object"], words: ["string"], probability: ["number"],
    alternatives: ["array", []], entropy: ["number", 0], later: ["array", []], step_ms: ["number", 0],
    valid_ms: ["number"], dropped: ["count", 0], owner: ["string", "agent"], agent: AGENT, latency: ["object"],
  },
  instruct: { text: ["string"], release: ["boolean", false], ...TOLD },
  control: { owner: ["string"], ...TOLD },
  correct: { text: ["string"], ...TOLD },
  say: { text: ["string"], ...TOLD },
  event: {
    executed: ["object", null], input: ["object", null], score: ["number", null], reward: ["number", 0],
    terminated: ["boolean", false], truncated: ["boolean", false], success: ["boolean", null], task: ["string", ""],
    episode: ["count", 0], session: ["string", null], agent: AGENT,
  },
  clock: { t0: ["number"], t1: ["number", null], t2: ["number", null] },
  state: { policy: ["string"], sessions: ["array"] },
  "text.done": { id: ["number"], kind: ["string"], text: ["string"] },
  replay: { command: ["string"], step: ["count", 0], session: ["string", null], agent: AGENT },
  error: {
    code: ["string"], message: ["string"], path: ["string", ""], hint: ["string", ""], observation: ["count", null],
    id: ["number", null], agent: AGENT,
  },
  ack: { received: ["count"] },
  credit: { picture: ["count"], bytes: ["count"], recorded: ["count", 0] },
  "record.state": {
    episode: ["string"], pictures: ["count"], bytes: ["count"], sha256: ["string"], steps: ["count"],
    dropped: ["count", 0], error: ["string", ""],
  },
  bye: {},
};

/** A message from the server with the number that it may carry (`seq`, else null). */
export interface Received {
  /** Null for a type that this version does not know. */
  readonly message: FromServer | null;
  readonly seq: number | null;
}

/** Read a server's message; throws `BridgeError` where it is none. */
export function decode(text: string): Received {
  if (text.length > MAX_TEXT) throw foreign(`a text message of ${text.length} characters`);
  let value: Record<string, unknown>;
  try {
    value = MAY_BE_NO_JSON.test(text) ? JSON.parse(text, refuseWhatIsNoJson) : JSON.parse(text);
  } catch (error) {
    throw foreign(error instanceof BridgeError ? error.message : "no valid JSON");
  }
  if (kindOf(value) !== "object" || typeof value["type"] !== "string") {
    throw foreign('a message is a JSON object with a "type"');
  }
  const type = value["type"];
  const seq = value["seq"];
  return {
    message: Object.hasOwn(FIELDS, type) ? (complete(type, value, FIELDS[type]!) as FromServer) : null,
    seq: isCount(seq) && seq > 0 ? seq : null,
  };
}

function complete(type: string, value: Record<string, unknown>, fields: Readonly<Record<string, Field>>): unknown {
  const message: Record<string, unknown> = { ...value };
  delete message["seq"];
  for (const [name, [kind, missing]] of Object.entries(fields)) {
    if (message[name] === undefined || (message[name] === null && missing === null)) {
      if (missing === undefined) throw foreign(`${type}.${name} is missing`);
      message[name] = missing;
    } else if (!isOfKind(message[name], kind)) {
      throw foreign(`${type}.${name} is no ${kind}`);
    }
  }
  if (type === "welcome" && message["credit"] !== null) {
    message["credit"] = complete("credit", message["credit"] as Record<string, unknown>, FIELDS["credit"]!);
  }
  return message;
}

function isOfKind(value: unknown, kind: Kind): boolean {
  return kind === "count" ? isCount(value) : kindOf(value) === kind;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function kindOf(value: unknown): string {
  return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}

function foreign(problem: string): BridgeError {
  return new BridgeError(`the server does not speak ${SUBPROTOCOL}: ${problem}`);
}

/** A server's error in one line, with its way out. */
export function withHint(error: ErrorMessage): string {
  return error.hint ? `${error.message}; ${error.hint}` : error.message;
}
