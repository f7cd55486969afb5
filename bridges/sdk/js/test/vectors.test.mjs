/** Golden vectors: this side writes and reads the same bytes as the server's. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BridgeError, decode, encode, packFrame, unpackFrame } from "../dist/index.js";

const vectors = JSON.parse(readFileSync(new URL("../../vectors.json", import.meta.url), "utf8"));

function filled(text) {
  return typeof text === "string" ? text : (text.before ?? "") + text.fill.repeat(text.times) + (text.after ?? "");
}

function pictureOf({ codec, width, height, bottom_up, payload }) {
  const isHex = typeof payload === "string";
  const data = isHex ? Buffer.from(payload, "hex") : new Uint8Array(payload.times).fill(payload.fill);
  return { codec, width, height, bottomUp: bottom_up, data };
}

function fieldsOf({ number, camera, agent, t_ns, meta }) {
  return { number, camera, agent, tNs: BigInt(t_ns), meta: new TextEncoder().encode(filled(meta)) };
}

function described(message, like) {
  if (typeof like === "string") return Buffer.from(message).toString("hex");
  return { bytes: message.length, sha256: createHash("sha256").update(message).digest("hex") };
}

for (const [name, text] of Object.entries(vectors.client)) {
  test(`a game's text: ${name}`, () => assert.equal(encode(JSON.parse(text)), text));
}

for (const [name, { text, message }] of Object.entries(vectors.server)) {
  test(`a server's text: ${name}`, () => {
    const known = new Set(Object.keys(message));
    const read = Object.entries(decode(text).message).filter(([field]) => known.has(field));
    assert.deepEqual(Object.fromEntries(read), message);
  });
}

for (const [name, vector] of Object.entries(vectors.frames)) {
  test(`a frame: ${name}`, () => {
    const picture = pictureOf(vector);
    const message = packFrame(picture, fieldsOf(vector));
    assert.deepEqual(described(message, vector.message), vector.message);
    const frame = unpackFrame(message);
    assert.deepEqual(
      { ...frame.picture, data: Buffer.from(frame.picture.data) }, { ...picture, data: Buffer.from(picture.data) },
    );
    const { number, camera, agent, tNs, meta } = frame;
    assert.deepEqual({ number, camera, agent, tNs, meta }, fieldsOf(vector));
  });
}

for (const [name, text] of Object.entries(vectors.refused_texts)) {
  test(`a refused text: ${name}`, () => assert.throws(() => decode(filled(text)), BridgeError));
}

for (const [name, vector] of Object.entries(vectors.refused_frames)) {
  test(`a refused frame: ${name}`, () => {
    assert.throws(() => packFrame(pictureOf(vector), fieldsOf(vector)), BridgeError);
  });
}

test("what is no JSON is not written", () => {
  const say = (text) => encode({ type: "say", text });
  for (const reward of [NaN, Infinity, -Infinity]) assert.throws(() => encode({ type: "event", reward }), BridgeError);
  assert.throws(() => encode({ executed: { look: [0, NaN] } }), BridgeError);
  assert.throws(() => say("\ud83d"), BridgeError);
  assert.throws(() => encode({ state: { "\udc00": 1 } }), BridgeError);
  assert.throws(() => say("x".repeat(256 << 10)), BridgeError);
  assert.throws(() => say("走".repeat(90_000)), BridgeError);
  assert.equal(say("\\ud83d"), '{"type":"say","text":"\\\\ud83d"}');
});

test("a raw picture of 1920x1080 does not fit into a message", () => {
  const data = new Uint8Array(1920 * 1080 * 3);
  assert.throws(() => packFrame({ codec: "rgb", width: 1920, height: 1080, data }, { number: 1 }), /send it as JPEG/);
});
