// The dialog of the classes: rename, merge, delete, and withdraw accepted suggestions.

import { deleteClass, renameClass, withdraw } from "./actions.js";
import { ask } from "./ask.js";
import { askRename, chooseClass } from "./dialogs.js";
import { $, isolate, make, notify, plural } from "./dom.js";
import { colourOf, keyForClass, onStatus, refreshTo, status } from "./status.js";

const dialog = $("#classes-dialog");
const list = $("#class-menu");

let chosen = null;  // name of a class

const position = () => Math.max(0, status.classes.findIndex((each) => each.name === chosen));

function contents({ count, accepted = 0 }) {
  return `${plural(count, "label")}${accepted ? `, ${plural(accepted, "accepted suggestion")}` : ""}`;
}

function render() {
  const { classes, accepted } = status;
  const at = position();
  list.replaceChildren(...classes.map((each, place) => {
    const key = keyForClass(each.name);
    const line = make("li", { id: `class-menu-${place}`, role: "option", "aria-selected": String(place === at) },
      make("kbd", { text: key ? key.toUpperCase() : "–" }), make("bdi", { text: each.name }), make("span", { class: "quiet", text: contents(each) }));
    line.style.setProperty("--c", colourOf(each.name));
    line.addEventListener("click", () => { chosen = each.name; render(); });
    return line;
  }));
  if (classes.length) list.setAttribute("aria-activedescendant", `class-menu-${at}`);
  else list.replaceChildren(make("li", { class: "quiet", text: "There are no classes yet: press N in the page to add one." }));
  list.children[at]?.scrollIntoView({ block: "nearest" });
  for (const name of ["rename", "merge", "delete"]) $(`#class-${name}`).disabled = !classes.length;
  $("#class-merge").disabled = classes.length < 2;
  $("#class-withdraw").disabled = !accepted;
  $("#class-withdraw span").textContent = `Withdraw ${plural(accepted, "accepted suggestion")}`;
}

async function merge({ name }) {
  const answer = await chooseClass({ title: `Merge ${isolate(name)} into`, note: "Choose the class that stays.", except: name, fresh: false, ok: "Merge" });
  if (!answer) return null;
  if (status.classes.some((each) => each.name === answer.name)) return renameClass(name, answer.name, true);
  notify(`There is no class ${isolate(answer.name)} to merge into.`, true);
  return null;
}

async function remove(each) {
  const n = each.count + (each.accepted ?? 0);
  const text = `${contents(each)} ${n === 1 ? "is" : "are"} removed. U undoes this.`;
  const agreed = !n || await ask({ title: `Delete class ${isolate(each.name)}?`, text, ok: "Delete" });
  return agreed ? deleteClass(each.name, n > 0) : null;
}

// Selector of the button and act of each key. An act resolves to the response, or to null.
const ACTS = {
  r: ["#class-rename", ({ name }) => askRename(name)],
  m: ["#class-merge", merge],
  d: ["#class-delete", remove],
  w: ["#class-withdraw", withdraw],
};

let work = Promise.resolve();

// Perform the act of a key after the previous act is shown.
function perform(key) {
  work = work.then(async () => {
    const [selector, act] = ACTS[key];
    if ($(selector).disabled) return;
    const response = await act(status.classes[position()]);
    chosen = response?.name ?? chosen;
    if (response) await refreshTo(response.version);
    render();
    list.focus();
  });
}

for (const [key, [selector]] of Object.entries(ACTS)) $(selector).addEventListener("click", () => perform(key));

dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const key = event.key === "Delete" ? "d" : event.key.toLowerCase();
  if (step) { chosen = status.classes[position() + step]?.name ?? chosen; render(); } else if (key in ACTS && !event.repeat) perform(key);
  else return;
  event.preventDefault();
});

onStatus(() => { if (dialog.open) render(); });

export function showClasses() {
  chosen = null;
  render();
  dialog.showModal();
  list.focus();
}
