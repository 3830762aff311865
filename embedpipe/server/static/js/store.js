// What the server knows, asked for every second and after whatever is said here.

import { get, meet } from "./api.js";
import { say } from "./dom.js";

const EVERY = 1000;
const EVERY_HIDDEN = 5000;

export let status = null;
export let lost = false;

const watchers = new Set();

export const watch = (watcher) => watchers.add(watcher);

let asking = null;
let again = false;
let timer;

export function refresh() {
  if (asking) { again = true; return asking; }
  asking = look().finally(() => {
    asking = null;
    clearTimeout(timer);
    if (again) { again = false; refresh(); } else timer = setTimeout(refresh, document.hidden ? EVERY_HIDDEN : EVERY);
  });
  return asking;
}

async function look() {
  try {
    const fresh = await get("/api/status");
    meet(fresh);
    withExpected(fresh);
    if (lost) say("The server answers again.");
    lost = false;
    const before = status;
    status = fresh;
    const changed = {
      version: before?.version !== fresh.version,
      model: before?.model?.name !== fresh.model?.name || before?.model?.version !== fresh.model?.version,
    };
    if (JSON.stringify(before) !== JSON.stringify(fresh)) for (const watcher of watchers) watcher(fresh, changed);
  } catch (error) {
    if (!lost) {
      lost = true;
      for (const watcher of watchers) if (status) watcher(status, {});
    }
    say(`Nothing is stored now: ${error.message}`, true);
  }
}

let soon;

export function refreshSoon() {
  clearTimeout(soon);
  soon = setTimeout(refresh, 60);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

// A class that is being made has its key at once, and keeps it until an answer knows of it: one
// that was asked for before does not. `told` gives the version of the log that has it, or null.
const expected = new Map();

export function expectClass(name, told) {
  if (!status || names().includes(name)) return;
  expected.set(name, Infinity);
  withExpected(status);
  told.then((found) => { if (found) expected.set(name, found.version); else expected.delete(name); }, () => expected.delete(name));
}

function withExpected(fresh) {
  for (const [name, version] of expected) {
    if (fresh.version >= version) expected.delete(name);
    else if (!fresh.classes.some((each) => each.name === name)) fresh.classes.push({ name, count: 0 });
  }
}

// What the head suggests, unless that is no class any more: renamed, merged or undone.
export const suggested = (item) => (names().includes(item.suggestion) ? item.suggestion : null);

// Keys of classes: digits, then the letters that mean nothing else.

const KEYS = [..."1234567890", ..."abcdefghijklmopqrtvwxyz"];

export const names = () => (status ? status.classes.map((each) => each.name) : []);
export const keyOf = (name) => KEYS[names().indexOf(name)] ?? "";
export const classOf = (key) => { const at = KEYS.indexOf(key); return at < 0 ? undefined : names()[at]; };
export function colourOf(name) {
  const at = names().indexOf(name);
  return at < 0 ? "var(--quiet)" : `var(--c${at % 12})`;
}
