// Recording: a light for the watched game: red while it is recorded, amber where steps are missing.

import { at, counted, setText } from "./elements.js";

const TITLES = {
  off: "The server was started without --record DIR",
  red: "Recorded since this game attached; nothing is missing",
  amber: "Some steps are missing; the episodes say where",
};

/** Show what is recorded of a game; null where there is none. */
export function showRecording(game) {
  const recording = game?.recording ?? null;
  const kind = recording === null ? "off" : recording.dropped > 0 ? "amber" : "red";
  at("recording").className = kind;
  at("recording").title = TITLES[kind];
  setText(at("recorded"), game ? sentence(game, recording) : "");
}

function sentence(game, recording) {
  const light = [recording ? "recording" : "not recorded", game.role === "record" ? ", no player" : ""].join("");
  if (recording === null) return light;
  const { episodes, steps, dropped } = recording;
  const missing = dropped > 0 ? `, ${counted(dropped, "step")} missing` : "";
  return `${light}: ${counted(episodes, "episode")}, ${counted(steps, "step")}${missing}`;
}
