// The current view, the keys of all views, and the next step.

import { addClass } from "./actions.js";
import { onPendingChange } from "./api.js";
import { showClasses } from "./class_menu.js";
import { acceptConfident } from "./confident.js";
import { askExistingClass, askNewClass, showHelp, showLarge } from "./dialogs.js";
import { $, isolate, make, notify, percent } from "./dom.js";
import { Grid } from "./grid.js";
import { ItemMap } from "./map.js";
import { Overview } from "./overview.js";
import "./new_images.js";
import { exportNow, renderPanel } from "./panel.js";
import { Review } from "./review.js";
import { Search } from "./search.js";
import { Single } from "./single.js";
import { classForKey, classNames, colourOf, disconnected, keyForClass, onStatus, refresh, status } from "./status.js";
import { showToolbar } from "./toolbar.js";
import { onImage, openTrial, tryImage } from "./trial.js";

const KINDS = { overview: Overview, single: Single, grid: Grid, review: Review, search: Search, map: ItemMap };
const views = {};
let view = null;
let pending = 0;

// Open a view by the name in its address, such as `single` or `search?predicted=shirt`.
function openView(address) {
  const [wanted, query] = address.split("?");
  const name = wanted in KINDS ? wanted : "single";
  const opened = showView(name);
  if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
  if (query) opened.openQuery?.(new URLSearchParams(query));
  return opened;
}

function showView(name) {
  views[name] ??= new KINDS[name]();
  if (view === views[name]) return view;
  if (view) { view.hide(); view.version = status?.version; }
  view = views[name];
  document.body.dataset.view = name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  $("#view").replaceChildren(view.element);
  $("#view").focus({ preventScroll: true });
  $("#hints").textContent = view.hints();
  view.show();
  renderNextStep();
  if (view.version !== undefined && view.version !== status?.version) view.statusChanged({ version: true, model: true });
  renderClasses();
  return view;
}

function renderProgress() {
  if (!status) return;
  const saving = pending ? " · saving …" : "";
  const doing = saving || (status.training ? " · training …" : "");
  if (disconnected) $("#progress").replaceChildren("not connected");
  else {
    $("#progress").replaceChildren(`${status.labelled.toLocaleString("en")} of ${status.items.toLocaleString("en")}`,
      make("span", { class: "words", text: " images labelled" }), status.accepted ? ` + ${status.accepted.toLocaleString("en")} accepted` : "", doing);
  }
}

function renderClasses() {
  const label = view?.currentLabel();
  const buttons = classNames().map((name) => {
    const key = keyForClass(name);
    const button = make("button", { type: "button", title: name, "aria-pressed": String(name === label) });
    if (key) button.append(make("kbd", { text: key.toUpperCase() }));
    button.append(make("span", { text: name }));
    button.style.setProperty("--c", colourOf(name));
    button.addEventListener("click", () => { view.label(name); renderClasses(); });
    return button;
  });
  const add = make("button", { type: "button", title: "Add a class" }, make("kbd", { text: "N" }), make("span", { text: "new class" }));
  add.addEventListener("click", addClassByName);
  const place = $("#classes");
  const focused = [...place.children].indexOf(document.activeElement);
  const before = [...place.children].map((each) => `${each.textContent}${each.ariaPressed}`).join("\n");
  const after = [...buttons, add].map((each) => `${each.textContent}${each.ariaPressed}`).join("\n");
  if (before === after) return;
  place.replaceChildren(...buttons, add);
  if (focused >= 0) place.children[focused]?.focus();
}

function renderNextStep() {
  if (!status || !view) return;
  const [first, rest] = nextStep(status);
  $("#next").replaceChildren(make("b", { text: `${first}: ` }), rest);
}

// The next step for the user: a short title and a sentence.
function nextStep({ classes, labelled, left, model }) {
  const labelledClasses = classes.filter((each) => each.count).length;
  if (!left) return ["No images are left to label", "Shift+R reviews likely wrong labels, Shift+E exports."];
  if (model?.zero_shot && labelledClasses < 2) return ["Check the suggestions", "they come from the names of the classes. Enter accepts one, the key of a class corrects it."];
  if (!classes.length) return ["Name the first class", "press N and type the name of a class. Add further classes in the same way; ? shows all keys."];
  if (!labelled) return ["Label the first images", "press the key of a class, or S to skip. Shift+G shows many images at once."];
  if (labelledClasses < 2) return ["Label a second class", "the model needs labels of two classes."];
  if (!model) return ["Continue", "the model is trained after ten labels."];
  const few = classes.filter((each) => each.count < 3).slice(0, 3).map((each) => isolate(each.name)).join(", ");
  if (model.advice === "stop") return ["Enough labels", `more labels would hardly improve the model.${few ? ` There are few labels of ${few}.` : ""} Shift+R reviews likely wrong labels, Shift+E exports.`];
  if (few) return [`Few labels of ${few}`, "Shift+L finds images similar to the current one, Shift+F searches by path."];
  if (model.advice === "stop soon") return ["Nearly enough labels", "Shift+R reviews likely wrong labels. Continue if you need a slightly higher accuracy."];
  if (view !== views.single && view !== views.grid) return ["Continue", "Shift+S shows the next image to label, Shift+G many images at once."];
  return ["Continue", `Enter accepts the suggestion${model.expected ? ` (expected to be right for ${percent(model.expected.value)} of the images without a label)` : ""}.`];
}

onStatus((fresh, changes) => {
  $("#dataset").textContent = fresh.dataset.replace(/-[0-9a-f]{8}$/, "");
  $("#dataset").title = fresh.dataset;
  document.title = `${fresh.labelled} labelled · ${$("#dataset").textContent}`;
  renderProgress();
  renderPanel(fresh);
  if (!view) openView(location.hash.slice(1) || (fresh.labelled ? "single" : "overview"));
  else view.statusChanged(changes);
  renderNextStep();
  renderClasses();
});

onPendingChange((n) => { pending = n; renderProgress(); });

async function addClassByName() {
  const target = view;
  const answer = await askNewClass(target.selectedItems().length);
  target.focus?.();
  if (!answer) return;
  const response = answer.only || !target.selectedItems().length ? addClass(answer.name) : target.label(answer.name);
  renderClasses();
  await response;
  refresh();
}

async function labelByName() {
  const target = view;
  const answer = await askExistingClass();
  target.focus?.();
  if (answer) target.label(answer.name);
}

function showSimilar() {
  const { item } = view;
  if (item) { openView("search"); views.search.showSimilar(item); }
}

// In the Search view, a dropped or pasted image is a query; elsewhere, the model predicts it.
onImage((file) => {
  const trial = $("#trial-dialog").open || view !== views.search || !status?.search_by.image;
  if (trial) tryImage(file);
  else views.search.searchImage(file);
});

function enlarge() { if (view.item) showLarge(view.item); }

function accept() {
  if (view.accept) view.accept();
  else notify("Choose Single, Grid or Search to accept suggestions.");
}

showToolbar([
  ["Accept", "Enter", accept, "on-image"],
  ["Skip", "S", () => view.mark("skip"), "on-image"],
  ["Unsure", "Shift+U", () => view.mark("unsure"), "on-image"],
  ["Remove label", "Delete", () => view.mark("clear"), "on-image"],
  ["Undo", "U", () => view.undo()],
  ["More like this", "Shift+L", showSimilar, "on-image"],
  ["Enlarge", "Shift+V", enlarge, "on-image"],
  ["Accept above 95 %", "Shift+A", acceptConfident],
  ["Find class", "/", labelByName, "on-image"],
  ["Classes", "Shift+C", showClasses],
]);

function togglePanel() {
  const shown = document.body.classList.toggle("statistics");
  $("#show-panel").setAttribute("aria-expanded", String(shown));
}

const SHIFT_KEYS = {
  o: () => openView("overview"), s: () => openView("single"), g: () => openView("grid"), r: () => openView("review"), m: () => openView("map"),
  f: () => { openView("search"); views.search.text.focus(); views.search.text.select(); },
  p: togglePanel, e: exportNow, t: openTrial, u: () => view.mark("unsure"),
  l: showSimilar, v: enlarge, a: acceptConfident, c: showClasses,
};

function handleKey(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.shiftKey && /^[a-z]$/.test(key)) {
    SHIFT_KEYS[key]?.();
    return key in SHIFT_KEYS;
  }
  if (view.handleKey(event)) return true;
  if (event.ctrlKey || event.metaKey || event.altKey) {
    if (key !== "z" || event.shiftKey) return false;
    view.undo();
    return true;
  }
  if (key === "u") view.undo();
  else if (key === "s") view.mark("skip");
  else if (key === "n") addClassByName();
  else if (key === "/") labelByName();
  else if (key === "?") showHelp();
  else if (key === "Delete" || key === "Backspace") view.mark("clear");
  else {
    const name = classForKey(key);
    if (name !== undefined) view.label(name);
    else if (/^[a-z0-9]$/.test(key)) notify(`No class has the key ${key.toUpperCase()}: N adds a class.`);
    else return false;
  }
  return true;
}

// Keys that repeat while they are held down. A class key must not label several images.
const REPEATABLE = /^(Arrow|Page|[-+=]$)/;

// A click does not move the focus, so that Enter accepts a suggestion and does not click again.
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
  if (!plain && !(/^[az]$/.test(event.key) && (event.ctrlKey || event.metaKey))) return;
  if (event.target.matches("button, a") && (event.key === "Enter" || event.key === " ")) return;
  if (event.repeat && !REPEATABLE.test(event.key)) { if (event.key === " ") event.preventDefault(); return; }
  if (handleKey(event)) { event.preventDefault(); renderClasses(); }
});

window.addEventListener("hashchange", () => openView(location.hash.slice(1)));
window.addEventListener("beforeunload", (event) => { if (pending) event.preventDefault(); });
$("#show-help").addEventListener("click", showHelp);
$("#show-panel").addEventListener("click", togglePanel);
refresh();
