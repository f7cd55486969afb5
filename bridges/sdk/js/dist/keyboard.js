/** Keyboard: the keys that a person holds, as the buttons of a game, step by step. */
import { BridgeError } from "./errors.js";
/** Follows the keys; of buttons that exclude each other the one pressed last counts. */
export class Keyboard {
    spec;
    bindings;
    target;
    /** Codes in the order in which they were pressed. */
    down = [];
    /** Codes that were pressed since the last step, be they up again. */
    pressed = [];
    listeners;
    constructor(spec, bindings, target = globalThis) {
        this.spec = spec;
        this.bindings = bindings;
        this.target = target;
        const buttons = new Set(spec.controls.filter(({ kind }) => kind === "button").map(({ name }) => name));
        for (const name of Object.values(bindings)) {
            if (!buttons.has(name))
                throw new BridgeError(`no button called ${name} in ${spec.id}`);
        }
        this.listeners = {
            keydown: (event) => this.press(event),
            keyup: (event) => (this.down = this.down.filter((code) => code !== event.code)),
            blur: () => (this.down = []),
        };
        for (const [type, listener] of Object.entries(this.listeners))
            target.addEventListener(type, listener);
    }
    /** The input of the step that begins now: `{left: 1}`, `{}` where nothing is pressed. A short tap counts once. */
    take() {
        const codes = [...this.pressed.filter((code) => !this.down.includes(code)), ...this.down];
        this.pressed = [];
        const names = codes.map((code) => this.bindings[code]);
        for (const group of this.spec.exclusive ?? []) {
            const last = names.findLast((name) => group.includes(name));
            for (let i = names.length - 1; i >= 0; i--) {
                if (group.includes(names[i]) && names[i] !== last)
                    names.splice(i, 1);
            }
        }
        return Object.fromEntries(names.map((name) => [name, 1]));
    }
    /** Follow the keys no more. */
    close() {
        for (const [type, listener] of Object.entries(this.listeners))
            this.target.removeEventListener(type, listener);
    }
    press(event) {
        if (this.bindings[event.code] === undefined || event.ctrlKey || event.metaKey)
            return;
        event.preventDefault(); // arrows and space would scroll the page
        if (event.repeat)
            return;
        this.down = [...this.down.filter((code) => code !== event.code), event.code];
        this.pressed.push(event.code);
    }
}
