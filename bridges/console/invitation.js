// Invitation: how to attach a game to this server, shown while none is attached.

import { at, setText } from "./elements.js";

/** Show it or not; `plays` is false for a server without a player, `hasToken` true where it asks for one. */
export function showInvitation(shown, { address, plays, hasToken }) {
  at("waiting").hidden = !shown;
  at("ours").hidden = !plays;
  at("records_only").hidden = plays;
  const token = hasToken ? " --token-file FILE" : "";
  setText(at("attach_ours"), `iafm play voxel --realtime --url ${address}${token}`);
  setText(at("attach_yours"), address);
}

/** Make the copy buttons work. */
export function startInvitation() {
  for (const copy of document.querySelectorAll("[data-copy]")) copy.addEventListener("click", () => copyText(copy));
}

/** A page that was not fetched by https or from this machine may not write to the clipboard: select the text instead. */
async function copyText(copy) {
  const code = at(copy.dataset.copy);
  try {
    await navigator.clipboard.writeText(code.textContent);
    setText(copy, "Copied");
  } catch {
    getSelection().selectAllChildren(code);
    setText(copy, "Selected, press Ctrl+C");
  }
  setTimeout(() => setText(copy, "Copy"), 2000);
}
