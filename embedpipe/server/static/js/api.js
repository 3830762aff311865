// Requests to the server. Changes are sent one after the other, in the order of the key presses.

let run = null;

export async function request(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not respond.");
  }
  if (response.ok) return response;
  let message = `the server responded with status ${response.status}.`;
  try { message = (await response.json()).error; } catch { /* The body is not JSON. */ }
  throw new Error(message);
}

export const get = async (path) => (await request(path)).json();

export const getBytes = async (path) => (await request(path)).arrayBuffer();

let queue = Promise.resolve();
let pending = 0;
const watchers = new Set();

export const onPendingChange = (watcher) => watchers.add(watcher);

function countPending(change) {
  pending += change;
  for (const watcher of watchers) watcher(pending);
}

export function post(path, body = {}) {
  countPending(1);
  const response = queue.then(async () => {
    const headers = { "content-type": "application/json", "x-embedpipe-run": run };
    return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
  });
  queue = response.catch(() => {}).then(() => countPending(-1));
  return response;
}

// Send a file at once, because it changes nothing.
export async function postFile(path, file) {
  const kind = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  return (await request(path, { method: "POST", headers: { "content-type": kind, "x-embedpipe-run": run }, body: file })).json();
}

export const thumbnailUrl = (item) => `/api/items/${item.row}/thumbnail?v=${item.image}`;
export const pictureUrl = (item) => `/api/items/${item.row}/picture?v=${item.image}`;

// A restart of the server or new images begin a new run. In another run, a row may be another item,
// so the page is loaded again.
export function setRun(status) {
  if (run !== null && run !== status.run) location.reload();
  run = status.run;
}
