// Images that appear in the folder while the page is open: the page offers to add them.

import { get, post } from "./api.js";
import { $, notify, percent, plural } from "./dom.js";

const INTERVAL = 10_000;
const INTERVAL_ADDING = 700;
const STEPS = { scan: "reading", embed: "preparing", train: "training" };

const button = $("#add-images");
let timer;
let shown = "";

// A new session replaces this one when the images are added, and the page is loaded again.
async function load() {
  clearTimeout(timer);
  let adding = null;
  try {
    const found = document.hidden ? null : await get("/api/new-images");
    if (found) ({ adding } = found);
    if (found) render(found);
  } catch { /* The status line shows that the server does not respond. */ }
  timer = setTimeout(load, adding ? INTERVAL_ADDING : INTERVAL);
}

function render({ new: count, addable, adding, problem }) {
  button.hidden = !count && !adding;
  button.disabled = Boolean(adding) || !addable;
  if (adding) button.textContent = `Adding images: ${STEPS[adding.doing] ?? adding.doing} ${percent(adding.share)}`;
  else button.textContent = addable ? `${plural(count, "new image")}: add` : `${plural(count, "new image")}: start the command again to add them`;
  if (problem && problem !== shown) notify(`Images not added: ${problem}`, true);
  shown = problem;
}

button.addEventListener("click", async () => {
  try {
    await post("/api/new-images/add");
  } catch (error) {
    notify(`Images not added: ${error.message}`, true);
  }
  load();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
load();
