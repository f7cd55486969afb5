/** Mouse: how far a person turned the view, and the buttons that are held, step by step. */
import { BridgeError } from "./errors.js";
import { HeldButtons, listen } from "./held_buttons.js";
/** Follows the mouse over a target, such as a canvas that locks the pointer (`requestPointerLock`). */
export class Mouse {
    bindings;
    /** Follow the mouse no more. */
    close;
    held;
    pixels = { x: 0, y: 0 };
    constructor(spec, bindings, target = globalThis) {
        this.bindings = bindings;
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
    take() {
        const { look, degreesPerPixel = 0.15 } = this.bindings;
        const { x, y } = this.pixels;
        this.pixels = { x: 0, y: 0 };
        const isTurned = look !== undefined && (x !== 0 || y !== 0);
        return { ...this.held.take(), ...(isTurned ? { [look]: [y * degreesPerPixel, x * degreesPerPixel] } : {}) };
    }
    move(x, y) {
        this.pixels = { x: this.pixels.x + x, y: this.pixels.y + y };
    }
}
