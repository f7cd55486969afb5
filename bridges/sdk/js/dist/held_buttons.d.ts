/** Held buttons: what a person holds or tapped, as the buttons of a game, step by step. */
import type { GameSpec } from "./spec.js";
/** Where a person's events come from: a page's `window`, a canvas, or a fake one. */
export interface InputTarget {
    addEventListener(type: string, listener: (event: any) => void): void;
    removeEventListener(type: string, listener: (event: any) => void): void;
}
/** Follows physical buttons, each bound to a button of the game; of those that exclude each other the newest counts. */
export declare class HeldButtons {
    private readonly spec;
    private readonly bindings;
    /** Codes in the order in which they were pressed. */
    private down;
    /** Codes that were pressed since the last step, be they up again. */
    private pressed;
    constructor(spec: GameSpec, bindings: Readonly<Record<string, string>>);
    isBound(code: string): boolean;
    press(code: string): void;
    release(code: string): void;
    releaseAll(): void;
    /** The buttons of the step that begins now, `{left: 1}`; a tap that is over counts once. */
    take(): Record<string, number>;
}
/** Listens until the returned function is called. */
export declare function listen(target: InputTarget, listeners: Readonly<Record<string, (event: any) => void>>): () => void;
