/** Held buttons: what a person holds or tapped, as the buttons of a game, step by step. */
import { BridgeError } from "./errors.js";
/** Follows physical buttons, each bound to a button of the game; of those that exclude each other the newest counts. */
export class HeldButtons {
    spec;
    bindings;
    /** Codes in the order in which they were pressed. */
    down = [];
    /** Codes that were pressed since the last step, be they up again. */
    pressed = [];
    constructor(spec, bindings) {
        this.spec = spec;
        this.bindings = bindings;
        const buttons = new Set(spec.controls.filter(({ kind }) => kind === "button").map(({ name }) => name));
        for (const name of Object.values(bindings)) {
            if (!buttons.has(name))
                throw new BridgeError(`no button called ${name} in ${spec.id}`);
        }
    }
    isBound(code) {
        return this.bindings[code] !== undefined;
    }
    press(code) {
        this.down = [...this.down.filter((other) => other !== code), code];
        this.pressed.push(code);
    }
    release(code) {
        this.down = this.down.filter((other) => other !== code);
    }
    releaseAll() {
        this.down = [];
    }
    /** The buttons of the step that begins now, `{left: 1}`; a tap that is over counts once. */
    take() {
        const codes = [...this.pressed.filter((code) => !this.down.includes(code)), ...this.down];
        this.pressed = [];
        let names = codes.map((code) => this.bindings[code]);
        for (const group of this.spec.exclusive ?? []) {
            const last = names.findLast((name) => group.includes(name));
            names = names.filter((name) => name === last || !group.includes(name));
        }
        return Object.fromEntries(names.map((name) => [name, 1]));
    }
}
/** Listens until the returned function is called. */
export function listen(target, listeners) {
    for (const [type, listener] of Object.entries(listeners))
        target.addEventListener(type, listener);
    return () => {
        for (const [type, listener] of Object.entries(listeners))
            target.removeEventListener(type, listener);
    };
}
