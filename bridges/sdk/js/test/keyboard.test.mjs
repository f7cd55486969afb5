/** Keyboard and mouse: what a person does, step by step. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BridgeError, Keyboard, Mouse } from "../dist/index.js";

const SPEC = {
  id: "walk-v0", title: "", frame: { height: 8, width: 8 }, step_hz: 20,
  controls: ["left", "right", "jump"].map((name) => ({ kind: "button", name })),
  exclusive: [["left", "right"]],
};
const BINDINGS = { ArrowLeft: "left", ArrowRight: "right", Space: "jump" };

function keyboard() {
  const target = new EventTarget();
  const press = (type, code, fields = {}) => {
    const event = Object.assign(new Event(type, { cancelable: true }), { code, ...fields });
    target.dispatchEvent(event);
    return event.defaultPrevented;
  };
  return { keys: new Keyboard(SPEC, BINDINGS, target), press };
}

test("held keys are down at every step, a tap between two steps at one", () => {
  const { keys, press } = keyboard();
  assert.deepEqual(keys.take(), {});
  press("keydown", "ArrowLeft");
  press("keydown", "Space");
  press("keyup", "Space");
  assert.deepEqual(keys.take(), { left: 1, jump: 1 });
  press("keydown", "ArrowLeft", { repeat: true });
  assert.deepEqual(keys.take(), { left: 1 });
  press("keyup", "ArrowLeft");
  assert.deepEqual(keys.take(), {});
});

test("of buttons that exclude each other the newest counts", () => {
  const { keys, press } = keyboard();
  press("keydown", "ArrowLeft");
  press("keydown", "ArrowRight");
  assert.deepEqual(keys.take(), { right: 1 });
  press("keyup", "ArrowRight");
  assert.deepEqual(keys.take(), { left: 1 });
});

test("a window that is left holds nothing; other keys and shortcuts are the page's", () => {
  const { keys, press } = keyboard();
  assert.equal(press("keydown", "ArrowLeft"), true);
  press("blur");
  keys.take();
  assert.deepEqual(keys.take(), {});
  assert.equal(press("keydown", "KeyQ"), false);
  assert.equal(press("keydown", "Space", { ctrlKey: true }), false);
  assert.deepEqual(keys.take(), {});
  keys.close();
  press("keydown", "Space");
  assert.deepEqual(keys.take(), {});
  assert.throws(() => new Keyboard(SPEC, { KeyA: "fly" }, new EventTarget()), BridgeError);
});

test("the mouse turns a camera by all of its movements in a step, and its buttons are held", () => {
  const camera = { kind: "camera", name: "look", pitch_bins: [-2, 0, 2], yaw_bins: [-2, 0, 2] };
  const spec = { ...SPEC, controls: [...SPEC.controls, camera] };
  const target = new EventTarget();
  const fire = (type, fields) => target.dispatchEvent(Object.assign(new Event(type), fields));
  const mouse = new Mouse(spec, { look: "look", degreesPerPixel: 0.5, buttons: { 0: "jump" } }, target);
  assert.deepEqual(mouse.take(), {});
  fire("mousemove", { movementX: 10, movementY: -4 });
  fire("mousemove", { movementX: -2, movementY: 0 });
  fire("mousedown", { button: 0 });
  fire("mousedown", { button: 2 });
  assert.deepEqual(mouse.take(), { look: [-2, 4], jump: 1 });
  assert.deepEqual(mouse.take(), { jump: 1 });
  fire("mouseup", { button: 0 });
  assert.deepEqual(mouse.take(), {});
  mouse.close();
  fire("mousedown", { button: 0 });
  assert.deepEqual(mouse.take(), {});
  assert.throws(() => new Mouse(spec, { look: "jump" }, target), /no camera called jump in walk-v0/);
});
