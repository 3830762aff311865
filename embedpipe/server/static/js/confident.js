// The dialog that accepts all suggestions above a confidence, after a preview.

import { acceptRows, counted } from "./actions.js";
import { get } from "./api.js";
import { Board } from "./board.js";
import { $, isolate, notify, percent, plural } from "./dom.js";
import { refresh } from "./status.js";

const LEAST = 0.5;

const dialog = $("#confident-dialog");
const input = $("#confident-least");

let board = null;
let found = null;  // rows, codes and confidence, the lowest confidence first
let start = 0;  // position of the first row at or above the threshold
let excluded = new Set();  // deselected rows

const classOf = (at) => found.classes[found.codes[at]];

const caption = (item, index) => `${isolate(classOf(start + index))} ${percent(found.confidence[start + index])}`;

function makeBoard() {
  board = new Board({ name: "suggestion", tile: 112, caption });
  board.keepsSelection = true;
  board.onSelection = renderCounts;
  $("#confident-board").append(board.element);
  board.element.addEventListener("keydown", (event) => {
    event.stopPropagation();  // the dialog may close before the page sees the key
    if (event.key === "Enter") { event.preventDefault(); dialog.querySelector("form").requestSubmit(); }
    else if (event.key !== "Escape" && board.handleKey(event)) event.preventDefault();
  });
}

// The positions of the selected suggestions at or above the threshold.
const accepted = () => [...board.selected].map((index) => start + index);

function renderCounts() {
  const shown = found.rows.length - start;
  for (let index = 0; index < shown; index += 1) {
    const row = found.rows[start + index];
    if (board.selected.has(index)) excluded.delete(row); else excluded.add(row);
  }
  const chosen = accepted();
  $("#confident-counts").textContent = chosen.length ? `${counted(chosen.map(classOf))}.` : "No suggestion is selected.";
  $("#confident-ok").textContent = `Accept ${plural(chosen.length, "suggestion")}`;
  $("#confident-ok").disabled = !chosen.length;
}

function show() {
  const least = Math.round(100 * Number(input.value)) / 10000;
  start = found.confidence.findIndex((confidence) => confidence >= least);
  if (start < 0) start = found.rows.length;
  const rows = found.rows.slice(start);
  board.onSelection = null;
  if (rows.length) {
    board.showPages(rows.length, [], async (offset, limit) => (await get(`/api/items?rows=${rows.slice(offset, offset + limit)}`)).items);
    board.select(rows.map((row, index) => index).filter((index) => !excluded.has(rows[index])));
  } else board.showEmpty("No suggestion is this confident.");
  board.onSelection = renderCounts;
  renderCounts();
}

input.addEventListener("change", show);
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  show();
});
dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
dialog.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const pairs = accepted().map((at) => [found.rows[at], classOf(at)]);
  if (!pairs.length) return;
  dialog.close();
  const response = await acceptRows(pairs, found.model);
  if (response) notify(`Accepted ${plural(response.accepted, "suggestion")}. They are kept apart from your labels. U undoes this.`);
  refresh();
});

export async function acceptConfident() {
  try {
    found = await get(`/api/confident?min=${LEAST}`);
  } catch (error) {
    notify(`No suggestions: ${error.message}`, true);
    return;
  }
  if (!found.model) { notify("There is no model yet: label images of two classes."); return; }
  if (!found.rows.length) { notify("No suggestion is at least 50 % sure."); return; }
  if (!board) makeBoard();
  excluded = new Set();
  input.value = "95";
  dialog.showModal();
  show();
  board.element.focus();
}
