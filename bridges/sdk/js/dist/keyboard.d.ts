/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */
import type { GameSpec } from "./spec.js";
/** Where key events come from: a page's `window`, or a fake one. */
export interface KeyTarget {
    addEventListener(type: string, listener: (event: any) => void): void;
    removeEventListener(type: string, listener: (event: any) => void): void;
}
/** Keys by `KeyboardEvent.code` (`ArrowLeft`, `KeyW`), each with the name of a button. */
export type KeyBindings = Readonly<Record<string, string>>;
/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export declare class Keyboard {
    private readonly spec;
    private readonly bindings;
    private readonly target;
    /** Codes in the order in which they were pressed. */
    private down;
    /** Codes that were pressed since the last step, be they up again. */
    private pressed;
    private readonly listeners;
    constructor(spec: GameSpec, bindings: KeyBindings, target?: KeyTarget);
    /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
    take(): Record<string, number>;
    /** Follow the keys no more. */
    close(): void;
    private press;
}
