/** Held buttons: what a person holds or tapped, as the buttons of a game, step by step. */

import { BridgeError } from "./errors.js";
import type { GameSpec } from "./spec.js";

/** Where a person's events come from: a page's `window`, a canvas, or a fake one. */
export interface InputTarget {
  addEventListener(type: string, listener: (event: any) => void): void;
  removeEventListener(type: string, listener: (event: any) => void): void;
}

/** Follows physical buttons, each bound to a button of the game; of those that exclude each other the newest counts. */
export class HeldButtons {
  /** Codes in the order in which they were pressed. */
  private down: string[] = [];
  /** Codes that were pressed since the last step, be they up again. */
  private pressed: string[] = [];

  constructor(private readonly spec: GameSpec, private readonly bindings: Readonly<Record<string, string>>) {
    const buttons = new Set(spec.controls.filter(({ kind }) => kind === "button").map(({ name }) => name));
    for (const name of Object.values(bindings)) {
      if (!buttons.has(name)) throw new BridgeError(`no button called ${name} in ${spec.id}`);
    }
  }

  isBound(code: string): boolean {
    return this.bindings[code] !== undefined;
  }

  press(code: string): void {
    this.down = [...this.down.filter((other) => other !== code), code];
    this.pressed.push(code);
  }

  release(code: string): void {
    this.down = this.down.filter((other) => other !== code);
  }

  releaseAll(): void {
    this.down = [];
  }

  /** The buttons of the step that begins now, `{left: 1}`; a tap that is over counts once. */
  take(): Record<string, number> {
    const codes = [...this.pressed.filter((code) => !this.down.includes(code)), ...this.down];
    this.pressed = [];
    let names = codes.map((code) => this.bindings[code]!);
    for (const group of this.spec.exclusive ?? []) {
      const last = names.findLast((name) => group.includes(name));
      names = names.filter((name) => name === last || !group.includes(name));
    }
    return Object.fromEntries(names.map((name) => [name, 1]));
  }
}

/** Listens until the returned function is called. */
export function listen(target: InputTarget, listeners: Readonly<Record<string, (event: any) => void>>): () => void {
  for (const [type, listener] of Object.entries(listeners)) target.addEventListener(type, listener);
  return () => {
    for (const [type, listener] of Object.entries(listeners)) target.removeEventListener(type, listener);
  };
}
