/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */
import { HeldButtons, listen } from "./held_buttons.js";
/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export class Keyboard {
    /** Follow the keys no more. */
    close;
    held;
    constructor(spec, bindings, target = globalThis) {
        this.held = new HeldButtons(spec, bindings);
        this.close = listen(target, {
            keydown: (event) => this.press(event),
            keyup: ({ code }) => this.held.release(code),
            blur: () => this.held.releaseAll(),
        });
    }
    /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
    take() {
        return this.held.take();
    }
    press(event) {
        if (!this.held.isBound(event.code) || event.ctrlKey || event.metaKey)
            return;
        event.preventDefault(); // arrows and space would scroll the page
        if (!event.repeat)
            this.held.press(event.code);
    }
}
