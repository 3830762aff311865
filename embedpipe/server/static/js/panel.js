// The side panel: labels per class, accuracy, advice, export.

import { post } from "./api.js";
import { askRename } from "./dialogs.js";
import { $, make, makeSvg, notify, percent, plural } from "./dom.js";
import { colourOf } from "./status.js";

export function renderPanel(status) {
  renderCounts(status);
  renderAccuracy(status);
}

let counted;

function renderCounts({ classes, skipped, unsure }) {
  const now = JSON.stringify([classes, skipped, unsure]);
  if (now === counted) return;  // so that a pressed button is not replaced
  counted = now;
  const most = Math.max(1, ...classes.map((each) => each.count));
  const focused = [...document.querySelectorAll("#counts button")].indexOf(document.activeElement);
  $("#counts").replaceChildren(...classes.map(({ name, count }) => {
    const bar = make("i");
    bar.style.width = `${(100 * count) / most}%`;
    const line = make("button", { type: "button", title: `Rename or merge ${name}` },
      make("span", { text: name }), make("span", { text: String(count) }), bar);
    line.style.setProperty("--c", colourOf(name));
    line.addEventListener("click", () => askRename(name));
    return make("li", {}, line);
  }));
  if (!classes.length) $("#counts").append(make("li", { class: "quiet", text: "no classes yet" }));
  if (skipped || unsure) $("#counts").append(make("li", { class: "quiet", text: `${skipped} skipped, ${unsure} unsure` }));
  const buttons = document.querySelectorAll("#counts button");
  if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus();
}

function renderAccuracy({ model, curve, classes, problem }) {
  const line = $("#accuracy");
  const known = model && model.accuracy !== null;
  line.className = known ? "" : "none";
  if (known) {
    line.replaceChildren(percent(model.accuracy));
    if (model.interval) line.append(make("small", { text: `${percent(model.interval[0])} to ${percent(model.interval[1])}, ${plural(model.labelled, "label")}` }));
  } else {
    const two = classes.filter((each) => each.count).length >= 2;
    line.textContent = model || two ? "not known yet: label more images of each class" : "not known yet: label images of two classes";
  }
  $("#advice").textContent = problem ?? (model ? `${{ stop: "Enough labels", "stop soon": "Nearly enough labels" }[model.advice] ?? "Continue"}: ${model.reason}` : "");
  $("#model").textContent = model ? `Model ${model.name}, trained in ${model.seconds.toFixed(1)} s.` : "";
  renderCurve(curve);
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [272, 120, 40, 18, 8, 8];

function renderCurve(curve) {
  const place = $("#curve");
  if (curve.length < 1) { place.replaceChildren(); return; }
  const last = curve.at(-1)[0];
  const first = curve.length > 1 ? curve[0][0] : 0;
  const low = Math.max(0, Math.floor(Math.min(...curve.map((each) => each[2])) * 10) / 10);
  const x = (labels) => LEFT + ((labels - first) / Math.max(1, last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (share) => TOP + ((1 - share) / Math.max(0.1, 1 - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Accuracy by labels: ${curve.map(([n, share]) => `${n}: ${percent(share)}`).slice(-5).join(", ")}` });
  for (const share of [low, 1]) {
    svg.append(makeSvg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }));
    svg.append(makeSvg("text", { x: LEFT - 5, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)} %`));
  }
  const ends = curve.length > 1 ? [[first, "start"], [last, "end"]] : [[last, "end"]];
  for (const [labels, anchor] of ends) {
    svg.append(makeSvg("text", { x: x(labels), y: HEIGHT - 4, "text-anchor": anchor }, anchor === "end" ? `${labels} labels` : labels));
  }
  const above = curve.map(([labels, , , upper]) => `${x(labels)},${y(upper)}`);
  const below = curve.map(([labels, , lower]) => `${x(labels)},${y(lower)}`).reverse();
  svg.append(makeSvg("polygon", { class: "band", points: [...above, ...below].join(" ") }));
  svg.append(makeSvg("polyline", { class: "line", points: curve.map(([labels, share]) => `${x(labels)},${y(share)}`).join(" ") }));
  const [labels, share] = curve.at(-1);
  svg.append(makeSvg("circle", { class: "dot", cx: x(labels), cy: y(share), r: 3.5 }));
  place.replaceChildren(svg);
}

let exporting = false;

export async function exportNow() {
  if (exporting) return;  // a disabled button would lose the focus
  exporting = true;
  $("#exported").textContent = "Exporting …";
  try {
    const format = $("#format").value;
    const { path, items, note } = await post("/api/export", { format });
    const what = format === "model" ? `Model trained on ${plural(items, "label")}: ${path}\nTo classify a new image: embedpipe predict new.jpg --model "${path}"` : `${plural(items, "label")} in ${path}`;
    $("#exported").textContent = `${what}${note ? `\n${note}` : ""}`;
    notify(`Exported: ${path}`);
  } catch (error) {
    $("#exported").textContent = `Not exported: ${error.message}`;
    notify(`Not exported: ${error.message}`, true);
  } finally {
    exporting = false;
  }
}

$("#export").addEventListener("click", exportNow);
