// Replaces the static pictures of charts by interactive figures. The figures of plotly have the
// colours of a light page; a page replaces them by the variables of its style sheet.

const VARIABLES = JSON.parse(document.getElementById("colours").textContent);
const CONFIG = { displayModeBar: false, displaylogo: false, responsive: true, showSendToCloud: false, showTips: false, typesetMath: false };

function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// Run the compressed script of plotly.
async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpack(document.getElementById("plotly").textContent);
  document.head.append(script);
}

const NUMBERS = ["x", "y", "text"];  // parts of traces without colours

// Replace colours: "#0064a0" by the value of --s0, and keep the opacity of "#0064a028".
function themed(value, style) {
  if (typeof value === "string") {
    const name = VARIABLES[value.slice(0, 7)];
    return name && value[0] === "#" ? style.getPropertyValue(name).trim() + value.slice(7) : value;
  }
  if (Array.isArray(value)) return value.map((each) => themed(each, style));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, NUMBERS.includes(key) && Array.isArray(each) ? each : themed(each, style)]));
  }
  return value;
}

const FEW = 6;  // maximum number of lines whose single runs are shown

function fontSize() { return matchMedia("(max-width: 600px)").matches ? 12 : 13; }

function draw(figure) {
  const place = figure.querySelector(".plot");
  const { data, layout } = themed(figure.source, getComputedStyle(document.documentElement));
  delete layout.title;  // the page has the title
  layout.margin = { ...layout.margin, t: 10 };
  layout.showlegend = false;
  layout.font = { ...layout.font, size: fontSize(), family: getComputedStyle(place).fontFamily };
  layout.hoverlabel = { ...layout.hoverlabel, namelength: -1, font: { ...layout.hoverlabel?.font, family: layout.font.family } };
  layout.dragmode = false;
  const hidden = figure.hidden_lines ?? new Set();
  for (const trace of data) if (hidden.has(trace.meta?.line)) trace.visible = false;
  for (const text of layout.annotations ?? []) if (hidden.has(Number(text.name?.slice(5)))) text.visible = false;
  return Plotly.react(place, data, layout, CONFIG);
}

// The text of a tooltip, whose names are escaped.
const plain = (tooltip) => new DOMParser().parseFromString(tooltip.replaceAll("<br>", ", "), "text/html").body.textContent;

// The keys of a chart: the arrows move between points and lines, Enter is a click.
function addKeys(figure) {
  const place = figure.querySelector(".plot");
  let at = null;
  const lines = () => place.data.flatMap((trace, index) => ((trace.type === "bar" || trace.mode?.includes("markers")) && trace.visible !== false && trace.x?.length ? [index] : []));
  const show = () => {
    const points = [{ curveNumber: at.curve, pointNumber: at.point }];
    Plotly.Fx.hover(place, points);
    figure.querySelector(".spoken").textContent = plain(String(place.data[at.curve].text?.[at.point] ?? ""));
  };
  place.addEventListener("keydown", (event) => {
    const known = lines();
    if (!known.length) return;
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (event.key === "Enter" && at) {
      place.emit("plotly_click", { event, points: [{ curveNumber: at.curve, pointNumber: at.point, data: place.data[at.curve] }] });
    } else if (event.key === "Escape" && at) {
      at = null;
      Plotly.Fx.unhover(place);
    } else if (steps[event.key]) {
      const [line, point] = steps[event.key];
      if (!at || !known.includes(at.curve)) at = { curve: known[0], point: 0 };
      else {
        const next = known[(known.indexOf(at.curve) + line + known.length) % known.length];
        const most = place.data[next].x.length - 1;
        at = { curve: next, point: Math.min(Math.max(at.point + point, 0), most) };
      }
      show();
    } else return;
    event.preventDefault();
  });
}

// The checkboxes of a legend show and hide lines in the figures of its section. A double click, or
// Shift with the space bar, shows only one.
function addLegend(legend) {
  const section = legend.closest("section");
  const boxes = [...legend.querySelectorAll("input")];
  const update = () => {
    const hidden = new Set(boxes.filter((box) => !box.checked).map((box) => Number(box.dataset.line)));
    for (const figure of section.querySelectorAll("figure.chart")) {
      figure.hidden_lines = hidden;
      if (figure.source) draw(figure);
    }
  };
  const choose = (wanted) => {
    for (const box of boxes) box.checked = wanted(box);
    update();
  };
  const only = (chosen) => choose(boxes.every((box) => box.checked === (box === chosen)) ? () => true : (box) => box === chosen);
  legend.addEventListener("change", update);
  legend.addEventListener("dblclick", (event) => {
    const chosen = event.target.closest("li")?.querySelector("input");
    if (chosen) only(chosen);
  });
  legend.addEventListener("keydown", (event) => {
    if (event.key !== " " || !event.shiftKey || !event.target.matches("input")) return;
    event.preventDefault();
    only(event.target);
  });
  if (boxes.length < 3) return;
  const row = document.createElement("li");
  row.className = "quick";
  for (const [text, wanted] of [["All", () => true], ["None", () => false]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => choose(wanted));
    row.append(button);
  }
  legend.append(row);
}

// Emphasise a line in the figures, the legend and the tables of its section; null for no line.
function emphasise(section, line) {
  if (section.emphasised === line) return;
  section.emphasised = line;
  for (const figure of section.querySelectorAll("figure.live")) mark(figure, line);
  for (const each of section.querySelectorAll("[data-line]")) {
    each.closest("li, tr").classList.toggle("emphasised", Number(each.dataset.line) === line);
  }
}

// Give the traces of a figure classes for the style sheet. Single runs of more than a few lines are
// only shown for the emphasised line.
function mark(figure, line) {
  const place = figure.querySelector(".plot");
  const lines = new Set();
  for (const node of place.querySelectorAll("g.trace")) {
    const meta = node.__data__[0].trace.meta ?? {};
    lines.add(meta.line);
    node.classList.toggle("emphasised", meta.line === line);
    if (meta.part) node.classList.add(meta.part);
  }
  place.classList.toggle("focused", line !== null);
  place.classList.toggle("crowded", lines.size > FEW);
}

// Pointing at a line, or at its row in a legend or table, emphasises it. A single run is drawn over.
function addEmphasis(figure) {
  const place = figure.querySelector(".plot");
  const section = figure.closest("section") ?? figure;
  place.on("plotly_afterplot", () => mark(figure, section.emphasised ?? null));
  mark(figure, null);
  place.on("plotly_hover", ({ points: [point] }) => {
    const { meta } = point.data;
    emphasise(section, meta?.line ?? null);
    place.querySelector(".one-run")?.remove();
    if (meta?.part === "runs") drawRun(place, point);
  });
  place.on("plotly_unhover", () => {
    place.querySelector(".one-run")?.remove();
    emphasise(section, null);
  });
}

// Draw the run of a point over the others: the points between the gaps before and after it.
function drawRun(place, { curveNumber, pointNumber, data, xaxis, yaxis }) {
  const end = data.x.indexOf(null, pointNumber);
  const start = data.x.lastIndexOf(null, pointNumber) + 1;
  const points = data.x.slice(start, end).map((x, at) => `${xaxis.c2p(x)},${yaxis.c2p(data.y[start + at])}`);
  const path = document.createElementNS(place.querySelector("svg").namespaceURI, "polyline");
  path.setAttribute("points", points.join(" "));
  path.setAttribute("class", "one-run");
  path.setAttribute("stroke", data.line.color.slice(0, 7));
  const node = [...place.querySelectorAll("g.trace")].find((each) => each.__data__[0].trace.index === curveNumber);
  node?.append(path);
}

function addRows(section) {
  for (const each of section.querySelectorAll("[data-line]")) {
    const row = each.closest("li, tr");
    const line = Number(each.dataset.line);
    for (const name of ["pointerenter", "focusin"]) row.addEventListener(name, () => emphasise(section, line));
    for (const name of ["pointerleave", "focusout"]) row.addEventListener(name, () => emphasise(section, null));
  }
}

// Replace the static picture of a figure.
async function show(figure) {
  const script = figure.querySelector("script");
  const packed = script.type !== "application/json";
  figure.source = JSON.parse(packed ? await unpack(script.textContent) : script.textContent);
  figure.classList.add("live");
  figure.redraw = () => draw(figure);
  await draw(figure);
  addKeys(figure);
  addEmphasis(figure);
  figure.dispatchEvent(new Event("chart-drawn", { bubbles: true }));
}

async function start() {
  const figures = [...document.querySelectorAll("figure.chart")];
  await loadPlotly();
  for (const legend of document.querySelectorAll(".choose")) addLegend(legend);
  for (const section of document.querySelectorAll("section:has(figure.chart)")) addRows(section);
  for (const figure of figures) if (!("lazy" in figure.dataset)) await show(figure);
  const near = new IntersectionObserver((seen) => {
    for (const { isIntersecting, target } of seen) {
      if (isIntersecting) { near.unobserve(target); show(target); }
    }
  }, { rootMargin: "600px" });
  for (const figure of figures) if ("lazy" in figure.dataset) near.observe(figure);
  const redraw = () => figures.filter((figure) => figure.source).forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  matchMedia("(max-width: 600px)").addEventListener("change", redraw);
  document.documentElement.classList.add("charts-ready");
  document.dispatchEvent(new Event("charts-ready"));
}

start();
