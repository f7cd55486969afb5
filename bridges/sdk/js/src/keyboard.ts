/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */

import { BridgeError } from "./errors.js";
import type { GameSpec } from "./spec.js";

/** Where key events come from: a page's `window`, or a fake one. */
export interface KeyTarget {
  addEventListener(type: string, listener: (event: any) => void): void;
  removeEventListener(type: string, listener: (event: any) => void): void;
}

/** Keys by `KeyboardEvent.code` (`ArrowLeft`, `KeyW`), each with the name of a button. */
export type KeyBindings = Readonly<Record<string, string>>;

/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export class Keyboard {
  /** Codes in the order in which they were pressed. */
  private down: string[] = [];
  /** Codes that were pressed since the last step, be they up again. */
  private pressed: string[] = [];
  private readonly listeners: Readonly<Record<string, (event: any) => void>>;

  constructor(
    private readonly spec: GameSpec,
    private readonly bindings: KeyBindings,
    private readonly target: KeyTarget = globalThis as unknown as KeyTarget,
  ) {
    const buttons = new Set(spec.controls.filter(({ kind }) => kind === "button").map(({ name }) => name));
    for (const name of Object.values(bindings)) {
      if (!buttons.has(name)) throw new BridgeError(`no button called ${name} in ${spec.id}`);
    }
    this.listeners = {
      keydown: (event) => this.press(event),
      keyup: (event) => (this.down = this.down.filter((code) => code !== event.code)),
      blur: () => (this.down = []),
    };
    for (const [type, listener] of Object.entries(this.listeners)) target.addEventListener(type, listener);
  }

  /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
  take(): Record<string, number> {
    const codes = [...this.pressed.filter((code) => !this.down.includes(code)), ...this.down];
    this.pressed = [];
    const names = codes.map((code) => this.bindings[code]!);
    for (const group of this.spec.exclusive ?? []) {
      const last = names.findLast((name) => group.includes(name));
      for (let i = names.length - 1; i >= 0; i--) {
        if (group.includes(names[i]!) && names[i] !== last) names.splice(i, 1);
      }
    }
    return Object.fromEntries(names.map((name) => [name, 1]));
  }

  /** Follow the keys no more. */
  close(): void {
    for (const [type, listener] of Object.entries(this.listeners)) this.target.removeEventListener(type, listener);
  }

  private press(event: KeyboardEvent): void {
    if (this.bindings[event.code] === undefined || event.ctrlKey || event.metaKey) return;
    event.preventDefault(); // arrows and space would scroll the page
    if (event.repeat) return;
    this.down = [...this.down.filter((code) => code !== event.code), event.code];
    this.pressed.push(event.code);
  }
}
