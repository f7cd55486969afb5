/** Mouse: how far a person turned the view, and the buttons that are held, step by step. */
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
export declare class Mouse {
    private readonly bindings;
    /** Follow the mouse no more. */
    readonly close: () => void;
    private readonly held;
    private pixels;
    constructor(spec: GameSpec, bindings: MouseBindings, target?: InputTarget);
    /** The input of the step that begins now: `{look: [pitch, yaw], hit: 1}`, only what is not at rest. */
    take(): Record<string, Value>;
    private move;
}
