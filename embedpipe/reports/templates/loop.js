// The cards of pinned rounds, and the tables and the map of one chosen round.

const run = JSON.parse(document.getElementById("run").textContent);
const chosen = { curve: run.start[0], round: run.start[1] };
const GREY = "#5c6169", EARLIER = "#0064a0", NOW = "#b8480a";  // replaced by the colours of the page
const STEP = 24;  // pixels that an arrow key moves a card

const byId = (id) => document.getElementById(id);
const number = (count) => count.toLocaleString("en-US");
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
const percent = (share) => `${Math.round(100 * share)} %`;

// Return an element. Strings become text, so names are never markup.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const named = (text) => make("bdi", {}, text);
const className = (code) => (code === null ? named("no label") : named(run.classes[code]));

function picture(image, label = "") {
  const name = run.images[image];
  if (!run.pictured[image]) return make("span", { class: "missing", dir: "auto" }, name);
  const tiny = run.tiny[image] ? " tiny" : "";
  const text = label ? `${label}: ${name}` : name;
  return make("span", { class: `thumb i${image}${tiny}`, role: "img", "aria-label": text, title: text });
}

// Cards

function guess(when, found, label) {
  if (!found) return [];
  const right = found[0] === label;
  const mark = label === null ? "" : right ? " ✓" : " ✗";
  const words = make("span", { class: label === null ? "" : right ? "right" : "wrong" }, className(found[0]), `, ${percent(found[1])}${mark}`);
  if (mark) words.append(make("span", { class: "spoken" }, right ? " right" : " wrong"));
  return [make("div", {}, `${when}: `, words)];
}

function pickOf(pick) {
  const near = pick.near.map(([image, label]) => picture(image, label === null ? "" : run.classes[label]));
  const labels = pick.near.flatMap(([, label], at) => [...(at ? [", "] : []), className(label)]);
  return make(
    "li",
    {},
    picture(pick.image),
    make(
      "div",
      {},
      make("div", {}, make("b", {}, className(pick.label)), ` · score ${pick.score}`),
      ...guess("before", pick.before, pick.label),
      ...guess("after", pick.after, pick.label),
      make("div", { class: "name", dir: "auto" }, run.images[pick.image]),
    ),
    make("div", { class: "near" }, ...near, ...(near.length ? [make("span", {}, "nearest: ", ...labels)] : [])),
  );
}

function cardOf(curve, round) {
  const { name, rounds } = run.curves[curve];
  const entry = rounds[round];
  const title = `Round ${entry.round}`;
  const handle = make("button", { type: "button", class: "move", "aria-label": `Move ${title}, ${name}, with the arrow keys` }, "⠿");
  const close = make("button", { type: "button", class: "close", "aria-label": `Close ${title}, ${name}` }, "×");
  const measures = entry.measures.flatMap(([what, value]) => [make("dt", {}, what), make("dd", {}, value)]);
  const more = entry.count - entry.picks.length;
  const body = make(
    "div",
    { class: "body", tabindex: "0", role: "region", "aria-label": `Images of ${title}, ${name}` },
    make("dl", {}, make("dt", {}, "Labels"), make("dd", {}, number(entry.labelled)), ...measures),
    ...(entry.advice ? [make("p", { class: "note" }, entry.advice)] : []),
    make("ol", {}, ...entry.picks.map(pickOf)),
    ...(more ? [make("p", { class: "note" }, `${plural(more, "more image")} in picks.parquet.`)] : []),
  );
  const heading = make("h3", {}, `${title} `, make("span", { class: "quiet" }, named(name), `, ${plural(entry.count, "image")}`));
  const card = make("section", { class: `card s${curve}`, "aria-label": `${title}, ${name}` }, make("header", {}, handle, heading, close), body);
  card.dataset.key = `${curve} ${round}`;
  close.addEventListener("click", () => remove(card));
  card.addEventListener("keydown", (event) => { if (event.key === "Escape") remove(card); });
  card.addEventListener("focusin", () => raise(card));
  makeMovable(card, handle);
  return card;
}

let top = 4;
function raise(card) { card.style.zIndex = String(++top); }

function remove(card) {
  const next = card.nextElementSibling ?? card.previousElementSibling;
  card.remove();
  byId("cards-state").textContent = `${card.getAttribute("aria-label")}: closed`;
  (next?.querySelector(".close") ?? document.querySelector("#learning ~ .panels .plot") ?? byId("pin")).focus();
}

function makeMovable(card, handle) {
  const at = { x: 0, y: 0 };
  const move = (x, y) => { Object.assign(at, { x, y }); card.style.translate = `${x}px ${y}px`; };
  const header = card.querySelector("header");
  let start = null;
  header.addEventListener("pointerdown", (event) => {
    raise(card);
    if (event.target.closest(".close")) return;
    start = { x: at.x - event.clientX, y: at.y - event.clientY };
    header.setPointerCapture(event.pointerId);
    card.classList.add("moved");
  });
  header.addEventListener("pointermove", (event) => { if (start) move(start.x + event.clientX, start.y + event.clientY); });
  for (const end of ["pointerup", "pointercancel"]) {
    header.addEventListener(end, () => { start = null; card.classList.remove("moved"); });
  }
  const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
  handle.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    raise(card);
    move(at.x + step[0], at.y + step[1]);
  });
}

function pin(curve, round) {
  if (!run.curves[curve]?.rounds[round]) return;
  const known = [...byId("cards").children].find((card) => card.dataset.key === `${curve} ${round}`);
  const card = known ?? cardOf(curve, round);
  if (!known) byId("cards").append(card);
  byId("cards-state").textContent = `${card.getAttribute("aria-label")}: pinned`;
  raise(card);
  card.scrollIntoView({ block: "nearest" });
}

// Clicks on the learning curve: a line has a point for each round with an accuracy.
function pinPoint({ points }) {
  const point = points[0];
  const curve = point?.data?.meta?.line;
  const rounds = run.curves[curve]?.rounds ?? [];
  const known = rounds.flatMap((entry, at) => (entry.accuracy === null ? [] : [at]));
  pin(curve, known[point?.pointNumber]);
}

// Clicks on the chart of the expected accuracy, which shows only the first curve.
function pinExpected({ points: [point] }) {
  const labelled = point?.data?.x[point.pointNumber];
  pin(run.start[0], run.curves[run.start[0]].rounds.findIndex((entry) => entry.labelled === labelled));
}

// The chosen round

function showClasses(entry) {
  const most = Math.max(1, ...entry.labels);
  const rows = document.querySelectorAll(".classes tbody tr");
  const share = (right, size) => (entry.right && size ? right / size : null);
  const text = (value) => (value === null ? "–" : value.toFixed(3));
  run.classes.forEach((_, at) => {
    const bars = rows[at].querySelectorAll(".bar");
    rows[at].querySelector(".count").textContent = number(entry.labels[at]);
    bars[0].style.setProperty("--v", (100 * entry.labels[at]) / most);
    if (!run.sizes.length) return;
    const recall = share(entry.right?.[at], run.sizes[at]);
    rows[at].querySelector(".recall").textContent = text(recall);
    bars[1].style.setProperty("--v", 100 * (recall ?? 0));
  });
  const sum = (values) => values.reduce((all, each) => all + each, 0);
  const foot = document.querySelector(".classes tfoot");
  if (!foot) return;
  foot.querySelector(".count").textContent = number(sum(entry.labels));
  foot.querySelector(".recall").textContent = text(entry.right && sum(entry.right) / sum(run.sizes));
}

function showMatrix(entry) {
  document.querySelectorAll(".confusion tbody tr").forEach((row, at) => {
    row.querySelectorAll("td").forEach((cell, column) => {
      const count = entry.matrix?.[at][column] ?? null;
      cell.textContent = count === null ? "–" : number(count);
      const size = run.sizes[run.shown[at]];
      cell.style.cssText = `--v:${count ? Math.round((100 * count) / size) : 0}`;
    });
  });
  const lost = document.querySelector(".lost");
  lost.hidden = !run.sizes.length || entry.matrix !== null;
}

// Tooltips are markup, so that names are escaped.
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function points(picks, colour, size) {
  return {
    type: "scatter", mode: "markers", hoverinfo: "none",
    x: picks.map((pick) => pick.place[0]),
    y: picks.map((pick) => pick.place[1]),
    text: picks.map((pick) => escaped(`${run.images[pick.image]}, round ${pick.round}`)),
    customdata: picks,
    marker: { color: colour, size, opacity: 0.85 },
  };
}

function showMap() {
  const map = byId("map");
  if (!map?.redraw) return;
  const placed = run.curves[chosen.curve].rounds.slice(0, chosen.round + 1).map((entry) =>
    entry.picks.filter((pick) => pick.place).map((pick) => ({ ...pick, round: entry.round })),
  );
  const shown = new Set(placed.flat().map((pick) => pick.image));
  const later = new Map(run.curves.flatMap((curve) => curve.rounds.flatMap((entry) => entry.picks))
    .filter((pick) => pick.place && !shown.has(pick.image)).map((pick) => [pick.image, pick.place]));
  const places = [...later.values()];
  const [x, y] = [0, 1].map((axis) => [...(run.others[axis] ?? []), ...places.map((place) => place[axis])]);
  const others = { type: "scatter", mode: "markers", hoverinfo: "skip", x, y, marker: { color: GREY, size: 4, opacity: 0.3 } };
  const earlier = placed.slice(0, -1).flat();
  map.source.data = [...(x.length ? [others] : []), points(earlier, EARLIER, 6), points(placed.at(-1), NOW, 8)];
  map.redraw();
}

function showRound() {
  const { rounds } = run.curves[chosen.curve];
  chosen.round = Math.min(chosen.round, rounds.length - 1);
  const entry = rounds[chosen.round];
  const slider = byId("chosen-round");
  slider.max = rounds.length - 1;
  slider.value = chosen.round;
  const accuracy = entry.accuracy === null ? "" : `, accuracy ${entry.accuracy.toFixed(3)}`;
  const state = `Round ${entry.round}: ${plural(entry.labelled, "label")}${accuracy}`;
  byId("round-state").textContent = state;
  slider.setAttribute("aria-valuetext", state);
  showClasses(entry);
  showMatrix(entry);
  showMap();
}

// The image of a point on the map

function peekAt(peek, pick, x, y) {
  const words = make("div", {}, make("b", {}, className(pick.label)), ` · round ${pick.round}`, make("div", { class: "name", dir: "auto" }, run.images[pick.image]));
  peek.replaceChildren(picture(pick.image), words);
  peek.hidden = false;
  const { width, height } = peek.getBoundingClientRect();
  peek.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - width - 6))}px`;
  peek.style.top = `${Math.max(6, Math.min(y + 14, innerHeight - height - 6))}px`;
}

function addPeek(plot) {
  const peek = make("div", { class: "peek", hidden: "" });
  document.body.append(peek);
  plot.on("plotly_hover", ({ points: found, event }) => {
    const pick = found[0]?.data.customdata?.[found[0].pointNumber];
    if (!pick) return;
    const frame = plot.getBoundingClientRect();
    peekAt(peek, pick, event?.clientX ?? frame.left, event?.clientY ?? frame.top);
  });
  plot.on("plotly_unhover", () => { peek.hidden = true; });
  plot.on("plotly_click", ({ points: found }) => {
    const pick = found[0]?.data.customdata?.[found[0].pointNumber];
    if (pick) pin(chosen.curve, run.curves[chosen.curve].rounds.findIndex((entry) => entry.round === pick.round));
  });
}

function addMap() {
  const map = byId("map");
  Object.assign(map.source.layout, { margin: { l: 12, r: 12, t: 12, b: 12 } });
  delete map.source.layout.yaxis.scaleanchor;  // the places fill the frame
  addPeek(map.querySelector(".plot"));
  showMap();
}

function start() {
  document.querySelectorAll(".scripted").forEach((part) => { part.hidden = false; });
  document.querySelector("#curve .plot")?.on("plotly_click", pinPoint);
  document.querySelector("#expected .plot")?.on("plotly_click", pinExpected);
  byId("map")?.addEventListener("chart-drawn", addMap);  // when it is scrolled into view
  byId("chosen-round").addEventListener("input", (event) => { chosen.round = Number(event.target.value); showRound(); });
  byId("chosen-curve")?.addEventListener("change", (event) => { chosen.curve = Number(event.target.value); showRound(); });
  byId("pin").addEventListener("click", () => pin(chosen.curve, chosen.round));
  showRound();
}

document.addEventListener("charts-ready", start, { once: true });
