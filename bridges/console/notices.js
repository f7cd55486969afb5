// Notices: lines above the page that say what happened and what can be done; equal ones are counted.

import { at, button, element, setText } from "./elements.js";

const MOST = 6;
const PROBLEMS = {
  bad_message: ["The server did not accept what this page sent.", "Reload the page: it may be of another version than the server."],
  unknown_type: ["The server does not know a message of this page.", "Reload the page: it may be of another version than the server."],
  not_allowed: ["The server does not take this from a console.", "Reload the page: it may be of another version than the server."],
  no_session: ["The game is not attached any more.", "Choose another game, or start it again."],
  policy_failed: ["The player could not answer.", "Try again; the server's log says more."],
  too_many: ["Too many messages at once.", "Wait a moment, then try again."],
};

/** Show a line; `key` tells equal ones, `actions` are [text, press] pairs that end it. */
export function notify(text, { key = text, kind = "news", detail = "", actions = [] } = {}) {
  const list = at("notices");
  let row = [...list.children].find((child) => child.dataset.key === key);
  const times = row ? Number(row.dataset.times) + 1 : 1;
  row ??= list.appendChild(make(text, kind, actions));
  row.dataset.key = key;
  row.dataset.times = times;
  setText(row.querySelector(".times"), times > 1 ? `${times} times` : "");
  setText(row.querySelector(".detail"), detail);
  while (list.children.length > MOST) list.firstChild.remove();
}

/** Take a line back, where it stands. */
export function withdraw(key) {
  [...at("notices").children].find((child) => child.dataset.key === key)?.remove();
}

/** Show an `error` of the server in words. */
export function notifyError(error) {
  const [text, advice] = PROBLEMS[error.code] ?? [error.message, ""];
  const detail = text === error.message ? "" : error.message;
  const line = [text, error.hint || advice].filter(Boolean).join(" ");
  notify(line, { key: `error ${error.code}`, kind: "problem", detail });
}

function make(text, kind, actions) {
  const row = element("li", kind, "");
  const words = element("p", "", "");
  words.append(element("span", "text", text), " ", element("strong", "times", ""), element("small", "detail", ""));
  const end = (press) => () => {
    row.remove();
    press();
  };
  row.append(words, ...actions.map(([label, press]) => button(label, end(press))));
  const dismiss = button("×", end(() => {}));
  dismiss.className = "dismiss";
  dismiss.setAttribute("aria-label", `Dismiss: ${text}`);
  row.append(dismiss);
  return row;
}
