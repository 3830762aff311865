// Requests. What changes something goes out one after the other, in the order of the keys.

let run = null;

export class Refused extends Error {}

async function answer(response) {
  if (response.ok) return response;
  let message = `the server answered ${response.status}.`;
  try { message = (await response.json()).error; } catch { /* no JSON: the status says it */ }
  throw new Refused(message);
}

export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer.");
  }
  return answer(response);
}

export const get = async (path) => (await ask(path)).json();

export const bytes = async (path) => (await ask(path)).arrayBuffer();

let line = Promise.resolve();
let waiting = 0;
const watchers = new Set();

export const onWaiting = (watcher) => watchers.add(watcher);

function count(change) {
  waiting += change;
  for (const watcher of watchers) watcher(waiting);
}

export function post(path, body = {}) {
  count(1);
  const turn = line.then(async () => {
    const headers = { "content-type": "application/json", "x-embedpipe-run": run };
    return (await ask(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
  });
  line = turn.catch(() => {}).then(() => count(-1));
  return turn;
}

export const thumbnail = (item) => `/api/items/${item.row}/thumbnail?v=${item.image}`;
export const picture = (item) => `/api/items/${item.row}/picture?v=${item.image}`;

export function meet(status) {
  if (run !== null && run !== status.run) location.reload();
  run = status.run;
}
