// A dialog that asks the user before a change.

import { $ } from "./dom.js";

const dialog = $("#ask-dialog");

let settle = null;

// Resolve to whether the user agrees. Enter agrees, Esc cancels.
export function ask({ title, text, ok }) {
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-ok").textContent = ok;
  dialog.showModal();
  $("#ask-ok").focus();
  return new Promise((resolve) => { settle = resolve; });
}

// The event `close` comes later, perhaps when the next question is open: it must not answer that one.
function answer(agrees) {
  const resolve = settle;
  settle = null;
  dialog.close();
  resolve?.(agrees);
}

dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); answer(true); });
dialog.querySelector("[value=cancel]").addEventListener("click", () => answer(false));
dialog.addEventListener("cancel", (event) => { event.preventDefault(); answer(false); });
dialog.addEventListener("close", () => { if (!dialog.open) answer(false); });
