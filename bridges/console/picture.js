// Picture: the newest frame of the watched game, and for how long no newer one has come.

import { at, duration, setText } from "./elements.js";

const STALE = 2000; // milliseconds without a picture
let url = null;
let shownAt = null;

/** Show a JPEG. */
export function showPicture(jpeg) {
  const previous = url;
  url = URL.createObjectURL(jpeg);
  at("frame").src = url;
  at("frame").hidden = false;
  if (previous) URL.revokeObjectURL(previous);
  shownAt = performance.now();
  updateAge(true);
}

/** Show none: another game is watched now. */
export function clearPicture() {
  if (url) URL.revokeObjectURL(url);
  url = shownAt = null;
  at("frame").hidden = true;
  at("frame").removeAttribute("src");
  updateAge(true);
}

/** Count up once a second; a picture is dimmed while it is `live` no more. */
export function updateAge(live) {
  const age = shownAt === null ? 0 : performance.now() - shownAt;
  const stale = shownAt !== null && (!live || age > STALE);
  at("stage").classList.toggle("stale", stale);
  at("age_of_picture").hidden = !stale;
  setText(at("age_of_picture"), stale ? `last picture ${duration(age)} ago` : "");
}
