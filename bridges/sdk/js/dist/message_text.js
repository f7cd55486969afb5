/** Message text: messages as strict JSON, checked both ways. */
import { BridgeError } from "./errors.js";
import { SUBPROTOCOL } from "./messages.js";
/** Bytes of a text message. */
export const MAX_TEXT = 256 << 10;
/** Characters of an instruction, a correction or a thought. */
const MAX_WORDS = 500;
/** A message, or a picture's JSON, as text; throws `BridgeError` for what is no strict JSON, or too long. */
export function encode(message, maxBytes = MAX_TEXT) {
    const text = JSON.stringify(message, refuseWhatIsNoJson);
    const bytes = new TextEncoder().encode(text).length;
    if (bytes > maxBytes)
        throw new BridgeError(`a text message has at most ${maxBytes} bytes, got ${bytes}`);
    return text;
}
function refuseWhatIsNoJson(key, value) {
    if (typeof value === "number" && !Number.isFinite(value))
        throw new BridgeError(`${key}: ${value} is not JSON`);
    if (LONE_SURROGATE.test(key) || (typeof value === "string" && LONE_SURROGATE.test(value))) {
        throw new BridgeError(`${key}: half of a surrogate pair is no character`);
    }
    return value;
}
const LONE_SURROGATE = /\p{Surrogate}/u;
/** A text with a long exponent, hundreds of digits or an escaped surrogate: a number may be too large, a half alone. */
const MAY_BE_NO_JSON = /[eE]\+?\d{3}|\d{200}|\\u[dD][89a-fA-F]/;
/** Throws `BridgeError` where a text has too many characters, or too few. */
export function checkWords(name, text, least, most = MAX_WORDS) {
    const length = text.length <= most ? text.length : [...text].length;
    if (length < least || length > most)
        throw new BridgeError(`${name}: ${least} to ${most} characters, got ${length}`);
}
const AGENT = ["count", 0];
const TOLD = { agent: AGENT, session: ["string", null], source: ["string", null] };
const FIELDS = {
    welcome: {
        version: ["count", 1], session: ["string"], resume: ["string", ""], resumed: ["boolean", false],
        received: ["count", 0], observation: ["count", null], observations: ["array", []], policy: ["string"],
        instruction: ["string", ""], warnings: ["array", []], max_message: ["count"], max_pixels: ["count"],
        max_in_flight: ["count", 1], credit: ["object", null], owner: ["string", "agent"], agents: ["count", 1],
    },
    act: {
        session: ["string"], observation: ["count"], action: ["object"], words: ["string"], probability: ["number"],
        alternatives: ["array", []], entropy: ["number", 0], later: ["array", []], step_ms: ["number", 0],
        valid_ms: ["number"], dropped: ["count", 0], owner: ["string", "agent"], agent: AGENT, latency: ["object"],
    },
    instruct: { text: ["string"], release: ["boolean", false], ...TOLD },
    control: { owner: ["string"], ...TOLD },
    correct: { text: ["string"], ...TOLD },
    say: { text: ["string"], ...TOLD },
    event: {
        executed: ["object", null], input: ["object", null], score: ["number", null], reward: ["number", 0],
        terminated: ["boolean", false], truncated: ["boolean", false], success: ["boolean", null], task: ["string", ""],
        episode: ["count", 0], session: ["string", null], agent: AGENT,
    },
    clock: { t0: ["number"], t1: ["number", null], t2: ["number", null] },
    state: { policy: ["string"], sessions: ["array"] },
    "text.done": { id: ["number"], kind: ["string"], text: ["string"] },
    replay: { command: ["string"], step: ["count", 0], session: ["string", null], agent: AGENT },
    error: {
        code: ["string"], message: ["string"], path: ["string", ""], hint: ["string", ""], observation: ["count", null],
        id: ["number", null], agent: AGENT,
    },
    ack: { received: ["count"] },
    credit: { picture: ["count"], bytes: ["count"], recorded: ["count", 0] },
    "record.state": {
        episode: ["string"], pictures: ["count"], bytes: ["count"], sha256: ["string"], steps: ["count"],
        dropped: ["count", 0], error: ["string", ""],
    },
    bye: {},
};
/** Read a server's message; throws `BridgeError` where it is none. */
export function decode(text) {
    if (text.length > MAX_TEXT)
        throw foreign(`a text message of ${text.length} characters`);
    let value;
    try {
        value = MAY_BE_NO_JSON.test(text) ? JSON.parse(text, refuseWhatIsNoJson) : JSON.parse(text);
    }
    catch (error) {
        throw foreign(error instanceof BridgeError ? error.message : "no valid JSON");
    }
    if (kindOf(value) !== "object" || typeof value["type"] !== "string") {
        throw foreign('a message is a JSON object with a "type"');
    }
    const type = value["type"];
    const seq = value["seq"];
    return {
        message: Object.hasOwn(FIELDS, type) ? complete(type, value, FIELDS[type]) : null,
        seq: isCount(seq) && seq > 0 ? seq : null,
    };
}
function complete(type, value, fields) {
    const message = { ...value };
    delete message["seq"];
    for (const [name, [kind, missing]] of Object.entries(fields)) {
        if (message[name] === undefined || (message[name] === null && missing === null)) {
            if (missing === undefined)
                throw foreign(`${type}.${name} is missing`);
            message[name] = missing;
        }
        else if (!isOfKind(message[name], kind)) {
            throw foreign(`${type}.${name} is no ${kind}`);
        }
    }
    if (type === "welcome" && message["credit"] !== null) {
        message["credit"] = complete("credit", message["credit"], FIELDS["credit"]);
    }
    return message;
}
function isOfKind(value, kind) {
    return kind === "count" ? isCount(value) : kindOf(value) === kind;
}
function isCount(value) {
    return Number.isSafeInteger(value) && value >= 0;
}
function kindOf(value) {
    return Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
}
function foreign(problem) {
    return new BridgeError(`the server does not speak ${SUBPROTOCOL}: ${problem}`);
}
/** A server's error in one line, with its way out. */
export function withHint(error) {
    return error.hint ? `${error.message}; ${error.hint}` : error.message;
}
