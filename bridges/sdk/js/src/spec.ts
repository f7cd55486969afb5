/** Game spec: what a game is, its controls, and actions of them. */

interface ControlBase {
  /** `^[A-Za-z][A-Za-z0-9_.]{0,47}$`, each one once. */
  readonly name: string;
  /** What the control does, by the shared vocabulary (`move.forward`), or the game's own (`my-game/cast_net`). */
  readonly meaning?: string;
}

/** 0 or 1. */
export interface Button extends ControlBase {
  readonly kind: "button";
  readonly label?: string;
}

/** `[pitch, yaw]` in degrees within one step: down and right are positive. */
export interface Camera extends ControlBase {
  readonly kind: "camera";
  readonly pitch_bins: readonly number[];
  readonly yaw_bins: readonly number[];
  readonly label?: string;
  readonly pitch_token?: string;
  readonly yaw_token?: string;
}

/** `[angle, size]`: 0° is up, angles grow clockwise; size is 0 to 1. */
export interface Stick extends ControlBase {
  readonly kind: "stick";
  readonly rotation_bins?: number;
  readonly magnitude_bins?: number;
  readonly rotation_token?: string;
  readonly magnitude_token?: string;
}

/** A number from `low` (-1) to `high` (1), in `bins` (11) levels. */
export interface Axis extends ControlBase {
  readonly kind: "axis";
  readonly low?: number;
  readonly high?: number;
  readonly bins?: number;
  readonly always?: boolean;
  readonly token?: string;
}

/** The index of an option; the first is at rest. */
export interface Choice extends ControlBase {
  readonly kind: "choice";
  readonly options: readonly string[];
  readonly always?: boolean;
  readonly token?: string;
}

/** Free text. */
export interface TextControl extends ControlBase {
  readonly kind: "text";
  readonly max_length?: number;
}

export type Control = Button | Camera | Stick | Axis | Choice | TextControl;

/** What a game is; the server checks it and names what is wrong. */
export interface GameSpec {
  /** The game's name and version, `my-game-v0`. */
  readonly id: string;
  readonly title: string;
  /** Size of the pictures in pixels. */
  readonly frame: { readonly height: number; readonly width: number };
  readonly step_hz: number;
  readonly controls: readonly Control[];
  /** Groups of buttons that are never down together. */
  readonly exclusive?: readonly (readonly string[])[];
  /** Sentences about the game. */
  readonly hints?: readonly string[];
}

/** A control's value: a button is 0 or 1, a camera or stick two numbers, an axis a number, a choice an index. */
export type Value = number | string | readonly [number, number];

/** Values by the controls' names; one that is reported may be partial. */
export type Action = Readonly<Record<string, Value>>;

/** The action that does nothing, which is also the failsafe: no button down, nothing turned. */
export function nullAction(spec: GameSpec): Record<string, Value> {
  return Object.fromEntries(spec.controls.map((control) => [control.name, valueAtRest(control)]));
}

/** Whether an action, or a part of one, does nothing. */
export function isAtRest(spec: GameSpec, action: Action): boolean {
  return spec.controls.every((control) => {
    const value = action[control.name];
    const rest = valueAtRest(control);
    if (value === undefined) return true;
    if (control.kind === "stick") return Array.isArray(value) && value[1] === 0;
    if (Array.isArray(rest)) return Array.isArray(value) && value.every((part) => part === 0);
    return value === rest;
  });
}

function valueAtRest(control: Control): Value {
  switch (control.kind) {
    case "camera":
    case "stick":
      return [0, 0];
    case "axis":
      return levelNearestToZero(control);
    case "text":
      return "";
    default:
      return 0;
  }
}

function levelNearestToZero({ low = -1, high = 1, bins = 11 }: Axis): number {
  let nearest = low;
  for (let i = 0; i < bins; i++) {
    const level = i === bins - 1 ? high : low + (i * (high - low)) / (bins - 1);
    if (Math.abs(level) < Math.abs(nearest)) nearest = level;
  }
  return nearest;
}
