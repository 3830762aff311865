// What can be said: shown at once, and taken back if it could not be stored.

import { post } from "./api.js";
import { say } from "./dom.js";
import { expectClass, refreshSoon, status, suggested } from "./store.js";

async function stored(items, patch, request) {
  const before = items.map((item) => ({ label: item.label, state: item.state }));
  for (const item of items) Object.assign(item, patch);
  try {
    const found = await request();
    refreshSoon();
    return found;
  } catch (error) {
    items.forEach((item, at) => Object.assign(item, before[at]));
    say(`Not stored: ${error.message}`, true);
    refreshSoon();
    return null;
  }
}

export function label(items, name) {
  if (!items.length) return Promise.resolve(null);
  const body = { rows: items.map((item) => item.row), label: name };
  if (items.some((item) => item.suggestion)) {
    body.suggestions = items.map((item) => item.suggestion ?? null);
    body.model = items[0].model ?? status?.model?.name;
  }
  const told = stored(items, { label: name, state: "label" }, () => post("/api/label", body));
  expectClass(name, told);
  return told;
}

export function mark(items, kind) {
  if (!items.length) return Promise.resolve(null);
  const state = kind === "clear" ? "" : kind;
  const body = { rows: items.map((item) => item.row), kind };
  return stored(items, { label: null, state }, () => post("/api/mark", body));
}

// Every item gets its own suggestion: one act for each class.
export function accept(items) {
  const groups = new Map();
  for (const item of items) groups.set(suggested(item), [...(groups.get(suggested(item)) ?? []), item]);
  const acts = [];
  for (const [name, group] of groups) if (name) acts.push(label(group, name));
  return Promise.all(acts);
}

export async function undo() {
  try {
    const found = await post("/api/undo");
    refreshSoon();
    if (!found.rows.length) say(found.undone ? "Undone: what was said of a class" : "There is nothing left to undo.");
    return found;
  } catch (error) {
    say(`Not undone: ${error.message}`, true);
    return null;
  }
}

export async function addClass(name) {
  const told = post("/api/classes", { name });
  expectClass(name, told);
  try {
    await told;
    refreshSoon();
    say(`${name}: a class now`);
  } catch (error) {
    say(`Not added: ${error.message}`, true);
    refreshSoon();
  }
}

export async function renameClass(from, to, merge = false) {
  await post("/api/classes/rename", { from, to, merge });
  refreshSoon();
}

export const retrain = () => post("/api/retrain").then(refreshSoon, (error) => say(error.message, true));
