// Replay: a recorded match that the person follows, pauses, steps and scrubs; what the server says of it is shown.

import { at, setText } from "./elements.js";

let dragging = false; // the slider is the person's while it is moved
let progress = null;

/** `wish(message)` sends a `replay` message to the watched game. */
export function startReplay(wish) {
  const seek = (step) => wish({ type: "replay", command: "seek", step });
  at("replay_play").addEventListener("click", () => wish({ type: "replay", command: progress?.paused ? "play" : "pause" }));
  at("replay_step").addEventListener("click", () => wish({ type: "replay", command: "step" }));
  at("replay_back").addEventListener("click", () => {
    if (!progress) return;
    if (!progress.paused) wish({ type: "replay", command: "pause" });
    seek(Math.max(0, progress.step - 1));
  });
  at("replay_place").addEventListener("input", () => {
    dragging = true;
    showPlace(Number(at("replay_place").value));
  });
  at("replay_place").addEventListener("change", () => {
    dragging = false;
    seek(Number(at("replay_place").value));
  });
}

/** Show where the replay of a game stands; null where there is no game, or it is no replay. */
export function showReplay(game) {
  progress = game?.replay ?? null;
  at("replay").hidden = progress === null;
  if (progress === null) return;
  setText(at("replay_play"), progress.paused ? "Play" : "Pause");
  setText(at("replay_match"), progress.match);
  setText(at("replay_words"), progress.words);
  setText(at("replay_note"), progress.paused ? "Set another goal to see what the player would do here." : "");
  if (dragging) return;
  at("replay_place").max = Math.max(0, progress.steps - 1);
  at("replay_place").value = progress.step;
  showPlace(progress.step);
}

function showPlace(step) {
  const text = `step ${(step + 1).toLocaleString("en")} of ${progress.steps.toLocaleString("en")}`;
  setText(at("replay_step_count"), text);
  at("replay_place").setAttribute("aria-valuetext", text);
}
