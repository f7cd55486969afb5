// Elements of the page: looked up by id, made of text only, and updated in place so that the focus stays.

export const at = (id) => document.getElementById(id);

/** An element with a class and a text. */
export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

/** A list item of spans, each [class, text]. */
export function item(...parts) {
  const row = document.createElement("li");
  row.append(...parts.flatMap(([name, text]) => [element("span", name, text), " "]));
  return row;
}

/** A button with what a press does. */
export function button(text, press) {
  const made = element("button", "", text);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

/** Set a text only where it differs: a selection in it, and a reader's place, stay. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Make `parent` hold one child per key, in order; `make(key)` builds a missing one, `update(child, key)` fills it. */
export function reconcile(parent, keys, make, update) {
  const children = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  for (const [key, child] of children) if (!keys.includes(key)) child.remove();
  keys.forEach((key, index) => {
    const child = children.get(key) ?? make(key);
    child.dataset.key = key;
    update(child, key);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

/** Put a row at the top of a list of at most `most` rows. */
export function prepend(list, row, most) {
  list.prepend(row);
  while (list.children.length > most) list.lastChild.remove();
}

/** Whole seconds for people: "12 s", "3 min 5 s". */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** A number with its noun: "1 step", "1,200 steps". */
export function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/** The time of day now, "14:05:09". */
export function timeOfDay() {
  return new Date().toTimeString().slice(0, 8);
}

/** Run `render`; where it takes the focused element away, `fallback()` is focused. */
export function keepFocus(render, fallback) {
  const focused = document.activeElement;
  render();
  if (focused === null || focused === document.body || isShown(document.activeElement)) return;
  (isShown(focused) ? focused : fallback()).focus();
}

function isShown(one) {
  return one !== null && one !== document.body && one.isConnected && one.checkVisibility();
}
