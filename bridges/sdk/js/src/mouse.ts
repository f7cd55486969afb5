/** Mouse: how far a person turned the view, and the buttons that are held, step by step. */

import { BridgeError } from "./errors.js";
import { HeldButtons, listen } from "./held_buttons.js";
import type { InputTarget } from "./held_buttons.js";
import type { GameSpec, Value } from "./spec.js";

export interface MouseBindings {
  /** Name of the camera that the mouse turns. */
  readonly look?: string;
  /** How far a pixel turns it (0.15). */
  readonly degreesPerPixel?: number;
  /** Mouse buttons by number (0 left, 1 middle, 2 right), each with the name of a button. */
  readonly buttons?: Readonly<Record<number, string>>;
}

/** Follows the mouse over a target, such as a canvas that locks the pointer (`requestPointerLock`). */
export class Mouse {
  /** Follow the mouse no more. */
  readonly close: () => void;
  private readonly held: HeldButtons;
  private pixels = { x: 0, y: 0 };

  constructor(
    spec: GameSpec, private readonly bindings: MouseBindings, target = globalThis as unknown as InputTarget,
  ) {
    const { look, buttons = {} } = bindings;
    if (look !== undefined && !spec.controls.some(({ kind, name }) => kind === "camera" && name === look)) {
      throw new BridgeError(`no camera called ${look} in ${spec.id}`);
    }
    this.held = new HeldButtons(spec, buttons);
    const stopTarget = listen(target, {
      mousemove: ({ movementX, movementY }) => this.move(movementX, movementY),
      mousedown: ({ button }) => this.held.isBound(String(button)) && this.held.press(String(button)),
    });
    const stopWindow = listen(globalThis.window ?? target, {
      mouseup: ({ button }) => this.held.release(String(button)), // be it outside of the target
      blur: () => this.held.releaseAll(),
    });
    this.close = () => [stopTarget, stopWindow].forEach((stop) => stop());
  }

  /** The input of the step that begins now: `{look: [pitch, yaw], hit: 1}`, only what is not at rest. */
  take(): Record<string, Value> {
    const { look, degreesPerPixel = 0.15 } = this.bindings;
    const { x, y } = this.pixels;
    this.pixels = { x: 0, y: 0 };
    const isTurned = look !== undefined && (x !== 0 || y !== 0);
    return { ...this.held.take(), ...(isTurned ? { [look]: [y * degreesPerPixel, x * degreesPerPixel] } : {}) };
  }

  private move(x: number, y: number): void {
    this.pixels = { x: this.pixels.x + x, y: this.pixels.y + y };
  }
}
