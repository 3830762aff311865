// Labels of each class, how good the head is, whether to go on, and the way out.

import { post } from "./api.js";
import { editClass } from "./dialogs.js";
import { $, draw, make, many, percent, say } from "./dom.js";
import { colourOf } from "./store.js";

export function paintPanel(status) {
  paintCounts(status);
  paintAccuracy(status);
}

let counted;

function paintCounts({ classes, skipped, unsure }) {
  const now = JSON.stringify([classes, skipped, unsure]);
  if (now === counted) return;  // a button that is being pressed stays
  counted = now;
  const most = Math.max(1, ...classes.map((each) => each.count));
  const focused = [...document.querySelectorAll("#counts button")].indexOf(document.activeElement);
  $("#counts").replaceChildren(...classes.map(({ name, count }) => {
    const bar = make("i");
    bar.style.width = `${(100 * count) / most}%`;
    const line = make("button", { type: "button", title: `Rename or merge ${name}` },
      make("span", { text: name }), make("span", { text: String(count) }), bar);
    line.style.setProperty("--c", colourOf(name));
    line.addEventListener("click", () => editClass(name));
    return make("li", {}, line);
  }));
  if (!classes.length) $("#counts").append(make("li", { class: "quiet", text: "none yet" }));
  if (skipped || unsure) $("#counts").append(make("li", { class: "quiet", text: `${skipped} skipped, ${unsure} unsure` }));
  const buttons = document.querySelectorAll("#counts button");
  if (focused >= 0) buttons[Math.min(focused, buttons.length - 1)]?.focus();
}

function paintAccuracy({ model, curve, classes, problem }) {
  const line = $("#accuracy");
  const known = model && model.accuracy !== null;
  line.className = known ? "" : "none";
  if (known) {
    line.replaceChildren(percent(model.accuracy));
    if (model.interval) line.append(make("small", { text: `${percent(model.interval[0])} to ${percent(model.interval[1])}, ${many(model.labelled, "label")}` }));
    line.title = "Of the labelled images, each predicted by a head that was not fitted to it. Images chosen because they are hard make it lower than on all images.";
  } else {
    const two = classes.filter((each) => each.count).length >= 2;
    line.textContent = model || two ? "needs some more labels of each class" : "needs labels of two classes";
  }
  $("#advice").textContent = problem ?? (model ? `${{ continue: "Go on", stop: "Stop", "stop soon": "Stop soon" }[model.advice] ?? "Go on"}: ${model.reason}` : "");
  paintCurve(curve);
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [272, 120, 40, 18, 8, 8];

function paintCurve(curve) {
  const place = $("#curve");
  if (curve.length < 1) { place.replaceChildren(); return; }
  const last = curve.at(-1)[0];
  const first = curve.length > 1 ? curve[0][0] : 0;
  const low = Math.max(0, Math.floor(Math.min(...curve.map((each) => each[2])) * 10) / 10);
  const x = (labels) => LEFT + ((labels - first) / Math.max(1, last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (share) => TOP + ((1 - share) / Math.max(0.1, 1 - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Accuracy by labels: ${curve.map(([n, share]) => `${n}: ${percent(share)}`).slice(-5).join(", ")}` });
  for (const share of [low, 1]) {
    svg.append(draw("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y(share), y2: y(share) }));
    svg.append(draw("text", { x: LEFT - 5, y: y(share) + 4, "text-anchor": "end" }, `${Math.round(100 * share)} %`));
  }
  const ends = curve.length > 1 ? [[first, "start"], [last, "end"]] : [[last, "end"]];
  for (const [labels, anchor] of ends) {
    svg.append(draw("text", { x: x(labels), y: HEIGHT - 4, "text-anchor": anchor }, anchor === "end" ? `${labels} labels` : labels));
  }
  const above = curve.map(([labels, , , high]) => `${x(labels)},${y(high)}`);
  const below = curve.map(([labels, , floor]) => `${x(labels)},${y(floor)}`).reverse();
  svg.append(draw("polygon", { class: "band", points: [...above, ...below].join(" ") }));
  svg.append(draw("polyline", { class: "line", points: curve.map(([labels, share]) => `${x(labels)},${y(share)}`).join(" ") }));
  const [labels, share] = curve.at(-1);
  svg.append(draw("circle", { class: "dot", cx: x(labels), cy: y(share), r: 3.5 }));
  place.replaceChildren(svg);
}

let exporting = false;

export async function exportNow() {
  if (exporting) return;  // not by disabling the button, which would lose the focus
  exporting = true;
  $("#exported").textContent = "Exporting …";
  try {
    const { path, items, note } = await post("/api/export", { format: $("#format").value });
    $("#exported").textContent = `${many(items, "label")} in ${path}${note ? `\n${note}` : ""}`;
    say(`Exported: ${path}`);
  } catch (error) {
    $("#exported").textContent = `Not exported: ${error.message}`;
    say(`Not exported: ${error.message}`, true);
  } finally {
    exporting = false;
  }
}

$("#export").addEventListener("click", exportNow);
