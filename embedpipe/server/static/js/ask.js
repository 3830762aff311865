// A dialog that asks the user before a change.

import { $ } from "./dom.js";

const dialog = $("#ask-dialog");

let settle = null;

// Resolve to whether the user agrees. Enter agrees, Esc cancels.
export function ask({ title, text, ok }) {
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-ok").textContent = ok;
  dialog.returnValue = "";
  dialog.showModal();
  $("#ask-ok").focus();
  return new Promise((resolve) => { settle = resolve; });
}

dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  const resolve = settle;
  settle = null;
  resolve?.(dialog.returnValue === "ok");
});
