// Dialogs: choose a class by its name, show a large image, show the keys.

import { pictureUrl } from "./api.js";
import { renameClass } from "./actions.js";
import { ask } from "./ask.js";
import { similarClass } from "./class_names.js";
import { $, isolate, make } from "./dom.js";
import { classNames, colourOf } from "./status.js";

const dialog = $("#class-dialog");
const input = $("#class-name");
const list = $("#class-list");

let decide = null;
let chosen = -1;
let shown = [];
let extra = false;
let asked;  // the new name that the dialog asked about
let renamed;  // the class that the dialog renames

// List the classes whose names contain the typed letters, and choose the first match of these:
// 1. the class with exactly the typed name;
// 2. a class whose name differs by case only, unless the dialog renames the class `old`;
// 3. the first class of the list, unless the user can add a new class (`fresh`).
function fill(fresh, old, except) {
  const typed = input.value.trim();
  const small = typed.toLocaleLowerCase();
  shown = classNames().filter((name) => name !== except && name.toLocaleLowerCase().includes(small));
  chosen = shown.indexOf(typed);
  if (chosen < 0 && old === undefined) chosen = shown.findIndex((name) => name.toLocaleLowerCase() === small);
  if (chosen < 0 && !fresh && shown.length) chosen = 0;
  render();
}

function render() {
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
  if (asksFor(name)) return;
  dialog.close();
  const settle = decide;
  decide = null;
  settle?.(name ? { name, only } : null);
}

// Ask once about a new name that is similar to the name of a class; return whether it asks.
function asksFor(name) {
  const others = classNames().filter((each) => each !== renamed);
  const similar = name && !classNames().includes(name) ? similarClass(name, others) : undefined;
  if (similar === undefined || asked === name) return false;
  asked = name;
  const other = make("button", { type: "button", class: "main", text: `Use ${similar}` });
  other.addEventListener("click", () => { input.value = similar; input.focus(); input.oninput(); finish(false); });
  $("#class-note").replaceChildren(`Did you mean ${similar}? Press Enter again for the new class ${name}. `, other);
  return true;
}

// Resolve to {name, only}, or to null if cancelled. With `only`, add the class and label no image.
export function chooseClass({ title, note, old, except = old, fresh, ok = "OK", withOnly = false }) {
  $("#class-title").textContent = title;
  $("#class-note").textContent = note;
  $("#class-ok").textContent = ok;
  input.value = old ?? "";
  asked = undefined;
  renamed = old;
  extra = withOnly;
  input.oninput = () => fill(fresh, old, except);
  fill(fresh, old, except);
  dialog.showModal();
  input.select();
  return new Promise((resolve) => { decide = resolve; });
}

dialog.querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); finish(false); });
dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  if (dialog.open) return;  // the event of the former question comes when the next one is open
  const settle = decide;
  decide = null;
  settle?.(null);
});
input.addEventListener("keydown", (event) => {
  if (event.repeat && !input.value) event.preventDefault();  // the key that opened the dialog is held down
  if (event.key === "Enter") {
    event.preventDefault();
    finish(extra && event.shiftKey);
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    const step = event.key === "ArrowDown" ? 1 : -1;
    chosen = Math.max(-1, Math.min(shown.length - 1, chosen + step));
    render();
  }
});

export const askNewClass = (count) => chooseClass({
  title: "Add a class",
  note: count
    ? `Enter adds the class and labels ${count === 1 ? "the image" : `the ${count} selected images`}; Shift+Enter only adds the class.`
    : "Enter adds the class.",
  fresh: true, ok: "Add", withOnly: true,
});

export const askExistingClass = () => chooseClass({
  title: "Choose a class", note: "Type part of the name, or a new name.", fresh: false,
});

export async function askRename(name) {
  const found = await chooseClass({
    title: `Rename ${name}`, note: "If you enter the name of another class, the two classes are merged.", old: name, fresh: true, ok: "Rename",
  });
  if (!found || found.name === name) return null;
  if (!classNames().includes(found.name)) return renameClass(name, found.name);
  const agreed = await ask({ title: `Merge ${isolate(name)} into ${isolate(found.name)}?`, text: "U undoes the merge.", ok: "Merge" });
  return agreed ? renameClass(name, found.name, true) : null;
}

export function showLarge(item) {
  const image = make("img", { src: pictureUrl(item), alt: item.path });
  $("#look").replaceChildren(image);
  $("#look-path").textContent = item.path;
  $("#look-dialog").showModal();
}

export const showHelp = () => $("#help-dialog").showModal();
