// Changes of labels and classes. The page shows a change at once and reverts it if storing fails.

import { post } from "./api.js";
import { isolate, notify, plural } from "./dom.js";
import { expectClass, refreshSoon, status, validSuggestion } from "./status.js";

async function store(items, patch, request) {
  const before = items.map((item) => ({ label: item.label, state: item.state }));
  for (const item of items) Object.assign(item, patch);
  try {
    const response = await request();
    refreshSoon();
    return response;
  } catch (error) {
    items.forEach((item, at) => Object.assign(item, before[at]));
    notify(`Not stored: ${error.message}`, true);
    refreshSoon();
    return null;
  }
}

export function label(items, name) {
  if (!items.length) return Promise.resolve(null);
  // The dialogs ask about names that are similar to others; the server need not ask again.
  const body = { rows: items.map((item) => item.row), label: name, confirm: true };
  if (items.some((item) => item.suggestion)) {
    body.suggestions = items.map((item) => item.suggestion ?? null);
    body.model = items[0].model ?? status?.model?.name;
  }
  const response = store(items, { label: name, state: "label" }, () => post("/api/label", body));
  expectClass(name, response);
  return response;
}

export function mark(items, kind) {
  if (!items.length) return Promise.resolve(null);
  const state = kind === "clear" ? "" : kind;
  const body = { rows: items.map((item) => item.row), kind };
  return store(items, { label: null, state }, () => post("/api/mark", body));
}

// Label each item with its own suggestion, by one request for each class.
export function accept(items) {
  const groups = new Map();
  for (const item of items) groups.set(validSuggestion(item), [...(groups.get(validSuggestion(item)) ?? []), item]);
  const requests = [];
  for (const [name, group] of groups) if (name) requests.push(label(group, name));
  return Promise.all(requests);
}

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
    label: () => `labelled ${images}${label === null ? "" : ` as ${label}`}`,
    skip: () => `skipped ${images}`,
    unsure: () => `marked ${images} as unsure`,
    clear: () => `removed the label of ${images}`,
  }[act.kind]();
}

export async function addClass(name) {
  const response = post("/api/classes", { name, confirm: true });
  expectClass(name, response);
  try {
    await response;
    notify(`Added class ${isolate(name)}`);
  } catch (error) {
    notify(`Not added: ${error.message}`, true);
  }
  refreshSoon();
}

export async function renameClass(from, to, merge = false) {
  await post("/api/classes/rename", { from, to, merge, confirm: true });
  refreshSoon();
}

export const retrain = () => post("/api/retrain").then(refreshSoon, (error) => notify(error.message, true));
