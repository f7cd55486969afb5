/** Play and recording against a server: the address of one without and of one with a token is in the environment. */

import assert from "node:assert/strict";
import net from "node:net";
import { after, test as always } from "node:test";
import { connect, isAtRest, record } from "../dist/index.js";
import { SPEC as FAKE_SPEC } from "./fake_socket.mjs";

const URL = process.env.IAFM_URL;
const GUARDED_URL = process.env.IAFM_GUARDED_URL;
const SPEC = { ...FAKE_SPEC, frame: { height: 72, width: 128 } };
const PICTURE = { codec: "rgb", width: 128, height: 72, data: new Uint8Array(128 * 72 * 3).fill(90) };
const open = [];
const test = URL === undefined ? always.skip : always;
after(() => open.forEach((end) => end()));

/** A proxy whose connections can be cut, and which may turn to another server. */
async function proxy(url) {
  let port = Number(new globalThis.URL(url).port);
  const sockets = new Set();
  const server = net.createServer((near) => {
    const far = net.connect(port, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => [near, far].forEach((end) => sockets.delete(end.destroy())));
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = () => [...sockets].forEach((socket) => socket.destroy());
  open.push(() => server.close(), cut);
  const turnTo = (other) => (port = Number(new globalThis.URL(other).port));
  return { url: `ws://127.0.0.1:${server.address().port}`, cut, turnTo };
}

/** Resolves once a state of the connection came whose detail holds a text. */
function states() {
  const seen = [];
  let wake = () => undefined;
  return {
    onState: (state, detail) => (seen.push(`${state}: ${detail}`), wake()),
    until: async (text) => {
      while (!seen.some((line) => line.includes(text))) await new Promise((resolve) => (wake = resolve));
      return seen.find((line) => line.includes(text));
    },
  };
}

test("lockstep: every picture gets its answer in the game's controls", async () => {
  const game = await connect(URL, { spec: SPEC, mode: "lockstep", instruction: "fire", seed: 7 });
  assert.equal(game.welcome.policy, "random");
  let acted = false;
  for (let i = 1; i <= 30; i++) {
    const act = await game.act(PICTURE, { reward: 0.5, state: { i } });
    assert.equal(act.observation, i);
    assert.deepEqual(Object.keys(act.action).sort(), SPEC.controls.map(({ name }) => name).sort());
    assert.equal(act.action.fire && act.action.smoke, 0);
    acted ||= !isAtRest(SPEC, act.action);
  }
  assert.ok(acted);
  assert.match(await game.ask("why"), /random/);
  const { uncertaintyMs } = await game.askClock();
  assert.ok(uncertaintyMs >= 0);
  game.event({ terminated: true, success: true });
  await game.close();
});

test("several agents and cameras", async () => {
  const game = await connect(URL, { spec: SPEC, mode: "lockstep", agents: 3, cameras: 2 });
  const acts = await Promise.all([0, 1, 2].map((agent) => game.act(PICTURE, { agent, cameras: { 1: PICTURE } })));
  assert.deepEqual(acts.map(({ agent }) => agent), [0, 1, 2]);
  assert.ok(game.welcome.warnings.some((warning) => warning.includes("camera")));
  await game.close();
});

test("every codec is taken", async () => {
  const errors = [];
  const game = await connect(URL, { spec: SPEC, mode: "lockstep", onError: (error) => errors.push(error) });
  for (const [codec, channels] of [["rgb", 3], ["rgba", 4], ["bgra", 4], ["gray", 1], ["bgr", 3]]) {
    for (const bottomUp of [false, true]) {
      await game.act({ codec, width: 16, height: 8, data: new Uint8ClampedArray(128 * channels), bottomUp });
    }
  }
  await game.act({ data: new Uint8ClampedArray(512), width: 16, height: 8 }); // as ImageData
  assert.deepEqual(errors, []);
  await game.close();
});

test("a picture that does not decode fails alone", async () => {
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAABAAAAAICAAAAADVHSBL", "base64");
  const game = await connect(URL, { spec: SPEC, mode: "lockstep" });
  await assert.rejects(game.act({ codec: "png", data: png }), { name: "AnswerError", code: "bad_picture" });
  assert.equal((await game.act(PICTURE)).observation, 2);
  await game.close();
});

test("takeover by input and hand-back are confirmed by the server", async () => {
  const told = [];
  let wake;
  const onMessage = (message) => message.type === "control" && (told.push([message.owner, message.source]), wake?.());
  const game = await connect(URL, { spec: SPEC, owner: "shared", onMessage });
  const until = async (count) => {
    while (told.length < count) await new Promise((resolve) => (wake = resolve));
  };
  const input = { fire: 1 };
  const executed = game.action({ input });
  assert.equal(executed.fire, 1);
  game.send(PICTURE, { input, executed });
  await until(1);
  game.control("shared");
  await until(2);
  assert.deepEqual(told, [["human", "game"], ["shared", "game"]]);
  await game.close();
});

test("a cut connection is resumed; after a restart the session is new", async () => {
  const { url, cut, turnTo } = await proxy(URL);
  const { onState, until } = states();
  const game = await connect(url, { spec: SPEC, mode: "lockstep", onState, token: "secret" });
  const { session } = game.welcome;
  await game.act(PICTURE);
  cut();
  const answer = game.act(PICTURE);
  await until(`playing: resumed ${session}`);
  assert.equal((await answer).observation, 2);
  turnTo(GUARDED_URL); // another server knows nothing of it
  cut();
  await until("playing: attached anew");
  assert.notEqual(game.welcome.session, session);
  assert.equal((await game.act(PICTURE)).observation, 3);
  await game.close();
});

test("a wrong token, a wrong spec and a missing server are one line", async () => {
  const none = { spec: SPEC, backoff: { patienceMs: 0 } };
  await assert.rejects(connect(GUARDED_URL, { ...none, token: "wrong" }), { code: 4401 });
  const wrong = { ...SPEC, id: "My Tank" };
  await assert.rejects(connect(URL, { ...none, spec: wrong }), /call it 'my-tank-v0'/);
  await assert.rejects(connect("127.0.0.1:1", none), /no server at .*:1\/v1: start one with `iafm serve`$/);
});

test("a recording is what was sent, also over a cut connection", async () => {
  const { url, cut } = await proxy(URL);
  const { onState, until } = states();
  const recorder = await record(url, { spec: SPEC, instruction: "fire", onState });
  for (let i = 0; i < 150; i++) {
    const data = new Uint8Array(128 * 72 * 3).fill(i);
    await recorder.step({ ...PICTURE, data }, { fire: i % 2 }, { reward: 1, state: { i } });
    if (i === 70) cut();
    if (i === 71) await until("playing: resumed");
  }
  recorder.say("done");
  const state = await recorder.end({ success: true, task: "fire" });
  assert.deepEqual([state.pictures, state.steps, state.dropped], [150, 150, 0]);
  console.log(`recorded ${state.episode}`);
  await recorder.close();
});

test("over a connection that is cut again and again every text and picture counts once", async () => {
  const { url, cut } = await proxy(URL);
  const game = await connect(url, {
    spec: SPEC, mode: "lockstep", instruction: "be cut", backoff: { firstMs: 10 },
  });
  for (let i = 0; i < 60; i++) {
    game.say(`word ${i}`);
    const answer = game.act(PICTURE, { state: { i } });
    if (i % 3 === 0) setTimeout(cut, i % 5);
    assert.equal((await answer).observation, i + 1);
  }
  game.event({ terminated: true, success: true });
  await game.close();
});
