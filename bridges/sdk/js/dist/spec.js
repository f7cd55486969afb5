/** Game spec: what a game is, its controls, and actions of them. */
/** The action that does nothing, which is also the failsafe: no button down, nothing turned. */
export function nullAction(spec) {
    return Object.fromEntries(spec.controls.map((control) => [control.name, valueAtRest(control)]));
}
/** Whether an action, or a part of one, does nothing. */
export function isAtRest(spec, action) {
    return spec.controls.every((control) => {
        const value = action[control.name];
        const rest = valueAtRest(control);
        if (value === undefined)
            return true;
        if (control.kind === "stick")
            return Array.isArray(value) && value[1] === 0;
        if (Array.isArray(rest))
            return Array.isArray(value) && value.every((part) => part === 0);
        return value === rest;
    });
}
function valueAtRest(control) {
    switch (control.kind) {
        case "camera":
        case "stick":
            return [0, 0];
        case "axis":
            return levelNearestToZero(control);
        case "text":
            return "";
        default:
            return 0;
    }
}
function levelNearestToZero({ low = -1, high = 1, bins = 11 }) {
    let nearest = low;
    for (let i = 0; i < bins; i++) {
        const level = i === bins - 1 ? high : low + (i * (high - low)) / (bins - 1);
        if (Math.abs(level) < Math.abs(nearest))
            nearest = level;
    }
    return nearest;
}
