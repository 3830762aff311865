// A map of all images in two layouts, with colours; a lasso or a circle selects images.

import { label, mark, undo } from "./actions.js";
import { get, getBytes, request, thumbnailUrl } from "./api.js";
import { make, notify, percent, plural, sleep } from "./dom.js";
import { classNames, status } from "./status.js";

const FULL = 65535;
const EDGE = 18;
const SHOWN = 24;
const POLL_INTERVAL = 1000;
const STEPS = { starting: "starting", neighbours: "comparing images", layout: "arranging images" };

export class ItemMap {
  constructor() {
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": "Map of all images: arrows move the circle, Space selects" });
    this.working = make("p", { class: "working", role: "status" });
    this.plane = make("div", { class: "plane" }, this.canvas, this.working);
    this.strip = make("div", { class: "strip" });
    this.by = make("select", { "aria-label": "Colour by" },
      make("option", { value: "label", text: "coloured by label" }),
      make("option", { value: "prediction", text: "coloured by prediction" }),
      make("option", { value: "confidence", text: "coloured by uncertainty" }));
    this.layout = make("select", { "aria-label": "Layout" },
      make("option", { value: "components", text: "overview (PCA)" }),
      make("option", { value: "neighbours", text: "similar images together (UMAP)" }));
    this.note = make("span", { class: "note" });
    this.legend = make("span", { class: "legend" });
    this.tools = make("div", { class: "tools" }, this.by, this.layout, this.note, this.legend);
    this.element = make("div", { class: "map-view" }, this.tools, make("div", { class: "map" }, this.plane, this.strip));
    this.element.style.display = "contents";
    this.layouts = {};
    this.points = null;
    this.requests = 0;
    this.colours = null;
    this.selected = [];
    this.marked = null;
    this.lasso = [];
    this.circle = { x: 0.5, y: 0.5, r: 0.06 };
    this.by.addEventListener("change", () => { this.recolour(); this.focus(); });
    this.layout.addEventListener("change", () => { this.arrange(); this.focus(); });
    new ResizeObserver(() => this.render()).observe(this.plane);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
    this.watchPointer();
  }

  hints() { return "arrows move the circle, with Shift faster · + − change its size · Space selects its images · a class key labels the selection · Esc clears it · the mouse draws a lasso"; }

  get item() { return this.items?.[0]; }

  selectedItems() { return this.selected.map((row) => ({ row, suggestion: null })); }

  currentLabel() { return null; }

  focus() { this.canvas.focus({ preventScroll: true }); }

  async show() {
    this.focus();
    this.renderNote();
    if (!this.points) await this.arrange();
    await this.recolour();
  }

  hide() {}

  statusChanged(changes) { if ((changes.version || changes.model) && this.points) this.recolour(); }

  // Show the chosen layout once it is computed, and the previous layout until then.
  async arrange() {
    const number = ++this.requests;
    const by = this.layout.value;
    try {
      while (number === this.requests && !this.layouts[by]) await this.fetch(by, number);
    } catch (error) {
      if (number !== this.requests) return;
      this.layout.value = "components";
      notify(`No map: ${error.message}`, true);
    }
    if (number !== this.requests) return;
    this.working.textContent = "";
    this.points = this.layouts[this.layout.value] ?? this.points;
    this.render();
  }

  // Request a layout once; show the progress if it is not ready.
  async fetch(by, number) {
    if (!this.points) this.note.textContent = "computing the map …";
    const response = await request(`/api/map/points?by=${by}`);
    if (response.status === 200) {
      this.layouts[by] = new Uint16Array(await response.arrayBuffer());
      this.points ??= this.layouts[by];
      return;
    }
    const { doing, share } = await response.json();
    if (number === this.requests) this.working.textContent = `computing the layout: ${STEPS[doing]}${share ? ` ${percent(share)}` : " …"}`;
    await sleep(POLL_INTERVAL);
  }

  async recolour() {
    try {
      this.colours = new Uint8Array(await getBytes(`/api/map/colours?by=${this.by.value}`));
    } catch (error) {
      notify(`No colours: ${error.message}`, true);
      return;
    }
    this.render();
    this.renderNote();
  }

  renderNote() {
    this.note.textContent = this.selected.length ? `${plural(this.selected.length, "image")} selected` : plural(status?.items ?? 0, "image");
    const shown = this.by.value === "confidence" ? [] : classNames().slice(0, 12);
    this.legend.replaceChildren(...shown.map((name, at) => {
      const dot = make("i");
      dot.style.setProperty("--c", `var(--c${at % 12})`);
      return make("span", {}, dot, make("bdi", { text: name }));
    }));
    if (this.by.value === "confidence") this.legend.textContent = status?.model ? "bright: the model is uncertain" : "no model yet";
  }

  palette() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => {
      const hex = style.getPropertyValue(name).trim().slice(1);
      return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
    };
    const quiet = colour("--dot");
    if (this.by.value !== "confidence") return [quiet, ...Array.from({ length: 255 }, (_, at) => colour(`--c${at % 12}`))];
    const [sure, unsure] = [quiet, colour("--c1")];
    return Array.from({ length: 256 }, (_, at) => sure.map((part, channel) => unsure[channel] + (part - unsure[channel]) * (at / 255)));
  }

  toPixels(ratio) {
    const { clientWidth, clientHeight } = this.plane;
    return {
      width: clientWidth, height: clientHeight,
      x: (value) => (EDGE + (value / FULL) * (clientWidth - 2 * EDGE)) * ratio,
      y: (value) => (EDGE + (1 - value / FULL) * (clientHeight - 2 * EDGE)) * ratio,
    };
  }

  render() {
    if (!this.points || !this.colours || !this.plane.clientWidth || !this.plane.clientHeight) return;
    const ratio = window.devicePixelRatio || 1;
    const { width, height, x, y } = this.toPixels(ratio);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) { this.canvas.width = w; this.canvas.height = h; }
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(w, h);
    const pixels = new Uint32Array(image.data.buffer);
    const packed = this.palette().map(([r, g, b]) => (0xff000000 | (b << 16) | (g << 8) | r) >>> 0);
    const n = this.colours.length;
    const size = Math.max(2, Math.round((n > 20000 ? 2 : n > 2000 ? 3 : 6) * ratio));
    const half = size >> 1;
    const dot = (row, side = size) => {
      const half = side >> 1;
      const left = Math.max(0, Math.round(x(this.points[2 * row])) - half);
      const top = Math.max(0, Math.round(y(this.points[2 * row + 1])) - half);
      const colour = packed[this.colours[row]];
      for (let line = top; line < Math.min(h, top + side); line += 1) pixels.fill(colour, line * w + left, line * w + Math.min(w, left + side));
    };
    for (let row = 0; row < n; row += 1) if (!this.colours[row]) dot(row);
    for (let row = 0; row < n; row += 1) if (this.colours[row]) dot(row, this.by.value === "label" ? size + Math.round(2 * ratio) : size);
    context.putImageData(image, 0, 0);
    const style = getComputedStyle(document.documentElement);
    context.strokeStyle = style.getPropertyValue("--ink");
    context.lineWidth = 1.5 * ratio;
    for (const row of this.selected.slice(0, 20000)) {
      context.strokeRect(x(this.points[2 * row]) - half - ratio, y(this.points[2 * row + 1]) - half - ratio, size + 2 * ratio, size + 2 * ratio);
    }
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 2 * ratio;
    context.beginPath();
    if (this.lasso.length > 1) {
      this.lasso.forEach((point, at) => (at ? context.lineTo(point.x * ratio, point.y * ratio) : context.moveTo(point.x * ratio, point.y * ratio)));
      context.closePath();
    } else if (document.activeElement === this.canvas) {
      const { cx, cy, r } = this.circlePixels();
      context.arc(cx * ratio, cy * ratio, r * ratio, 0, 2 * Math.PI);
    }
    context.stroke();
  }

  circlePixels() {
    const { clientWidth, clientHeight } = this.plane;
    return {
      cx: this.circle.x * clientWidth, cy: this.circle.y * clientHeight,
      r: Math.max(8, this.circle.r * Math.min(clientWidth, clientHeight)),
    };
  }

  choose(inside, keep = false) {
    const { x, y } = this.toPixels(1);
    const rows = new Set(keep ? this.selected : []);
    for (let row = 0; row < this.colours.length; row += 1) {
      if (inside(x(this.points[2 * row]), y(this.points[2 * row + 1]))) rows.add(row);
    }
    this.setSelected([...rows]);
  }

  async setSelected(rows) {
    this.selected = rows;
    this.items = [];
    this.render();
    this.renderNote();
    const few = rows.slice(0, SHOWN);
    const { items } = few.length ? await get(`/api/items?rows=${few}`).catch(() => ({ items: [] })) : { items: [] };
    if (rows !== this.selected) return;
    this.items = items;
    this.strip.replaceChildren(...this.items.map((item) => make("img", { src: thumbnailUrl(item), alt: item.path, title: item.path })));
    if (rows.length > SHOWN) this.strip.append(make("span", { class: "quiet", text: `and ${plural(rows.length - SHOWN, "more", "more")}` }));
  }

  submit(change) {
    const items = this.selectedItems();
    if (!items.length) { notify("No images are selected: Space selects the images in the circle."); return; }
    change(items).then((response) => {
      if (response !== null) { notify(`${plural(items.length, "label")} stored`); this.setSelected([]); }
      this.recolour();
    });
  }

  label(name) { this.submit((items) => label(items, name)); }

  mark(kind) { this.submit((items) => mark(items, kind)); }

  async undo() {
    const undone = await undo();
    if (undone?.rows.length) { this.setSelected(undone.rows); this.recolour(); }
  }

  handleKey(event) {
    const { circle } = this;
    const step = event.shiftKey ? 0.1 : 0.02;
    const by = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    const within = (value) => Math.max(0, Math.min(1, value));
    if (by) { circle.x = within(circle.x + by[0]); circle.y = within(circle.y + by[1]); }
    else if (event.key === "+" || event.key === "=") circle.r = Math.min(0.7, circle.r * 1.2);
    else if (event.key === "-") circle.r = Math.max(0.01, circle.r / 1.2);
    else if (event.key === " ") {
      const { cx, cy, r } = this.circlePixels();
      this.choose((x, y) => (x - cx) ** 2 + (y - cy) ** 2 <= r * r, true);
      return true;
    } else if (event.key === "Escape") { this.setSelected([]); return true; } else return false;
    this.render();
    return true;
  }

  watchPointer() {
    const point = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    let drawing = false;
    this.canvas.addEventListener("pointerdown", (event) => {
      drawing = true;
      this.lasso = [point(event)];
      this.keep = event.shiftKey;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!drawing) return;
      this.lasso.push(point(event));
      this.render();
    });
    this.canvas.addEventListener("pointercancel", () => { drawing = false; this.lasso = []; this.render(); });
    this.canvas.addEventListener("pointerup", () => {
      drawing = false;
      const ring = this.lasso;
      this.lasso = [];
      if (ring.length > 2) this.choose((x, y) => isInside(ring, x, y), this.keep);
      else this.render();
    });
    for (const kind of ["focus", "blur"]) this.canvas.addEventListener(kind, () => this.render());
  }
}

// Return whether a point is inside the ring: a ray to the right crosses it an odd number of times.
function isInside(ring, x, y) {
  let inside = false;
  for (let at = 0, before = ring.length - 1; at < ring.length; before = at, at += 1) {
    const [a, b] = [ring[at], ring[before]];
    if ((a.y > y) !== (b.y > y) && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}
