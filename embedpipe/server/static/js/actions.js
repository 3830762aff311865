// Acts: changes of labels and classes. An act is one request, and one undo reverts it. The page shows
// an act at once, and reverts it if storing fails. Acts on several images ask first if they change
// many images or replace labels.

import { get, post } from "./api.js";
import { ask } from "./ask.js";
import { isolate, notify, plural } from "./dom.js";
import { expectClass, refreshSoon, status, validSuggestion } from "./status.js";

const MANY = 20;
const PAGE = 500;

// Change items to `patch(item)`, call `started`, and store the change. The result is null if storing
// fails.
async function store(items, patch, request, started) {
  const before = items.map((item) => ({ label: item.label, state: item.state }));
  for (const item of items) Object.assign(item, patch(item), { version: Infinity });
  const response = request();
  started?.();
  try {
    const stored = await response;
    for (const item of items) item.version = stored.version;
    refreshSoon();
    return stored;
  } catch (error) {
    items.forEach((item, at) => Object.assign(item, before[at], { version: 0 }));
    notify(`Not stored: ${error.message}`, true);
    refreshSoon();
    return null;
  }
}

// Update an item with its state at a version of the label log, unless the page changed it later.
export function updateItem(item, { label, state }, version) {
  if ((item.version ?? 0) <= version) Object.assign(item, { label, state });
}

// Return the number of each name as text: "hat 20, shoe 15".
export function counted(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]).map(([name, count]) => `${isolate(name)} ${count.toLocaleString("en")}`).join(", ");
}

// Ask before a change of many images, or of several images of which some have another label. `target`
// returns the new label of an item, or null for a mark.
async function agrees(items, { title, ok, text = "", target }) {
  const unknown = items.filter((item) => item.state === undefined);
  for (let at = 0; at < unknown.length; at += PAGE) {
    const part = unknown.slice(at, at + PAGE);
    const found = await get(`/api/items?rows=${part.map((item) => item.row)}`);
    found.items.forEach(({ label, state }, place) => Object.assign(part[place], { label, state }));
  }
  const replaced = items.filter((item) => item.state === "label" && item.label !== target(item));
  if (items.length <= MANY && !replaced.length) return true;
  const warning = replaced.length
    ? `${replaced.length.toLocaleString("en")} of them ${replaced.length === 1 ? "has a label that changes" : "have labels that change"}: ${counted(replaced.map((item) => item.label))}.`
    : "";
  return ask({ title, text: [text, warning].filter(Boolean).join("\n"), ok });
}

// Perform a change at once if it is about one item, and otherwise when the user agrees. The result is
// null if the change is not stored.
function perform(items, question, change) {
  if (!items.length) return Promise.resolve(null);
  if (items.length === 1) return change();
  return agrees(items, question).then((agreed) => (agreed ? change() : null), (error) => {
    notify(`Not stored: ${error.message}`, true);
    return null;
  });
}

const modelOf = (items) => items[0].model ?? status?.model?.name;

function labelBody(items) {
  const body = { rows: items.map((item) => item.row) };
  if (!items.some((item) => item.suggestion)) return body;
  return { ...body, suggestions: items.map((item) => item.suggestion ?? null), model: modelOf(items) };
}

export function label(items, name, started) {
  const question = { title: `Label ${plural(items.length, "image")} as ${isolate(name)}?`, ok: "Label", target: () => name };
  return perform(items, question, () => {
    // The dialogs ask about names that are similar to others; the server need not ask again.
    const body = { ...labelBody(items), label: name, confirm: true };
    const response = store(items, () => ({ label: name, state: "label" }), () => post("/api/label", body), started);
    expectClass(name, response);
    return response;
  });
}

const MARKS = {
  skip: (images) => ["Skip", `Skip ${images}?`],
  unsure: (images) => ["Mark", `Mark ${images} as unsure?`],
  clear: (images) => ["Remove", `Remove the labels of ${images}?`],
};

export function mark(items, kind, started) {
  const [ok, title] = MARKS[kind](plural(items.length, "image"));
  const question = { title, ok, target: (item) => (kind === "clear" ? item.label : null) };
  const body = { rows: items.map((item) => item.row), kind };
  return perform(items, question, () => store(items, () => ({ label: null, state: kind === "clear" ? "" : kind }), () => post("/api/mark", body), started));
}

// Accept the suggestion of each item. The suggestion of one image becomes a label. The suggestions of
// several images are stored as accepted; images with a label keep it. If all images have a label, the
// suggestions replace the labels.
export function accept(items, started) {
  const suggested = items.filter((item) => validSuggestion(item));
  if (suggested.length === 1) return label(suggested, suggested[0].suggestion, started);
  const free = suggested.filter((item) => item.state !== "label");
  if (!free.length) return correct(suggested, started);
  const kept = suggested.length - free.length;
  const classes = counted(free.map((item) => item.suggestion));
  const question = { title: `Accept the suggestions of ${plural(free.length, "image")}?`, ok: "Accept", text: `${classes}.`, target: () => null };
  return perform(free, question, () => {
    const response = acceptRows(free.map((item) => [item.row, item.suggestion]), modelOf(free), free, started);
    if (kept) notify(`${plural(kept, "image keeps its label", "images keep their labels")}.`);
    return response;
  });
}

// Store accepted suggestions, pairs of row and class.
export function acceptRows(pairs, model, items = [], started = null) {
  const suggestions = Object.create(null);  // a class may have the name of a property
  for (const [row, name] of pairs) (suggestions[name] ??= []).push(row);
  return store(items, (item) => ({ label: item.suggestion, state: "accept" }), () => post("/api/accept", { suggestions, model }), started);
}

function correct(items, started) {
  const changed = items.filter((item) => item.label !== item.suggestion);
  const question = { title: `Replace the labels of ${plural(changed.length, "image")} by the suggestions?`, ok: "Replace", text: `${counted(changed.map((item) => item.suggestion))}.`, target: (item) => item.suggestion };
  return perform(changed, question, () => {
    const body = { ...labelBody(changed), labels: changed.map((item) => item.suggestion) };
    return store(changed, (item) => ({ label: item.suggestion, state: "label" }), () => post("/api/label", body), started);
  });
}

// Send a change of classes, or of all accepted suggestions, and tell the result.
async function change(path, body, done) {
  try {
    const response = await post(path, body);
    notify(`${done(response)} U undoes this.`);
    return response;
  } catch (error) {
    notify(`Not stored: ${error.message}`, true);
    return null;
  } finally {
    refreshSoon();
  }
}

export const withdraw = () => change("/api/withdraw", {}, ({ withdrawn }) => `Withdrawn: ${plural(withdrawn, "accepted suggestion")}.`);

export function addClass(name) {
  const response = change("/api/classes", { name, confirm: true }, () => `Added class ${isolate(name)}.`);
  expectClass(name, response);
  return response;
}

// Resolve to {version, name}, or to null.
export async function renameClass(from, to, merge = false) {
  const [verb, word] = merge ? ["Merged", "into"] : ["Renamed", "to"];
  const response = await change("/api/classes/rename", { from, to, merge, confirm: true }, () => `${verb} ${isolate(from)} ${word} ${isolate(to)}.`);
  return response && { ...response, name: to };
}

export const deleteClass = (name, clear) => change("/api/classes/delete", { name, clear }, () => `Deleted class ${isolate(name)}.`);

export async function undo() {
  try {
    const response = await post("/api/undo");
    refreshSoon();
    notify(response.undone ? `Undone: ${describe(response)}` : "Nothing to undo.");
    return response;
  } catch (error) {
    notify(`Not undone: ${error.message}`, true);
    return null;
  }
}

function describe({ act, rows, items }) {
  const [label, previous] = [act.label, act.previous].map((name) => (name === null ? null : isolate(name)));
  const images = rows.length === 1 ? items[0].path : plural(rows.length, "image");
  return {
    new_class: () => `added class ${label}`,
    rename_class: () => `renamed ${previous} to ${label}`,
    merge_class: () => `merged ${previous} into ${label}`,
    delete_class: () => `deleted class ${previous}`,
    label: () => `labelled ${images}${label === null ? "" : ` as ${label}`}`,
    accept: () => `accepted ${plural(rows.length, "suggestion")}`,
    skip: () => `skipped ${images}`,
    unsure: () => `marked ${images} as unsure`,
    clear: () => (items.length && items.every((item) => item.state === "accept") ? `withdrew ${plural(rows.length, "accepted suggestion")}` : `removed the label of ${images}`),
  }[act.kind]();
}

export const retrain = () => post("/api/retrain").then(refreshSoon, (error) => notify(error.message, true));
