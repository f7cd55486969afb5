/** Fake socket: the server's side of a connection, in memory, and a clock that a test moves. */

import { mock } from "node:test";
import { connect, record } from "../dist/index.js";

export const SPEC = {
  id: "tank-v0",
  title: "Tank",
  frame: { height: 8, width: 8 },
  step_hz: 20,
  controls: [
    { kind: "button", name: "fire" },
    { kind: "button", name: "smoke" },
    { kind: "camera", name: "look", pitch_bins: [-2, 0, 2], yaw_bins: [-2, 0, 2] },
    { kind: "axis", name: "gas", low: 0.5, high: 1, bins: 3 },
    { kind: "choice", name: "shell", options: ["smoke", "armour"] },
    { kind: "stick", name: "tracks" },
    { kind: "text", name: "radio" },
  ],
  exclusive: [["fire", "smoke"]],
};
export const REST = { fire: 0, smoke: 0, look: [0, 0], gas: 0.5, shell: 0, tracks: [0, 0], radio: "" };
export const PICTURE = { codec: "gray", width: 8, height: 8, data: new Uint8Array(64) };

let time = 0;

/** Timers and `performance.now()` stand still until `pass` moves them. */
export function stopClock() {
  time = 0;
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  mock.method(performance, "now", () => time);
  mock.method(Math, "random", () => 1);
}

export function startClock() {
  mock.timers.reset();
  mock.restoreAll();
}

/** Let so many milliseconds pass, and what waits for promises go on. */
export async function pass(ms) {
  for (let left = ms; left > 0; left -= 50) {
    time += Math.min(left, 50);
    mock.timers.tick(Math.min(left, 50));
    await settle();
  }
  await settle();
}

export async function settle() {
  await new Promise((resolve) => setImmediate(resolve));
}

export class FakeSocket {
  static all = [];
  static get newest() {
    return FakeSocket.all.at(-1);
  }

  bufferedAmount = 0;
  isClosed = false;
  sent = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    FakeSocket.all.push(this);
  }

  send(data) {
    this.sent.push(data);
  }

  close() {
    this.isClosed = true;
  }

  /** The server's text. */
  say(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }

  /** The connection ends with a close code, 1006 for none. */
  lose(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }

  welcome(fields = {}) {
    this.onopen?.({});
    this.say({
      type: "welcome", session: "a", resume: "key", policy: "p", max_message: 1 << 22, max_pixels: 2073600,
      max_in_flight: 16, ...fields,
    });
  }

  /** Texts that were sent, but for the hello, probes and acknowledgements. */
  get texts() {
    const texts = this.sent.filter((data) => typeof data === "string").map((text) => JSON.parse(text));
    return texts.filter(({ type, t0 }) => !["hello", "ack"].includes(type) && t0 !== -1);
  }

  get hello() {
    return JSON.parse(this.sent[0]);
  }

  /** Numbers of the pictures that were sent. */
  get pictures() {
    const messages = this.sent.filter((data) => typeof data !== "string");
    return messages.map((data) => new DataView(data.buffer).getUint32(12, true));
  }
}

export function act(observation, fields = {}) {
  return {
    type: "act", session: "a", observation, action: { fire: 1 }, words: "fire", probability: 1, valid_ms: 300,
    step_ms: 50, latency: { queue_ms: 0, infer_ms: 0, age_ms: 0, batch: 1 }, ...fields,
  };
}

async function attached(attach, options, welcome) {
  const log = [];
  const coming = attach("127.0.0.1:8765", {
    spec: SPEC, WebSocket: FakeSocket, onState: (state) => log.push(state),
    onError: (error) => log.push(error.code), ...options,
  });
  const socket = FakeSocket.newest;
  socket.welcome(welcome);
  return { client: await coming, socket, log };
}

export const attach = (options = {}, welcome = {}) => attached(connect, options, welcome);
export const attachRecorder = (options = {}, credit = { picture: 2, bytes: 10_000 }) =>
  attached(record, options, { credit: { type: "credit", recorded: 0, ...credit } });
