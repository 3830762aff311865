// Which view is shown, what the keys mean everywhere, and what to do next.

import { addClass } from "./acts.js";
import { onWaiting } from "./api.js";
import { help, lookAt, newClass, pickClass } from "./dialogs.js";
import { $, apart, make, percent, say } from "./dom.js";
import { Grid } from "./grid.js";
import { PlaneMap } from "./map.js";
import { exportNow, paintPanel } from "./panel.js";
import { Review } from "./review.js";
import { Search } from "./search.js";
import { Single } from "./single.js";
import { classOf, colourOf, keyOf, lost, names, refresh, status, watch } from "./store.js";

const KINDS = { single: Single, grid: Grid, review: Review, search: Search, map: PlaneMap };
const views = {};
let view = null;
let waiting = 0;

function open(name) {
  if (!(name in KINDS)) name = "single";
  views[name] ??= new KINDS[name]();
  if (view === views[name]) return view;
  view?.hide();
  view = views[name];
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  $("#view").replaceChildren(view.element);
  $("#view").focus({ preventScroll: true });
  $("#hints").textContent = view.hints();
  view.show();
  paintClasses();
  return view;
}

function paintProgress() {
  if (!status) return;
  const saving = waiting ? " · saving …" : "";
  const doing = saving || (status.training ? " · training …" : "");
  if (lost) $("#progress").replaceChildren("no connection");
  else {
    $("#progress").replaceChildren(`${status.labelled.toLocaleString("en")} of ${status.items.toLocaleString("en")}`,
      make("span", { class: "words", text: " images labelled" }), doing);
  }
}

function paintClasses() {
  const given = view?.current();
  const buttons = names().map((name) => {
    const key = keyOf(name);
    const button = make("button", { type: "button", title: name, "aria-pressed": String(name === given) });
    if (key) button.append(make("kbd", { text: key.toUpperCase() }));
    button.append(make("span", { text: name }));
    button.style.setProperty("--c", colourOf(name));
    button.addEventListener("click", () => { view.label(name); paintClasses(); });
    return button;
  });
  const add = make("button", { type: "button", title: "A new class" }, make("kbd", { text: "N" }), make("span", { text: "new class" }));
  add.addEventListener("click", askNew);
  const place = $("#classes");
  const focused = [...place.children].indexOf(document.activeElement);
  const before = [...place.children].map((each) => `${each.textContent}${each.ariaPressed}`).join("\n");
  const after = [...buttons, add].map((each) => `${each.textContent}${each.ariaPressed}`).join("\n");
  if (before === after) return;
  place.replaceChildren(...buttons, add);
  if (focused >= 0) place.children[focused]?.focus();
}

// One sentence: what to do now.
function nextStep({ classes, labelled, left, model }) {
  const with_labels = classes.filter((each) => each.count).length;
  if (!left) return ["Nothing is left to label", "Shift+R reviews the labels that the head doubts, Shift+E exports."];
  if (!classes.length) return ["Name the first class", "press N and type what the image shows. Every further class the same way; ? lists all keys."];
  if (!labelled) return ["Label the first images", "press the key of a class, or S to skip. Shift+G labels many at once."];
  if (with_labels < 2) return ["Label a second class", "the head learns as soon as two classes have labels."];
  if (!model) return ["Go on", "the head is fitted after ten labels."];
  const few = classes.filter((each) => each.count < 3);
  if (few.length) return [`Few labels of ${few.slice(0, 3).map((each) => apart(each.name)).join(", ")}`, "Shift+L on an image finds others like it, Shift+F finds by path."];
  if (model.advice === "stop") return ["Enough", "more labels would hardly change what the head says. Shift+R reviews doubted labels, Shift+E exports."];
  if (model.advice === "stop soon") return ["Nearly enough", "review with Shift+R, or go on if every point of accuracy counts."];
  return ["Go on", `Enter accepts what the head suggests${model.accuracy === null ? "" : ` (right in about ${percent(model.accuracy)} of the labelled images)`}.`];
}

watch((fresh, what) => {
  $("#dataset").textContent = fresh.dataset.replace(/-[0-9a-f]{8}$/, "");
  $("#dataset").title = fresh.dataset;
  document.title = `${fresh.labelled} labelled · ${$("#dataset").textContent}`;
  paintProgress();
  paintPanel(fresh);
  const [first, rest] = nextStep(fresh);
  $("#next").replaceChildren(make("b", { text: `${first}: ` }), rest);
  if (!view) open(location.hash.slice(1));
  else view.changed(what);
  paintClasses();
});

onWaiting((n) => { waiting = n; paintProgress(); });

async function askNew() {
  const target = view;
  const found = await newClass(target.chosen().length > 0);
  target.focus?.();
  if (!found) return;
  const made = found.only || !target.chosen().length ? addClass(found.name) : target.label(found.name);
  paintClasses();
  await made;
  refresh();
}

async function askPick() {
  const target = view;
  const found = await pickClass();
  target.focus?.();
  if (found) target.label(found.name);
}

function togglePanel() {
  const shown = document.body.classList.toggle("figures");
  $("#show-panel").setAttribute("aria-expanded", String(shown));
}

const SHIFTED = {
  s: () => open("single"), g: () => open("grid"), r: () => open("review"), m: () => open("map"),
  f: () => { open("search"); views.search.text.focus(); views.search.text.select(); },
  p: togglePanel, e: exportNow, u: () => view.mark("unsure"),
  l: () => { const { item } = view; if (item) { open("search"); views.search.like(item); } },
  v: () => { if (view.item) lookAt(view.item); },
};

function command(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.shiftKey && /^[a-z]$/.test(key)) {
    SHIFTED[key]?.();
    return key in SHIFTED;
  }
  if (view.key(event)) return true;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (key === "u") view.undo();
  else if (key === "s") view.mark("skip");
  else if (key === "n") askNew();
  else if (key === "/") askPick();
  else if (key === "?") help();
  else if (key === "Delete" || key === "Backspace") view.mark("clear");
  else {
    const name = classOf(key);
    if (name !== undefined) view.label(name);
    else if (/^[a-z0-9]$/.test(key)) say(`No class has the key ${key.toUpperCase()}: N makes one.`);
    else return false;
  }
  return true;
}

// Of the keys that are held down, only those that move go on: nothing is said of many by one.
const HELD = /^(Arrow|Page|[-+=]$)/;

// What is clicked leaves the keys to the view: Enter accepts, and does not click again.
document.addEventListener("mousedown", (event) => {
  if (event.target.closest("button, nav a") && !event.target.closest("dialog")) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (!view || document.querySelector("dialog[open]") || event.isComposing) return;
  if (event.target.matches("input, select, button, a")) {
    if (event.key === "Escape") { event.preventDefault(); (view.focus ? view : $("#view")).focus(); return; }
    if (event.target.matches("input, select")) return;
  }
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!plain && !(event.key === "a" && (event.ctrlKey || event.metaKey))) return;
  if (event.target.matches("button, a") && (event.key === "Enter" || event.key === " ")) return;
  if (event.repeat && !HELD.test(event.key)) { if (event.key === " ") event.preventDefault(); return; }
  if (command(event)) { event.preventDefault(); paintClasses(); }
});

window.addEventListener("hashchange", () => open(location.hash.slice(1)));
window.addEventListener("beforeunload", (event) => { if (waiting) event.preventDefault(); });
$("#show-help").addEventListener("click", help);
$("#show-panel").addEventListener("click", togglePanel);
refresh();
