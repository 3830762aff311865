// The server's status, requested every second and after each change.

import { get, setRun } from "./api.js";
import { notify } from "./dom.js";

const INTERVAL = 1000;
const INTERVAL_HIDDEN = 5000;

export let status = null;
export let disconnected = false;

const watchers = new Set();

export const onStatus = (watcher) => watchers.add(watcher);

let request = null;
let again = false;
let timer;

export function refresh() {
  if (request) { again = true; return request; }
  request = load().finally(() => {
    request = null;
    clearTimeout(timer);
    if (again) { again = false; refresh(); } else timer = setTimeout(refresh, document.hidden ? INTERVAL_HIDDEN : INTERVAL);
  });
  return request;
}

async function load() {
  try {
    const fresh = await get("/api/status");
    setRun(fresh);
    addExpectedClasses(fresh);
    if (disconnected) notify("Connected again.");
    disconnected = false;
    const before = status;
    status = fresh;
    const changes = {
      version: before?.version !== fresh.version,
      model: before?.model?.name !== fresh.model?.name || before?.model?.version !== fresh.model?.version,
    };
    if (JSON.stringify(before) !== JSON.stringify(fresh)) for (const watcher of watchers) watcher(fresh, changes);
  } catch (error) {
    if (!disconnected) {
      disconnected = true;
      for (const watcher of watchers) if (status) watcher(status, {});
    }
    notify(`Labels are not stored now: ${error.message}`, true);
  }
}

// Refresh until the status has this or a later version of the label log.
export async function refreshTo(version) {
  while (status.version < version && !disconnected) await refresh();
}

let soon;

export function refreshSoon() {
  clearTimeout(soon);
  soon = setTimeout(refresh, 60);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

// A new class has its key at once, before a status contains the class. `response` resolves to the
// version of the label log with this class. A status of an older version does not remove the key.
const expected = new Map();

export function expectClass(name, response) {
  if (!status || classNames().includes(name)) return;
  expected.set(name, Infinity);
  addExpectedClasses(status);
  response.then((found) => { if (found) expected.set(name, found.version); else expected.delete(name); }, () => expected.delete(name));
}

function addExpectedClasses(fresh) {
  for (const [name, version] of expected) {
    if (fresh.version >= version) expected.delete(name);
    else if (!fresh.classes.some((each) => each.name === name)) fresh.classes.push({ name, count: 0 });
  }
}

// The suggestion of an item; null if its class does not exist any more.
export const validSuggestion = (item) => (classNames().includes(item.suggestion) ? item.suggestion : null);

// Keys of classes: the digits, then the letters without another meaning.

const KEYS = [..."1234567890", ..."abcdefghijklmopqrtvwxyz"];

export const classNames = () => (status ? status.classes.map((each) => each.name) : []);
export const keyForClass = (name) => KEYS[classNames().indexOf(name)] ?? "";
export const classForKey = (key) => { const at = KEYS.indexOf(key); return at < 0 ? undefined : classNames()[at]; };
export function colourOf(name) {
  const at = classNames().indexOf(name);
  return at < 0 ? "var(--quiet)" : `var(--c${at % 12})`;
}
