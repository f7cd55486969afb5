// Questions: what a person asked about the watched game, with the answers.

import { at, element, item, prepend } from "./elements.js";

const ROWS = 6;
const KINDS = { why: "why", next_action: "next", caption: "doing" };
let newest = 0;

/** Add a question; returns its `query` message. */
export function addQuestion(kind) {
  const row = item(["kind", KINDS[kind]], ["", "…"]);
  row.className = "pending";
  row.dataset.id = ++newest;
  prepend(at("answers"), row, ROWS);
  return { type: "query", id: newest, kind };
}

/** Put an answer in its question's row. */
export function answerQuestion({ id, kind, text }) {
  const row = rowOf(id);
  if (!row) return;
  row.className = "";
  row.replaceChildren(element("span", "kind", KINDS[kind] ?? kind), " ", element("span", "", text));
}

/** It gets no answer. */
export function dropQuestion(id) {
  rowOf(id)?.remove();
}

/** No answer will come to those that wait. */
export function dropQuestions() {
  for (const row of document.querySelectorAll("#answers .pending")) row.remove();
}

function rowOf(id) {
  return at("answers").querySelector(`[data-id="${Number(id)}"]`);
}
