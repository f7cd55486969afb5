// Log: who said what about the watched game, and who took its player over, newest first.

import { at, element, prepend, timeOfDay } from "./elements.js";

const ROWS = 50;
const KINDS = { instruct: "goal", correct: "correction", say: "thought", control: "who plays" };
const OWNERS = { agent: "the agent", shared: "the agent, until a person presses something", human: "a person" };

/** Add a message of a person; `mine` where this page sent it. */
export function logMessage(message, mine) {
  const row = document.createElement("li");
  const kind = message.release ? "goal given back" : KINDS[message.type];
  const text = message.type === "control" ? (OWNERS[message.owner] ?? message.owner) : message.text;
  row.append(
    element("time", "", timeOfDay()), " ",
    element("span", "who", mine ? "you" : whose(message.source)), " ",
    element("span", "kind", `${kind}:`), " ",
    element("span", "what", text),
  );
  prepend(at("log"), row, ROWS);
}

/** Another game is watched. */
export function clearLog() {
  at("log").replaceChildren();
}

function whose(source) {
  return { game: "the game", console: "another console" }[source] ?? "somebody";
}
