/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */

import { HeldButtons, listen } from "./held_buttons.js";
import type { InputTarget } from "./held_buttons.js";
import type { GameSpec } from "./spec.js";

/** Keys by `KeyboardEvent.code` (`ArrowLeft`, `KeyW`), each with the name of a button. */
export type KeyBindings = Readonly<Record<string, string>>;

/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export class Keyboard {
  /** Follow the keys no more. */
  readonly close: () => void;
  private readonly held: HeldButtons;

  constructor(spec: GameSpec, bindings: KeyBindings, target = globalThis as unknown as InputTarget) {
    this.held = new HeldButtons(spec, bindings);
    this.close = listen(target, {
      keydown: (event) => this.press(event),
      keyup: ({ code }) => this.held.release(code),
      blur: () => this.held.releaseAll(),
    });
  }

  /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
  take(): Record<string, number> {
    return this.held.take();
  }

  private press(event: KeyboardEvent): void {
    if (!this.held.isBound(event.code) || event.ctrlKey || event.metaKey) return;
    event.preventDefault(); // arrows and space would scroll the page
    if (!event.repeat) this.held.press(event.code);
  }
}
