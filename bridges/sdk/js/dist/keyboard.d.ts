/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */
import type { InputTarget } from "./held_buttons.js";
import type { GameSpec } from "./spec.js";
/** Keys by `KeyboardEvent.code` (`ArrowLeft`, `KeyW`), each with the name of a button. */
export type KeyBindings = Readonly<Record<string, string>>;
/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export declare class Keyboard {
    /** Follow the keys no more. */
    readonly close: () => void;
    private readonly held;
    constructor(spec: GameSpec, bindings: KeyBindings, target?: InputTarget);
    /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
    take(): Record<string, number>;
    private press;
}
