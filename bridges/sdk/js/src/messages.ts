/** Messages: the JSON of `iafm.bridge.v1`, as types. */

import type { Action, GameSpec } from "./spec.js";

export const SUBPROTOCOL = "iafm.bridge.v1";
export const VERSION = 1;

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
  | Hello | Instruct | EventMessage | ControlMessage | Correct | Say | Query | Clock | Subscribe | ReplayState | Replay
  | Ack | Bye;

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
