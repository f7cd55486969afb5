// Console: what the policy sees and does, from messages of one websocket (PROTOCOL.md).
//
// One game is watched. It changes only when the person says so, or when it has left and the person had not chosen it,
// by the picker, typed words, another owner or a question. Every message that concerns a game names its session. What
// the page shows of a game is what the server says of it, never what was asked for.

import { composeFor, startComposer } from "./composer.js";
import { Connection } from "./connection.js";
import { clearDecision, showDecision } from "./decision.js";
import { at, button, element, item, keepFocus, prepend, reconcile, setText } from "./elements.js";
import { showInvitation, startInvitation } from "./invitation.js";
import { clearLog, logMessage } from "./log.js";
import { isNoticed, notify, notifyError, reasonOf, withdraw } from "./notices.js";
import { rememberOwner, showOwner, startOwner } from "./owner.js";
import { clearPicture, showPicture, updateAge } from "./picture.js";
import { addQuestion, answerQuestion, dropQuestion, dropQuestions } from "./questions.js";
import { showRecording } from "./recording.js";
import { showReplay, startReplay } from "./replay.js";
import { confirm, expectEcho, refuse, refuseAll } from "./requests.js";

const ROWS = 6; // of episodes
const LONGEST_NAME = 60;
const MOST_NAMES = 3; // in one notice
const NO_POLICY = "none"; // name of the policy of a server that only records
const VERDICTS = { true: "reached", false: "missed", null: "not judged" };

let policy = ""; // the player's name
let games = []; // those attached, as the newest `state` says
let watched = null; // the watched one as last seen; it may have left
let pinned = false; // whether the person chose it
let connected = false;
let known = null; // sessions of the state before; null right after connecting
let newcomers = []; // sessions in the notice of those that attached
let retryAt = null;

const attached = () => connected && games.some((game) => game.session === watched?.session);
const isWatched = (message) => message.session === watched?.session;
const titleOf = (game) => game.title || game.game;

/** A game's title, not too long, with its session where the title alone does not tell it apart. */
function nameOf(game) {
  const title = titleOf(game);
  const same = [...games, ...(watched ? [watched] : [])].some(
    (other) => titleOf(other) === title && other.session !== game.session,
  );
  const short = [...title].length > LONGEST_NAME ? `${[...title].slice(0, LONGEST_NAME).join("").trim()}…` : title;
  return same ? `${short} · ${game.session}` : short;
}

// --- connection ---

const home = () => (at("text").checkVisibility() ? at("text") : at("stage"));

const connection = new Connection({
  status: (kind, text, until = null) => keepFocus(() => showStatus(kind, text, until), home),
  message: (message) => keepFocus(() => readers[message.type]?.(message), home),
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

function showStatus(kind, text, until) {
  connected = kind === "live";
  retryAt = until;
  if (!connected) {
    known = null;
    clearDecision();
    dropQuestions();
    refuseAll("the connection was lost before the server confirmed it");
  }
  at("link").className = kind;
  setText(at("link"), text);
  at("retry").hidden = kind !== "lost";
  showGame();
  tick();
}

const readers = {
  state(message) {
    policy = message.policy;
    setText(at("policy"), policy === NO_POLICY ? "no player, records only" : policy);
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
    if (attached() && isWatched(message)) showDecision(message);
  },
  event(message) {
    if (!isWatched(message) || watched.replay) return; // a replay ends wherever it is scrubbed
    const verdict = VERDICTS[message.success];
    const what = (message.task || watched.instruction || "free play").replaceAll("_", " ");
    prepend(at("episodes"), item([verdict.replace(" ", "-"), verdict], ["", what]), ROWS);
  },
  instruct(message) {
    const mine = confirm(message);
    if (!isWatched(message)) return;
    watched.instruction = message.text;
    if (message.source !== "game") watched.instructed_by = message.release ? "game" : "console";
    if (message.source !== "game") logMessage(message, mine);
    showGame();
  },
  control(message) {
    const mine = confirm(message);
    rememberOwner(message);
    if (!isWatched(message)) return;
    watched.owner = message.owner;
    logMessage(message, mine);
    showGame();
  },
  correct: readWords,
  say: readWords,
  "text.done": answerQuestion,
  error(message) {
    if (message.id !== null && message.id !== undefined) dropQuestion(message.id);
    else if (refuse(reasonOf(message))) return;
    notifyError(message);
  },
};

function readWords(message) {
  const mine = confirm(message);
  if (isWatched(message)) logMessage(message, mine);
}

// --- which game is watched ---

/** Say who came and who left since the state before. */
function announce(before) {
  if (before === null) {
    if (watched && !known.includes(watched.session)) announceDeparture();
    return;
  }
  if (watched) announceNewcomers(known.filter((session) => !before.includes(session)));
  if (before.includes(watched?.session) && !known.includes(watched.session)) announceDeparture();
}

/** One line about all that attached while it stands. */
function announceNewcomers(sessions) {
  const before = isNoticed("attached") ? newcomers : [];
  newcomers = [...before, ...sessions].filter((session) => known.includes(session) && session !== watched.session);
  if (newcomers.join() === before.join()) return;
  withdraw("attached");
  const coming = games.filter((game) => newcomers.includes(game.session));
  if (coming.length === 1) {
    notify(`${nameOf(coming[0])} has attached.`, { key: "attached", actions: [["Watch it", () => watch(coming[0].session)]] });
  } else if (coming.length) {
    const names = coming.slice(0, MOST_NAMES).map(nameOf).join(", ");
    const rest = coming.length > MOST_NAMES ? ` and ${coming.length - MOST_NAMES} more` : "";
    notify(`${coming.length} games have attached: ${names}${rest}. Choose one above to watch it.`, { key: "attached" });
  }
}

/** Said again after a lost connection: other games may be there by then. */
function announceDeparture() {
  withdraw(`left ${watched.session}`);
  const actions = games.slice(0, MOST_NAMES).map((game) => [`Watch ${nameOf(game)}`, () => watch(game.session)]);
  notify(`${nameOf(watched)} has left.`, { key: `left ${watched.session}`, actions: pinned ? actions : [] });
}

/** Watch the newest game where none is watched, or where the watched one left and was not chosen. */
function choose(subscribe) {
  const current = games.find(isWatched);
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
  if (!isWatched(game)) show(game);
  showLink();
  showGame();
}

function show(game) {
  watched = game;
  announceNewcomers([]);
  clearDecision();
  clearPicture();
  clearLog();
  at("episodes").replaceChildren();
  at("answers").replaceChildren();
  sendSubscription();
}

/** Say which game is watched, and that a hidden page needs no pictures. */
function sendSubscription() {
  if (watched) connection.send({ type: "subscribe", session: watched.session, pictures: !document.hidden });
}

// --- the watched game ---

/** The state of the link: live only while the watched game is there. */
function showLink() {
  if (!connected) return;
  const live = attached() && watched.connected !== false;
  at("link").className = live ? "live" : "idle";
  setText(at("link"), live ? "connected" : `connected · ${absence()}`);
  at("retry").hidden = true;
  retryAt = null;
}

/** Why there is no play. */
function absence() {
  if (!watched) return "no game is attached";
  return attached() ? `${nameOf(watched)} has lost its connection, it may come back` : `${nameOf(watched)} has left`;
}

function showGame() {
  const here = attached();
  const game = here ? watched : null;
  const hasPlayer = watched?.role !== "record";
  at("main").classList.toggle("empty", watched === null);
  at("main").classList.toggle("no-player", !hasPlayer);
  showPicker(here);
  updateAge(here);
  showInvitation(connected && games.length === 0, {
    address: connection.address.href,
    plays: policy !== NO_POLICY,
    hasToken: connection.token !== null,
  });
  at("status").hidden = !here;
  showRecording(game);
  showReplay(game);
  showOwner(game);
  showGoal(here);
  if (watched) composeFor(watched.session, hasPlayer);
  setText(at("hz"), here ? `${watched.hz.toFixed(1)} Hz` : "–");
  showTally();
}

function showGoal(here) {
  setText(at("goal_text"), watched?.instruction || "none, free play");
  const typed = here && watched.instructed_by === "console";
  setText(at("goal_origin"), typed ? "Set at a console; it stays until it is given back." : "");
  at("release").hidden = !typed;
  const tasks = here ? [...new Set(watched.tasks)] : [];
  reconcile(at("chips"), tasks, chip, (made, task) =>
    made.setAttribute("aria-pressed", String(task === watched.instruction)),
  );
}

function chip(task) {
  const made = button("", () => ask({ type: "instruct", text: task }, "The goal was not set"));
  made.append(element("span", "what", task));
  return made;
}

function showTally() {
  if (!watched) return setText(at("tally"), "–");
  const { episodes, successes, unjudged } = watched;
  const judged = episodes - unjudged;
  const share = judged ? ` (${Math.round((100 * successes) / judged)} %)` : "";
  const rest = unjudged ? `, ${unjudged} not judged` : "";
  setText(at("tally"), episodes ? `${successes} of ${judged} episodes${share}${rest}` : "no episode has ended yet");
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

/** Send a message to the watched game; `settled` gets null once the server confirms it, otherwise why it did not. */
function tell(message, settled) {
  if (!attached()) return settled(connected ? absence() : "there is no connection");
  pinned = true;
  const addressed = { ...message, session: watched.session };
  expectEcho(addressed, settled);
  connection.send(addressed);
}

/** As `tell`; `what` begins the notice that it failed. */
function ask(message, what, settled = () => {}) {
  tell(message, (why) => {
    settled();
    if (why !== null) notify(`${what}: ${why}.`, { kind: "problem" });
  });
}

function query(kind) {
  if (!attached()) {
    const why = connected ? absence() : "there is no connection";
    return notify(`The question was not asked: ${why}.`, { kind: "problem" });
  }
  pinned = true;
  connection.send({ ...addQuestion(kind), session: watched.session });
}

startComposer({
  tell,
  typed: () => {
    pinned = pinned || watched !== null;
  },
});
startOwner((owner, settled) => ask({ type: "control", owner }, "Who plays was not changed", settled));
startReplay((message) => {
  if (!attached()) return notify(`The replay was not changed: ${connected ? absence() : "there is no connection"}.`, { kind: "problem" });
  pinned = true;
  connection.send({ ...message, session: watched.session });
});
startInvitation();
at("release").addEventListener("click", () => ask({ type: "instruct", text: "", release: true }, "The goal was not given back"));
at("session").addEventListener("change", (event) => keepFocus(() => watch(event.target.value), home));
for (const question of document.querySelectorAll("[data-ask]")) question.addEventListener("click", () => query(question.dataset.ask));
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
