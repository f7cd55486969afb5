/** Sessions over a fake socket: what is played, what is sent again, and what ends a session. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import { AnswerError, BridgeError, connect, websocketUrl } from "../dist/index.js";
import { Sha256 } from "../dist/sha256.js";
import {
  FakeSocket, PICTURE, REST, SPEC, act, attach, attachRecorder, pass, settle, startClock, stopClock,
} from "./fake_socket.mjs";

beforeEach(stopClock);
afterEach(startClock);

const vectors = JSON.parse(readFileSync(new URL("../../vectors.json", import.meta.url), "utf8"));

// --- what is written ---

test("methods write the texts of the golden vectors", async () => {
  const golden = (name) => JSON.parse(vectors.client[name]);
  const { type, version, role, sdk, resumable, ...options } = golden("hello");
  const { client, socket } = await attach(options, { agents: 2 });
  assert.equal(socket.sent[0], vectors.client["hello"]);
  const { type: _, ...event } = golden("event");
  const { type: __, ...replay } = golden("replay.state");
  const calls = {
    instruct: () => client.instruct(golden("instruct").text, { agent: 1 }),
    "instruct nothing": () => client.instruct(""),
    event: () => client.event(event),
    control: () => client.control("human"),
    correct: () => client.correct(golden("correct").text),
    say: () => client.say("x", { agent: 1 }),
    query: () => client.ask("why").catch(() => undefined),
    "replay.state": () => client.replayState(replay),
  };
  Object.entries(calls).forEach(([name, call], i) => {
    call();
    assert.equal(socket.sent.at(-1), `{"seq":${i + 1},${vectors.client[name].slice(1)}`);
  });
  const { client: recorder, socket: other } = await attachRecorder({ spec: golden("hello of a recording").spec });
  assert.equal(other.sent[0], vectors.client["hello of a recording"]);
  const closing = client.close();
  await pass(1000);
  await closing;
  assert.equal(socket.sent.at(-1), vectors.client["bye"]);
  void recorder;
});

test("wrong values are refused before they are sent", async () => {
  const { client, socket } = await attach({ owner: "shared" });
  const { length } = socket.sent;
  for (const wrong of [
    () => client.say(""), () => client.say("x".repeat(501)), () => client.instruct("😀".repeat(501)),
    () => client.send({ ...PICTURE, width: 9 }), () => client.send(PICTURE, { reward: NaN }),
    () => client.send(PICTURE, { agent: 1 }), () => client.send(PICTURE, { cameras: { 1: PICTURE } }),
    () => client.send(PICTURE, { state: { text: "x".repeat(70_000) } }), () => client.event({ task: "x".repeat(101) }),
  ]) assert.throws(wrong, BridgeError);
  assert.equal(socket.sent.length, length);
  assert.equal(client.send(PICTURE), 1); // no number was used up
  client.say("😀".repeat(500));
});

test("addresses", () => {
  for (const address of ["h:1", "ws://h:1", "ws://h:1/v1", "ws://h:1/v1/", "http://h:1/", " h:1 "]) {
    assert.equal(websocketUrl(address), "ws://h:1/v1");
  }
  assert.equal(websocketUrl("https://h"), "wss://h/v1");
  assert.equal(websocketUrl("[::1]:8765"), "ws://[::1]:8765/v1");
  for (const address of ["", "ftp://h", "ws://h/v2", "ws://u:secret@h", "ws://h/v1?token=secret", "ws://h:1:2"]) {
    const isQuiet = (error) => error instanceof BridgeError && !error.message.includes("secret");
    assert.throws(() => websocketUrl(address), isQuiet);
  }
});

// --- what is played ---

test("the failsafe: the null action before an answer, after its time, and over a lost connection", async () => {
  const { client, socket } = await attach();
  assert.deepEqual(client.action(), REST);
  client.send(PICTURE);
  socket.say(act(1));
  assert.deepEqual(client.action(), { ...REST, fire: 1 });
  await pass(300);
  assert.deepEqual(client.action(), { ...REST, fire: 1 });
  await pass(50);
  assert.deepEqual(client.action(), REST);
  assert.equal(client.currentAct(), null);
  client.send(PICTURE);
  socket.say(act(2));
  socket.lose();
  assert.deepEqual(client.action(), REST);
});

test("planned actions come due by the clock, or by the game's steps; the last is held", async () => {
  const { client, socket } = await attach();
  client.send(PICTURE);
  await pass(60);
  const later = ["b", "c"].map((words) => ({ action: { fire: 0 }, words }));
  socket.say(act(1, { words: "a", later, valid_ms: 1000 }));
  assert.equal(client.currentAct().words, "b"); // a step has passed since the picture was sent
  await pass(50);
  assert.equal(client.currentAct().words, "c");
  await pass(200);
  assert.equal(client.currentAct().words, "c");
  for (const [step, words] of [[1, "a"], [2, "b"], [3, "c"], [9, "c"]]) {
    assert.equal(client.currentAct({ step }).words, words);
  }
});

test("after an episode's end answers to its pictures are ignored", async () => {
  const { client, socket } = await attach();
  client.send(PICTURE);
  client.event({ terminated: true });
  socket.say(act(1));
  assert.equal(client.currentAct(), null);
});

test("a person takes a shared player over at once and for good, and hands it back", async () => {
  const { client, socket } = await attach({ owner: "shared" });
  client.send(PICTURE);
  socket.say(act(1));
  assert.equal(client.action({ input: {} }).fire, 1);
  assert.equal(client.action({ input: { look: [0, 0], tracks: [90, 0], gas: 0.5 } }).fire, 1); // at rest
  assert.deepEqual(client.action({ input: { look: [0, 2] } }), { ...REST, look: [0, 2] });
  assert.equal(client.owner(), "human");
  assert.deepEqual(client.action({ input: {} }), REST);
  client.control("shared");
  assert.equal(client.action({ input: {} }).fire, 1);
  socket.say({ type: "control", owner: "human", source: "console" });
  assert.deepEqual(client.action(), REST);
  socket.say({ type: "control", owner: "agent", source: "console" });
  assert.equal(client.action({ input: { smoke: 1 } }).fire, 1);
});

test("a console's instruction goes before the game's until it is released", async () => {
  const { client, socket } = await attach({ instruction: "dig" });
  socket.say({ type: "instruct", text: "fly", source: "console" });
  client.instruct("swim");
  assert.deepEqual([client.instruction(), client.consoleInstruction()], ["fly", "fly"]);
  socket.say({ type: "instruct", text: "swim", release: true });
  assert.deepEqual([client.instruction(), client.consoleInstruction()], ["swim", null]);
});

// --- answers and errors ---

test("an error is its picture's or its query's alone, by code", async () => {
  const { client, socket, log } = await attach({ mode: "lockstep" });
  const answers = [client.act(PICTURE), client.act(PICTURE), client.ask("why"), client.ask("caption")];
  const settled = Promise.allSettled(answers);
  socket.say({ type: "error", code: "bad_report", message: "reward: no", observation: 1, seq: 1 });
  socket.say({ type: "error", code: "policy_failed", message: "no", hint: "try", observation: 1, seq: 2 });
  socket.say({ type: "error", code: "too_many", message: "slow", id: 1, seq: 3 });
  socket.say({ ...act(2), seq: 4 });
  socket.say({ type: "text.done", id: 2, kind: "caption", text: "I dig", seq: 5 });
  const [failed, done, refused, text] = await settled;
  assert.ok(failed.reason instanceof AnswerError);
  assert.deepEqual([failed.reason.code, failed.reason.message], ["policy_failed", "no; try"]);
  assert.equal(done.value.observation, 2);
  assert.equal(refused.reason.code, "too_many");
  assert.equal(text.value, "I dig");
  assert.deepEqual(log, ["connecting", "playing", "bad_report", "policy_failed", "too_many"]);
  assert.equal(client.error, null);
});

test("an answer that does not come is a timeout; the time of a lost connection does not count", async () => {
  const { client, socket } = await attach({ mode: "lockstep" });
  const answer = client.act(PICTURE, {}, 1000).catch((error) => error.code);
  await pass(900);
  socket.lose();
  await pass(5000);
  FakeSocket.newest.welcome({ resumed: true });
  await pass(900);
  const early = await Promise.race([answer, settle()]);
  assert.equal(early, undefined);
  await pass(100);
  assert.equal(await answer, "timeout");
});

test("more pictures than may be in flight are not sent", async () => {
  const { client } = await attach({ mode: "lockstep" }, { max_in_flight: 1 });
  client.act(PICTURE).catch(() => undefined);
  await assert.rejects(client.act(PICTURE), /await them first/);
});

test("a realtime picture is not sent where the socket is behind", async () => {
  const { client, socket } = await attach();
  client.send(PICTURE);
  socket.bufferedAmount = 5 << 20;
  assert.equal(client.send(PICTURE), 1);
  socket.bufferedAmount = 0;
  assert.equal(client.send(PICTURE), 2);
  assert.deepEqual(socket.pictures, [1, 2]);
});

test("the server's clock: the quickest of several questions counts", async () => {
  const { client, socket } = await attach();
  const asked = client.askClock(2);
  for (const delay of [100, 20]) {
    const { t0 } = socket.texts.at(-1);
    await pass(delay);
    socket.say({ type: "clock", t0, t1: t0 + 1000 + delay / 2, t2: t0 + 1000 + delay / 2 });
    await settle();
  }
  assert.deepEqual(await asked, { offsetMs: 1000, uncertaintyMs: 10 });
});

// --- lost connections ---

test("a session is resumed by its key: what the server lacks is sent again, nothing twice", async () => {
  const { client, socket, log } = await attach({ mode: "lockstep" });
  client.say("one");
  client.say("two");
  client.act(PICTURE).catch(() => undefined);
  const answer = client.act(PICTURE);
  socket.say({ type: "ack", received: 1 });
  socket.say({ type: "say", text: "hi", source: "console", seq: 1 });
  socket.say({ type: "say", text: "hi", source: "console", seq: 1 });
  socket.lose();
  client.say("three");
  await pass(100);
  const next = FakeSocket.newest;
  assert.notEqual(next, socket);
  next.welcome({ resumed: true, received: 2, observation: 1 });
  assert.deepEqual([next.hello.resume, next.hello.received], ["key", 1]);
  assert.deepEqual(next.texts.map(({ text, seq }) => [text, seq]), [["three", 3]]);
  assert.deepEqual(next.pictures, [2]);
  next.say({ ...act(2), seq: 2 });
  assert.equal((await answer).observation, 2);
  assert.deepEqual(log, ["connecting", "playing", "reconnecting", "playing"]);
  assert.equal(client.isConnected, true);
});

test("a server that was restarted gets everything that is not answered, numbered anew", async () => {
  const { client, socket } = await attach({ mode: "lockstep", agents: 2 }, { agents: 2 });
  client.instruct("dig", { agent: 1 });
  client.say("one");
  const asked = client.ask("why");
  client.act(PICTURE).catch(() => undefined);
  socket.say({ type: "instruct", text: "fly", source: "console", seq: 1 });
  socket.say({ type: "ack", received: 3 });
  socket.lose();
  await pass(100);
  const next = FakeSocket.newest;
  next.welcome({ session: "b", resume: "other", agents: 2 });
  assert.deepEqual(next.texts.map(({ type, seq }) => [type, seq]), [["instruct", 1], ["query", 2]]);
  assert.deepEqual(next.pictures, [1]);
  assert.equal(client.consoleInstruction(), null);
  next.say({ type: "text.done", id: 1, kind: "why", text: "so", seq: 1 });
  assert.equal(await asked, "so");
});

test("in realtime nothing of the past is sent again, and no old answer counts", async () => {
  const { client, socket } = await attach({ owner: "shared" });
  client.action({ input: { fire: 1 } });
  const answer = client.act(PICTURE).catch((error) => error.code);
  socket.lose();
  assert.equal(await answer, "connection_lost");
  client.send(PICTURE);
  await pass(100);
  const next = FakeSocket.newest;
  next.welcome({ resumed: true });
  assert.equal(next.hello.owner, "human");
  assert.deepEqual(next.pictures, []);
  next.say(act(2));
  assert.equal(client.currentAct(), null);
  assert.equal(client.send(PICTURE), 3);
});

test("tries grow apart until patience ends", async () => {
  const { client, socket, log } = await attach({ backoff: { firstMs: 100, capMs: 400, patienceMs: 2000 } });
  const first = FakeSocket.all.length;
  socket.lose();
  for (const delay of [100, 200, 400, 400, 400, 400, 400]) {
    const before = FakeSocket.all.length;
    await pass(delay - 50);
    assert.equal(FakeSocket.all.length, before);
    await pass(50);
    assert.equal(FakeSocket.all.length, before + 1);
    FakeSocket.newest.lose();
    await settle();
  }
  await pass(10_000);
  assert.equal(FakeSocket.all.length, first + 7);
  assert.match(client.error.message, /^no connection for 2 s: no server at ws:/);
  assert.deepEqual(log, ["connecting", "playing", "reconnecting", "closed"]);
  assert.throws(() => client.send(PICTURE), BridgeError);
  assert.throws(() => client.action(), BridgeError);
});

for (const code of [1009, 4400, 4401, 4403, 4409, 4413, 4415, 4426, 4429]) {
  test(`a close with ${code} ends the session`, async () => {
    const { client, socket, log } = await attach();
    const count = FakeSocket.all.length;
    const answer = client.act(PICTURE).catch((error) => error);
    socket.lose(code, "why");
    await pass(10_000);
    assert.equal(FakeSocket.all.length, count);
    assert.equal(client.error.message, `the server ended the session: ${code} why`);
    assert.equal(client.error.code, code);
    assert.ok((await answer) instanceof BridgeError);
    assert.equal(log.at(-1), "closed");
  });
}

test("a refused hello rejects with the server's reason; a full server is tried again later", async () => {
  const refused = connect("h", { spec: SPEC, WebSocket: FakeSocket });
  FakeSocket.newest.onopen({});
  FakeSocket.newest.say({ type: "error", code: "bad_message", message: "spec.id: no", hint: "call it tank-v0" });
  FakeSocket.newest.lose(4400);
  await assert.rejects(refused, { message: "the server ended the session: spec.id: no; call it tank-v0", code: 4400 });
  const { client, socket } = await attach();
  socket.lose();
  await pass(100);
  FakeSocket.newest.onopen({});
  FakeSocket.newest.lose(4429, "full");
  await settle();
  await pass(200);
  FakeSocket.newest.welcome({ resumed: true });
  await settle();
  assert.equal(client.isConnected, true);
});

test("a server that goes silent is left, one that speaks is not", async () => {
  const { client, socket, log } = await attach();
  await pass(5000);
  socket.say({ type: "clock", t0: 0, t1: 1, t2: 1 });
  await pass(10_000);
  assert.equal(client.isConnected, true);
  await pass(10_000);
  assert.equal(socket.isClosed, true);
  assert.equal(log.at(-1), "reconnecting", client.error?.message);
});

test("a server that never answers the hello is given up, and so is one that is none", async () => {
  const silent = connect("h", { spec: SPEC, WebSocket: FakeSocket }).catch((error) => error.message);
  await pass(10_000);
  assert.match(await silent, /^no answer from ws:\/\/h\/v1 within 10 s/);
  const foreign = connect("h", { spec: SPEC, WebSocket: FakeSocket }).catch((error) => error.message);
  FakeSocket.newest.onopen({});
  FakeSocket.newest.say("hello");
  assert.match(await foreign, /does not speak iafm.bridge.v1: no valid JSON/);
  const { client, socket } = await attach();
  socket.say({ type: "unknown", seq: 1 });
  socket.say({ type: "act" });
  assert.match(client.error.message, /act.session is missing/);
});

test("what the browser does not even try is one line", async () => {
  class Forbidden {
    constructor() {
      throw new DOMException("insecure", "SecurityError");
    }
  }
  const message = "cannot connect to ws://h/v1: insecure";
  await assert.rejects(connect("h", { spec: SPEC, WebSocket: Forbidden }), { name: "BridgeError", message });
});

test("closing while it reconnects ends everything", async () => {
  const { client, socket, log } = await attach();
  socket.lose();
  await pass(100);
  const trying = FakeSocket.newest;
  await client.close();
  trying.welcome();
  await pass(10_000);
  assert.deepEqual([trying.isClosed, client.isConnected, log.at(-1)], [true, false, "closed"]);
  assert.equal(FakeSocket.newest, trying);
});

// --- recordings ---

test("a recording waits for credit, tells each step with the next picture, and is compared", async () => {
  const { client, socket } = await attachRecorder();
  const done = [];
  const frame = (value) => ({ ...PICTURE, data: new Uint8Array(64).fill(value) });
  for (let i = 0; i < 3; i++) client.step(frame(i), { fire: i % 2 }, { reward: i }).then(() => done.push(i));
  client.say("well"); // in order
  const ended = client.end({ success: true, task: "t" });
  await settle();
  assert.deepEqual([done, socket.pictures, socket.texts], [[0, 1], [1, 2], []]);
  socket.say({ type: "credit", picture: 9, bytes: 99_999, recorded: 1 });
  await settle();
  assert.deepEqual(socket.pictures, [1, 2, 3]);
  assert.deepEqual(socket.texts.map(({ type }) => type), ["say", "event"]);
  const messages = socket.sent.filter((data) => typeof data !== "string");
  const metas = messages.map((data) => new TextDecoder().decode(data.slice(32, -64)));
  assert.deepEqual(metas, ["", '{"input":{"fire":0},"reward":0}', '{"input":{"fire":1},"reward":1}']);
  const { input, reward, success, terminated } = socket.texts[1];
  assert.deepEqual([input, reward, success, terminated], [{ fire: 0 }, 2, true, true]);
  const bytes = Buffer.concat([0, 1, 2].map((value) => Buffer.alloc(64, value)));
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const state = { type: "record.state", episode: "e", pictures: 3, bytes: 192, sha256, steps: 3 };
  socket.say({ ...state, seq: 1 });
  assert.equal((await ended).episode, "e");
  await assert.rejects(client.end(), /at least one step/);
  client.step(frame(1), {});
  const other = client.end();
  await settle();
  socket.say({ ...state, steps: 2, error: "disk full", seq: 2 });
  await assert.rejects(other, /e is not what was sent: disk full; pictures 3, not 1; bytes 192, not 64/);
});

test("a recording's pictures are sent again to a new session, numbered from 1", async () => {
  const { client, socket } = await attachRecorder({}, { picture: 9, bytes: 99_999 });
  for (let i = 0; i < 3; i++) client.step(PICTURE, {});
  await settle();
  socket.say({ type: "credit", picture: 9, bytes: 99_999, recorded: 1 });
  socket.lose();
  client.step(PICTURE, {});
  await settle();
  await pass(100);
  FakeSocket.newest.welcome({ credit: { type: "credit", picture: 9, bytes: 99_999, recorded: 0 } });
  assert.deepEqual(FakeSocket.newest.pictures, [1, 2, 3]);
  const lost = client.end().catch((error) => error);
  await settle();
  FakeSocket.newest.say({ type: "ack", received: 1 });
  FakeSocket.newest.say({ type: "credit", picture: 9, bytes: 99_999, recorded: 3 });
  FakeSocket.newest.lose();
  await pass(100);
  FakeSocket.newest.welcome({ credit: { type: "credit", picture: 9, bytes: 99_999, recorded: 0 } });
  assert.match((await lost).message, /restarted before it confirmed/);
});

test("a wrong step is refused by itself", async () => {
  const { client, socket } = await attachRecorder();
  await assert.rejects(client.step({ ...PICTURE, width: 9 }, {}), BridgeError);
  await assert.rejects(client.step(PICTURE, {}, { reward: Infinity }), BridgeError);
  await assert.rejects(client.say(""), BridgeError);
  await client.step(PICTURE, {});
  assert.deepEqual(socket.pictures, [1]);
});

test("a handler of the game's that fails does not keep messages back", async () => {
  const onMessage = () => {
    throw new Error("the game's own");
  };
  const { client, socket } = await attach({ onMessage });
  assert.throws(() => socket.say({ type: "say", text: "hi", seq: 1 }), /the game's own/);
  assert.equal(socket.sent.at(-1), '{"type":"ack","received":1}');
  client.say("ho");
  assert.equal(client.isConnected, true);
});

test("SHA-256", () => {
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i);
    const hash = new Sha256();
    hash.update(bytes.subarray(0, 33));
    hash.update(bytes.subarray(33));
    assert.equal(hash.hex(), createHash("sha256").update(bytes).digest("hex"));
  }
});
