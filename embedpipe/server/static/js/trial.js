// Try the model: the prediction for an image that is dropped, pasted or chosen. Nothing is stored.

import { postFile } from "./api.js";
import { $, make, notify, percent, plural } from "./dom.js";
import { colourOf } from "./status.js";

const MAX_BYTES = 40_000_000;
const MAX_SIDE = 520;

const dialog = $("#trial-dialog");
const picture = $("#trial-image");
const answer = $("#trial-answer");
const chooser = $("#trial-file");

let request = null;

export function openTrial() {
  request = Symbol("trial");
  picture.replaceChildren();
  answer.replaceChildren(make("p", { class: "quiet", text: "Choose an image, drop it anywhere on the page, or paste it. It is not stored." }));
  if (!dialog.open) dialog.showModal();
}

export async function tryImage(file) {
  openTrial();
  const own = request;
  answer.replaceChildren(make("p", { class: "quiet", text: "Predicting …" }));
  showPicture(file, own);
  try {
    if (file.size > MAX_BYTES) throw new Error(`the file has more than ${MAX_BYTES / 1e6} MB.`);
    const found = await postFile("/api/predict", file);
    if (own === request) showClasses(found);
  } catch (error) {
    if (own === request) answer.replaceChildren(make("p", { text: `No prediction: ${error.message}` }));
  }
}

// Draw the image on a canvas, because the page may load images from its own server only.
async function showPicture(file, own) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap || own !== request) return;
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", { role: "img", "aria-label": file.name });
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  picture.replaceChildren(canvas);
}

function showClasses({ classes, labelled }) {
  answer.replaceChildren(
    make("ol", {}, ...classes.map(({ name, probability }) => {
      const bar = make("i");
      bar.style.width = `${100 * probability}%`;
      const line = make("li", {}, make("bdi", { text: name }), make("span", { text: percent(probability) }), bar);
      line.style.setProperty("--c", colourOf(name));
      return line;
    })),
    make("p", { class: "quiet", text: `${labelled ? `The model learned from ${plural(labelled, "label")}.` : "The model compared the image with the names of the classes."} The image is not stored.` }),
  );
}

// Function that takes an image that is dropped on the page or pasted.
let receive = tryImage;

export function onImage(receiver) { receive = receiver; }

const fileIn = (transfer) => [...(transfer?.files ?? [])][0];
const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");

document.addEventListener("dragover", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
document.addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!hasFiles(event)) return;
  event.preventDefault();
  const file = fileIn(event.dataTransfer);
  if (file) receive(file);
});
document.addEventListener("paste", (event) => {
  const file = fileIn(event.clipboardData);
  if (file) receive(file);
  else if (dialog.open) notify("The clipboard has no image.");
});
chooser.addEventListener("change", () => {
  if (chooser.files[0]) tryImage(chooser.files[0]);
  chooser.value = "";
});
$("#trial-choose").addEventListener("click", () => chooser.click());
$("#try-model").addEventListener("click", openTrial);
dialog.addEventListener("close", () => { request = null; });
