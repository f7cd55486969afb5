// Owner: whose actions the watched game plays, as the server says, and since when.

import { at, setText, timeOfDay } from "./elements.js";

const ADVICE = "The agent's actions are advice.";
const takeovers = new Map(); // sentence by session, while a person owns its player

/** `choose(owner, settled)` asks the server for another owner. */
export function startOwner(choose) {
  for (const segment of segments()) {
    segment.addEventListener("click", () => {
      if (segment.getAttribute("aria-pressed") === "true") return;
      segment.setAttribute("aria-busy", "true");
      choose(segment.dataset.owner, () => segment.removeAttribute("aria-busy"));
    });
  }
}

/** Remember when and where a `control` message made a person the owner. */
export function rememberOwner({ session, owner, source }) {
  const time = timeOfDay();
  const sentence = source === "console" ? `Given to the person at ${time}, at a console.` : `Taken over by the person at ${time}.`;
  if (owner === "human") takeovers.set(session, sentence);
  else takeovers.delete(session);
}

/** Show the owner of a game; null where there is none. */
export function showOwner(game) {
  for (const segment of segments()) segment.setAttribute("aria-pressed", String(segment.dataset.owner === game?.owner));
  setText(at("owner_note"), game?.owner === "human" ? `${takeovers.get(game.session) ?? "A person plays."} ${ADVICE}` : "");
}

function segments() {
  return document.querySelectorAll("[data-owner]");
}
