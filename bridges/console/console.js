// Console: what the policy sees and does, from messages of one websocket (PROTOCOL.md).
//
// One game is watched. It changes only when the person says so, or when it has left and the person had not chosen it,
// by the picker, a typed goal or a question. Every message that concerns a game names its session.

import { Connection } from "./connection.js";
import { clearDecision, showDecision } from "./decision.js";
import { at, button, element, item, prepend, reconcile, setText } from "./elements.js";
import { notify, notifyError, withdraw } from "./notices.js";
import { clearPicture, showPicture, updateAge } from "./picture.js";

const ROWS = 6; // of episodes and answers
const QUESTIONS = { why: "why", next_action: "next", caption: "doing" };
const VERDICTS = { true: "reached", false: "missed", null: "not judged" };
const drafts = new Map(); // typed but not sent, by session

let games = []; // those attached, as the newest `state` says
let watched = null; // the watched one as last seen; it may have left
let pinned = false; // whether the person chose it
let connected = false;
let known = null; // sessions of the state before; null right after connecting
let retryAt = null;
let questions = 0;

const attached = () => connected && games.some((game) => game.session === watched?.session);

/** A game's title, with its session where the title alone does not tell it apart. */
function nameOf(game) {
  const title = game.title || game.game;
  const same = [...games, ...(watched ? [watched] : [])].filter(
    (other) => (other.title || other.game) === title && other.session !== game.session,
  );
  return same.length ? `${title} · ${game.session}` : title;
}

// --- connection ---

const connection = new Connection({
  status(kind, text, until = null) {
    connected = kind === "live";
    retryAt = until;
    if (!connected) {
      known = null;
      clearDecision();
      for (const row of document.querySelectorAll("#answers .pending")) row.remove();
    }
    at("link").className = kind;
    setText(at("link"), text);
    at("retry").hidden = kind !== "lost";
    showGame();
    tick();
  },
  message: (message) => readers[message.type]?.(message),
  picture(session, jpeg) {
    if (attached() && session === watched.session) showPicture(jpeg);
  },
  token(wrong) {
    setText(at("tokenerror"), wrong ? "This token is wrong. Look for typing errors, or ask whoever runs the server." : "");
    at("token").value = "";
    if (!at("login").open) at("login").showModal();
    at("token").focus();
  },
});

const readers = {
  welcome: (message) => setText(at("policy"), message.policy),
  state(message) {
    setText(at("policy"), message.policy);
    const before = known;
    games = message.sessions;
    known = games.map((game) => game.session);
    connected = true;
    announce(before);
    choose(before === null);
    showLink();
    showGame();
  },
  act(message) {
    if (attached() && message.session === watched.session) showDecision(message);
  },
  event(message) {
    if (message.session !== watched?.session) return;
    const verdict = VERDICTS[message.success];
    const what = (message.task || watched.instruction || "free play").replaceAll("_", " ");
    prepend(at("episodes"), item([verdict.replace(" ", "-"), verdict], ["", what]), ROWS);
  },
  instruct(message) {
    if (message.session !== watched?.session) return;
    watched.instruction = message.text;
    if (message.release) watched.instructed_by = "game";
    showGame();
  },
  control(message) {
    if (message.session !== watched?.session) return;
    watched.owner = message.owner;
    showGame();
  },
  correct: (message) => showWords("correction", message),
  say: (message) => showWords("a person", message),
  "text.done"(message) {
    settle(message.id, ["kind", QUESTIONS[message.kind] ?? message.kind], ["", message.text]);
  },
  error(message) {
    if (message.id !== null && message.id !== undefined) settle(message.id);
    notifyError(message);
  },
};

// --- which game is watched ---

/** Say who came and who left since the state before. */
function announce(before) {
  if (before === null) {
    if (watched && !known.includes(watched.session)) announceDeparture();
    return;
  }
  for (const game of games.filter((game) => !before.includes(game.session))) {
    if (!watched) continue;
    notify(`${nameOf(game)} has attached.`, { key: `attached ${game.session}`, actions: [["Watch it", () => watch(game.session)]] });
  }
  for (const session of before.filter((session) => !known.includes(session))) {
    withdraw(`attached ${session}`);
    if (session === watched?.session) announceDeparture();
  }
}

function announceDeparture() {
  const actions = games.map((game) => [`Watch ${nameOf(game)}`, () => watch(game.session)]);
  notify(`${nameOf(watched)} has left.`, { key: `left ${watched.session}`, actions: pinned ? actions : [] });
}

/** Watch the newest game where none is watched, or where the watched one left and was not chosen. */
function choose(subscribe) {
  const current = games.find((game) => game.session === watched?.session);
  if (current) {
    watched = current;
    if (subscribe) sendSubscription();
  } else if (games.length && !(watched && pinned)) {
    const left = watched;
    show(games.at(-1));
    if (left) notify(`Now watching ${nameOf(watched)}.`, { key: `watching ${watched.session}` });
  } else if (watched) {
    clearDecision();
  }
}

/** Watch the game that the person chose. */
function watch(session) {
  const game = games.find((game) => game.session === session);
  if (!game) return;
  pinned = true;
  if (session !== watched?.session) show(game);
  showLink();
  showGame();
}

function show(game) {
  if (watched) drafts.set(watched.session, isTyping() ? at("instruction").value : null);
  watched = game;
  withdraw(`attached ${game.session}`);
  at("instruction").value = drafts.get(game.session) ?? game.instruction;
  at("instruction").dataset.typed = String(typeof drafts.get(game.session) === "string");
  clearDecision();
  clearPicture();
  at("episodes").replaceChildren();
  at("answers").replaceChildren();
  sendSubscription();
}

/** Say which game is watched, and that a hidden page needs no pictures. */
function sendSubscription() {
  if (watched) connection.send({ type: "subscribe", session: watched.session, pictures: !document.hidden });
}

// --- the watched game ---

function showLink() {
  if (!connected) return;
  const here = attached();
  const left = watched && !here ? `${nameOf(watched)} has left` : "no game attached";
  at("link").className = here ? "live" : "idle";
  setText(at("link"), here ? "connected" : `connected · ${left}`);
  at("retry").hidden = true;
  retryAt = null;
}

function showGame() {
  const here = attached();
  showPicker(here);
  updateAge(here);
  at("waiting").hidden = !connected || games.length > 0;
  const box = at("instruction");
  if (!isTyping()) box.value = watched?.instruction ?? "";
  setText(at("hz"), here ? `${watched.hz.toFixed(1)} Hz` : "–");
  showTally();
  showOrigin(here);
  at("owner").disabled = !here;
  if (watched) at("owner").value = watched.owner;
  const tasks = here ? [...new Set(watched.tasks)] : [];
  const chip = (task) => button(task, () => instruct(task));
  reconcile(at("chips"), tasks, chip, (made, task) =>
    made.setAttribute("aria-pressed", String(task === watched.instruction)),
  );
}

function showWords(kind, message) {
  if (message.session === watched?.session) prepend(at("answers"), item(["kind", kind], ["", message.text]), ROWS);
}

function showTally() {
  if (!watched) return setText(at("tally"), "–");
  const { episodes, successes, unjudged } = watched;
  const judged = episodes - unjudged;
  const share = judged ? ` (${Math.round((100 * successes) / judged)} %)` : "";
  const rest = unjudged ? `, ${unjudged} not judged` : "";
  setText(at("tally"), `${successes} of ${judged} episodes${share}${rest}`);
}

function showOrigin(here) {
  const typed = here && watched.instructed_by === "console";
  setText(at("goal_origin"), typed ? "Set at a console; it stays until it is given back." : "");
  const release = at("release");
  if (release === document.activeElement && !typed) at("instruction").focus();
  release.hidden = !typed;
}

function showPicker(here) {
  const options = watched && connected && !here ? [...games, watched] : games;
  at("picker").hidden = options.length < 2;
  const make = (session) => new Option("", session);
  reconcile(at("session"), options.map((game) => game.session), make, (option, session) => {
    const game = options.find((game) => game.session === session);
    const left = !games.includes(game) && game === watched && !here;
    option.disabled = left;
    setText(option, left ? `${nameOf(game)} (left)` : nameOf(game));
  });
  if (watched && at("session").value !== watched.session) at("session").value = watched.session;
}

// --- what the person does ---

const isTyping = () => at("instruction").dataset.typed === "true";

/** Whether a message can reach the watched game; says so where it cannot. */
function reachable(what) {
  if (attached()) return true;
  const why = connected ? (watched ? `${nameOf(watched)} has left` : "no game is attached") : "there is no connection";
  notify(`${what}: ${why}.`, { kind: "problem" });
  return false;
}

function instruct(text) {
  if (!reachable("The goal was not set")) return;
  pinned = true;
  at("instruction").dataset.typed = "false";
  Object.assign(watched, { instruction: text, instructed_by: "console" });
  connection.send({ type: "instruct", text, session: watched.session });
  showGame();
}

function ask(kind) {
  if (!reachable("The question was not asked")) return;
  pinned = true;
  const row = item(["kind", QUESTIONS[kind]], ["", "…"]);
  row.className = "pending";
  row.dataset.id = ++questions;
  prepend(at("answers"), row, ROWS);
  connection.send({ type: "query", id: questions, kind, session: watched.session });
}

/** Put the answer in its question's row; without one the row goes. */
function settle(id, ...parts) {
  const row = at("answers").querySelector(`[data-id="${Number(id)}"]`);
  if (!row) return;
  if (!parts.length) return row.remove();
  row.className = "";
  row.replaceChildren(...parts.flatMap(([name, text]) => [element("span", name, text), " "]));
}

at("goal").addEventListener("submit", (event) => {
  event.preventDefault();
  instruct(at("instruction").value.trim());
});
at("instruction").addEventListener("input", () => {
  at("instruction").dataset.typed = "true";
  pinned = pinned || watched !== null;
});
at("instruction").addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  at("instruction").dataset.typed = "false";
  showGame();
});
at("release").addEventListener("click", () => {
  at("instruction").dataset.typed = "false";
  if (reachable("The goal was not given back")) connection.send({ type: "instruct", text: "", release: true, session: watched.session });
});
at("owner").addEventListener("change", (event) => {
  const owner = event.target.value;
  if (reachable("Who plays was not changed")) connection.send({ type: "control", owner, session: watched.session });
  pinned = pinned || watched !== null;
  showGame();
});
at("session").addEventListener("change", (event) => watch(event.target.value));
for (const asking of document.querySelectorAll("[data-ask]")) asking.addEventListener("click", () => ask(asking.dataset.ask));
at("retry").addEventListener("click", () => connection.open());
at("tokenform").addEventListener("submit", () => {
  connection.token = at("token").value;
  connection.open();
});
document.addEventListener("visibilitychange", sendSubscription);

/** Once a second: ages and waiting times grow. */
function tick() {
  updateAge(attached());
  const wait = retryAt === null ? "" : `trying again in ${Math.max(1, Math.ceil((retryAt - performance.now()) / 1000))} s`;
  setText(at("countdown"), wait);
}
setInterval(tick, 1000);
connection.open();
