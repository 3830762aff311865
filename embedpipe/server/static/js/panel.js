// The side panel: labels per class, expected accuracy, results per class, advice, export.

import { get, post } from "./api.js";
import { askRename } from "./dialogs.js";
import { $, make, makeSvg, notify, percent, plural } from "./dom.js";
import { colourOf } from "./status.js";

export function renderPanel(status) {
  renderCounts(status);
  renderAccuracy(status);
}

const MOST_CLASSES = 8;

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

function renderAccuracy({ model, curve, classes, problem, items, labelled, accepted }) {
  const line = $("#accuracy");
  const expected = model?.expected;
  line.className = expected ? "" : "none";
  if (expected) {
    const { value, low, high } = expected;
    line.replaceChildren(percent(value), make("small", { text: `${percent(low)} to ${percent(high)}, on the ${plural(items - labelled, "image")} without a label${accepted ? `, ${accepted.toLocaleString("en")} of them accepted` : ""}` }));
  } else {
    const two = classes.filter((each) => each.count).length >= 2;
    line.textContent = `Not known yet. ${model?.expected_reason || (two ? "Label more images of each class." : "Label images of two classes.")}`;
  }
  const advice = { stop: "Enough labels", "stop soon": "Nearly enough labels" }[model?.advice] ?? "Continue";
  $("#advice").textContent = problem ?? (model ? `${advice}: ${model.reason}` : "");
  renderDetails(model);
  renderCurve(curve, model);
  renderClasses(model);
}

function renderDetails(model) {
  const choice = model?.choice ? ` It ${model.choice}.` : "";
  $("#model").textContent = model ? `Model ${model.name}${model.zero_shot ? "" : `, trained in ${model.seconds.toFixed(1)} s`}.${choice}` : "There is no model yet.";
  const [low, high] = model?.interval ?? [];
  $("#cross-validated").textContent = typeof model?.accuracy === "number"
    ? `Cross-validated accuracy on the labelled images: ${percent(model.accuracy)}${low === undefined ? "" : ` (${percent(low)} to ${percent(high)})`}. Each image is predicted by a model that was not trained on it. This number is usually too low for the images without a label, because difficult images are labelled first.`
    : "";
}

let asked;

// Show the results per class, the weakest first. They are requested once for each model.
async function renderClasses(model) {
  const name = model?.expected ? `${model.name} ${model.version}` : null;
  if (name === asked) return;
  asked = name;
  const place = $("#by-class");
  if (name === null) { place.replaceChildren(); return; }
  const found = await get("/api/confusion").catch(() => null);
  if (name !== asked) return;
  if (!found?.per_class.length) { place.replaceChildren(); return; }
  place.replaceChildren(make("h3", { text: "Weakest classes first" }), classList(found), confusionMatrix(found));
}

const searchFor = (query) => `#search?${new URLSearchParams({ state: "unlabelled", ...query })}`;

function classList({ per_class: classes }) {
  return make("ul", { class: "shares" }, ...classes.map(({ class: name, share, items, predicted }) => {
    const title = `${plural(predicted, "image")} without a label with the suggestion ${name}`;
    const link = make("a", { href: searchFor({ predicted: name, sort: "confidence" }), title }, make("bdi", { text: name }), make("span", { text: share === null ? "–" : `${percent(share)} of ${Math.round(items).toLocaleString("en")}` }));
    link.style.setProperty("--c", colourOf(name));
    return make("li", {}, link);
  }));
}

// The expected numbers of images by true class (rows) and suggestion (columns).
function confusionMatrix({ classes, matrix, per_class: ranked }) {
  const shown = ranked.slice(0, MOST_CLASSES).map((each) => classes.indexOf(each.class));
  const head = make("tr", {}, make("th", { scope: "col", text: "is \\ suggested" }), ...shown.map((code, at) => make("th", { scope: "col", title: classes[code], text: String(at + 1) })));
  const lines = shown.map((row, at) => make("tr", {},
    make("th", { scope: "row", title: classes[row] }, `${at + 1} `, make("bdi", { text: classes[row] })),
    ...shown.map((column) => {
      const count = Math.round(matrix[row][column]);
      const cell = make("td", { class: row === column ? "right" : count ? "wrong" : "" });
      if (count) cell.append(make("a", { href: searchFor({ predicted: classes[column], likely: classes[row] }), title: `about ${plural(count, "image")} of ${classes[row]} with the suggestion ${classes[column]}`, text: count.toLocaleString("en") }));
      return cell;
    })));
  return make("details", {}, make("summary", { text: "Which classes are confused" }),
    make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Which classes are confused" }, make("table", { class: "confusion" }, make("thead", {}, head), make("tbody", {}, ...lines))),
    make("p", { class: "quiet", text: `Expected numbers of images${ranked.length > shown.length ? `, the ${shown.length} weakest classes` : ""}. A click shows the images.` }));
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [272, 120, 40, 18, 8, 8];

function renderCurve(curve, model) {
  const place = $("#curve");
  if (curve.length < 1) { place.replaceChildren(); return; }
  const last = curve.at(-1)[0];
  const first = curve.length > 1 ? curve[0][0] : 0;
  const low = Math.max(0, Math.floor(Math.min(...curve.map((each) => each[2])) * 10) / 10);
  const x = (labels) => LEFT + ((labels - first) / Math.max(1, last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (share) => TOP + ((1 - share) / Math.max(0.1, 1 - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = makeSvg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Expected accuracy by number of labels: ${curve.map(([n, share]) => `${n}: ${percent(share)}`).slice(-5).join(", ")}` });
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
  const [labels, share] = curve.findLast(([n]) => n <= (model?.labelled ?? last)) ?? curve.at(-1);
  svg.append(makeSvg("circle", { class: "dot", cx: x(labels), cy: y(share), r: 3.5 }));
  place.replaceChildren(svg);
}

let exporting = false;

// Write the labels or the model to a folder, or save them as one file with the browser.
async function write(download) {
  if (exporting) return;  // a disabled button would lose the focus
  exporting = true;
  $("#exported").textContent = "Exporting …";
  try {
    const format = $("#format").value;
    const found = await post("/api/export", { format, download });
    $("#exported").textContent = description(found);
    if (found.download) make("a", { href: found.download, download: found.name }).click();
    notify(found.download ? `Download: ${found.name}` : `Exported: ${found.path}`);
  } catch (error) {
    $("#exported").textContent = "";
    notify(`Not exported: ${error.message}`, true);
  } finally {
    exporting = false;
  }
}

function description({ format, items, path, name, note }) {
  const place = path ?? name;
  const what = format === "model"
    ? `Model trained on ${plural(items, "label")}: ${place}\nTo classify a new image: embedpipe predict new.jpg --model "${place}"`
    : `${plural(items, "label")} in ${place}`;
  return note ? `${what}\n${note}` : what;
}

export const exportNow = () => write(false);

$("#export").addEventListener("click", exportNow);
$("#download").addEventListener("click", () => write(true));
