// Asking for a class by name; a large picture; the keys.

import { picture } from "./api.js";
import { renameClass } from "./acts.js";
import { $, make, say } from "./dom.js";
import { colourOf, names } from "./store.js";

const dialog = $("#class-dialog");
const input = $("#class-name");
const list = $("#class-list");

let decide = null;
let chosen = -1;
let shown = [];
let extra = false;

// A class of exactly that name is meant; or one that differs by case alone, but not when a class
// gets another name (`old`); or, when there is none to be made, the first that has those letters.
function fill(fresh, old) {
  const typed = input.value.trim();
  const small = typed.toLocaleLowerCase();
  shown = names().filter((name) => name !== old && name.toLocaleLowerCase().includes(small));
  chosen = shown.indexOf(typed);
  if (chosen < 0 && old === undefined) chosen = shown.findIndex((name) => name.toLocaleLowerCase() === small);
  if (chosen < 0 && !fresh && shown.length) chosen = 0;
  paint();
}

function paint() {
  list.replaceChildren(...shown.map((name, at) => {
    const line = make("li", { text: name, id: `class-${at}`, dir: "auto", role: "option", "aria-selected": String(at === chosen) });
    line.style.setProperty("--c", colourOf(name));
    line.addEventListener("click", () => { chosen = at; finish(false); });
    return line;
  }));
  input.setAttribute("aria-activedescendant", chosen >= 0 ? `class-${chosen}` : "");
  list.children[chosen]?.scrollIntoView({ block: "nearest" });
}

function finish(only) {
  const name = chosen >= 0 ? shown[chosen] : input.value.trim();
  dialog.close();
  const settle = decide;
  decide = null;
  settle?.(name ? { name, only } : null);
}

// Resolves to {name, only} or null; `only`: make the class and label nothing.
export function askClass({ title, note, old, fresh, ok = "OK", withOnly = false }) {
  $("#class-title").textContent = title;
  $("#class-note").textContent = note;
  $("#class-ok").textContent = ok;
  input.value = old ?? "";
  extra = withOnly;
  input.oninput = () => fill(fresh, old);
  fill(fresh, old);
  dialog.showModal();
  input.select();
  return new Promise((resolve) => { decide = resolve; });
}

dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); finish(false); });
dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { const settle = decide; decide = null; settle?.(null); });
input.addEventListener("keydown", (event) => {
  if (event.repeat && !input.value) event.preventDefault();  // the key that opened this, held down
  if (event.key === "Enter") {
    event.preventDefault();
    finish(extra && event.shiftKey);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    chosen = Math.max(-1, Math.min(shown.length - 1, chosen + step));
    paint();
  }
});

export const newClass = (labels) => askClass({
  title: "New class",
  note: labels
    ? "Enter gives it to what is chosen as well; Shift+Enter only makes the class."
    : "Enter makes the class.",
  fresh: true, ok: "Add", withOnly: true,
});

export const pickClass = () => askClass({
  title: "Which class?", note: "Type a part of its name, or a new one.", fresh: false,
});

export async function editClass(name) {
  const found = await askClass({
    title: `Rename ${name}`, note: "The name of another class merges the two.", old: name, fresh: true, ok: "Rename",
  });
  if (!found || found.name === name) return;
  try {
    if (!names().includes(found.name)) await renameClass(name, found.name);
    else if (confirm(`Merge ${name} into ${found.name}? Undo (U) takes it back.`)) await renameClass(name, found.name, true);
  } catch (error) {
    say(`Not renamed: ${error.message}`, true);
  }
}

export function lookAt(item) {
  const image = make("img", { src: picture(item), alt: item.path });
  $("#look").replaceChildren(image);
  $("#look-path").textContent = item.path;
  $("#look-dialog").showModal();
}

export const help = () => $("#help-dialog").showModal();
