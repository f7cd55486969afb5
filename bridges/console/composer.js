// Composer: a person's words for the watched game, as a goal, a correction or a thought.

import { at, setText } from "./elements.js";
import { notify } from "./notices.js";

const MOST = 500; // characters (code points), as the server counts them
const KINDS = {
  instruct: { name: "Goal", send: "Set goal", hint: "What the player should do, then Enter", what: "The goal was not set" },
  correct: { name: "Correction", send: "Send", hint: "What the player should have done, then Enter", what: "The correction was not sent" },
  say: { name: "Thought", send: "Send", hint: "What you think, then Enter", what: "The thought was not sent" },
};
const drafts = new Map(); // typed and not taken by the server, by session
let shown = null; // session of the text in the box
let pending = null;

const chosen = () => document.querySelector("#kinds input:checked");
const words = () => at("text").value.replace(/\s+/g, " ").trim();

/** `tell(message, settled)` sends to the watched game, `typed()` hears that somebody types. */
export function startComposer({ tell, typed }) {
  at("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(tell);
  });
  at("text").addEventListener("input", () => {
    setRefusal("");
    showCount();
    typed();
  });
  at("text").addEventListener("keydown", (event) => {
    if (event.key === "Escape") at("text").blur();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    at("composer").requestSubmit();
  });
  at("kinds").addEventListener("change", showKind);
  showKind();
}

/** Show the draft for a game, and only what makes sense for one without a player. */
export function composeFor(session, hasPlayer) {
  if (session !== shown) {
    if (shown !== null) drafts.set(shown, at("text").value);
    at("text").value = drafts.get(session) ?? "";
    shown = session;
    setRefusal("");
    showKind();
  }
  const kind = hasPlayer ? null : document.querySelector("#kinds [value=say]");
  if (!kind || kind.checked) return;
  kind.checked = true;
  showKind();
}

function submit(tell) {
  const [type, text, session] = [chosen().value, words(), shown];
  const { name, what } = KINDS[type];
  const surplus = [...text].length - MOST;
  if (!text) return setRefusal(`${name}: type some words first.`);
  if (surplus > 0) return setRefusal(`${what}: it is ${surplus} character${surplus > 1 ? "s" : ""} too long.`);
  const request = `${session} ${type} ${text}`;
  if (pending === request) return;
  pending = request;
  at("send").setAttribute("aria-busy", "true");
  tell({ type, text }, (why) => {
    if (pending === request) pending = null;
    at("send").removeAttribute("aria-busy");
    if (why === null) take(session, text);
    else if (session === shown) setRefusal(`${what}: ${why}.`);
    else notify(`${what}: ${why}.`, { kind: "problem" });
  });
}

/** The server has these words; others that were typed meanwhile stay. */
function take(session, text) {
  if (session !== shown) return void drafts.delete(session);
  if (words() === text) at("text").value = "";
  setRefusal("");
  showCount();
}

function showKind() {
  const { name, send, hint } = KINDS[chosen().value];
  setText(at("text_label"), name);
  setText(at("send"), send);
  at("text").placeholder = hint;
  showCount();
}

function showCount() {
  const length = [...words()].length;
  setText(at("count"), `${length} / ${MOST}`);
  at("count").classList.toggle("over", length > MOST);
}

function setRefusal(text) {
  setText(at("refusal"), text);
  at("text").setAttribute("aria-invalid", String(text !== ""));
}
