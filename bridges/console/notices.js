// Notices: lines above the page that say what happened and what can be done; equal ones are counted.

import { at, button, element, keepFocus, setText } from "./elements.js";

const MOST = 6;
const RELOAD = "Reload the page: it may be of another version than the server.";
const PROBLEMS = {
  bad_message: ["The server did not accept what this page sent.", RELOAD],
  unknown_type: ["The server does not know a message of this page.", RELOAD],
  not_allowed: ["The server does not take this from a console.", RELOAD],
  no_session: ["The game is not attached any more.", "Choose another game, or start it again."],
  policy_failed: ["The player could not answer.", "Try again; the server's log says more."],
  too_many: ["That was too much at once.", "Wait a moment, then try again."],
};

/** Show a line; `key` tells equal ones, `actions` are [text, press] pairs that end it. */
export function notify(text, { key = text, kind = "news", detail = "", actions = [] } = {}) {
  const list = at("notices");
  let row = rowOf(key);
  const times = row ? Number(row.dataset.times) + 1 : 1;
  row ??= list.appendChild(make(text, kind, actions));
  row.dataset.key = key;
  row.dataset.times = times;
  setText(row.querySelector(".times"), times > 1 ? `${times} times` : "");
  setText(row.querySelector(".detail"), detail);
  while (list.children.length > MOST) list.firstChild.remove();
}

/** Whether a line stands. */
export function isNoticed(key) {
  return rowOf(key) !== undefined;
}

/** Take a line back, where it stands. */
export function withdraw(key) {
  rowOf(key)?.remove();
}

/** Show an `error` of the server in words. */
export function notifyError(error) {
  const [text, advice] = PROBLEMS[error.code] ?? [error.message, ""];
  const detail = text === error.message ? "" : `The server says: “${error.message}”`;
  const line = [text, error.hint || advice].filter(Boolean).join(" ");
  notify(line, { key: `error ${error.code}`, kind: "problem", detail });
}

/** Why something was refused, as the rest of a sentence. */
export function reasonOf(error) {
  const known = PROBLEMS[error.code]?.[0].replace(/\.$/, "") ?? error.message;
  return known.charAt(0).toLowerCase() + known.slice(1);
}

function rowOf(key) {
  return [...at("notices").children].find((child) => child.dataset.key === key);
}

function make(text, kind, actions) {
  const row = element("li", kind, "");
  const words = element("p", "", "");
  const rest = () => at("notices").querySelector("button") ?? at("stage");
  const end = (press) => () => keepFocus(() => {
    row.remove();
    press();
  }, rest);
  words.append(element("span", "text", text), " ", element("strong", "times", ""), element("small", "detail", ""));
  const line = element("div", "", "");
  line.append(words, ...actions.map(([label, press]) => button(label, end(press))));
  const dismiss = button("×", end(() => {}));
  dismiss.className = "dismiss";
  dismiss.setAttribute("aria-label", `Dismiss: ${text}`);
  row.append(line, dismiss);
  return row;
}
