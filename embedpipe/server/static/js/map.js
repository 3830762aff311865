// A map of all images in two layouts, with colours; a lasso or a circle selects images. The wheel
// zooms, hovering shows an image, and a click opens it.

import { label, mark, undo } from "./actions.js";
import { get, getBytes, request, thumbnailUrl } from "./api.js";
import { showLarge } from "./dialogs.js";
import { make, notify, percent, plural, sleep } from "./dom.js";
import { classNames, status } from "./status.js";

const FULL = 65535;
const EDGE = 18;
const SHOWN = 24;
const MAX_ZOOM = 60;
const ZOOM_STEP = 1.4;
const REACH = 12;  // maximum pixels between the pointer and the image that it shows
const HOVER_DELAY = 70;
const CLICK_DISTANCE = 5;
const POLL_INTERVAL = 1000;
const STEPS = { starting: "starting", neighbours: "comparing images", layout: "arranging images" };

export class ItemMap {
  constructor() {
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": "Map of all images: arrows move the circle, Space selects" });
    this.working = make("p", { class: "working", role: "status" });
    this.hover = make("figure", { class: "hover", hidden: true });
    this.plane = make("div", { class: "plane" }, this.canvas, this.working, this.hover, this.zoomButtons());
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
    this.zoom = { factor: 1, left: 0, top: 0 };  // the visible part starts at `left`, `top` (0 to 1)
    this.by.addEventListener("change", () => { this.recolour(); this.focus(); });
    this.layout.addEventListener("change", () => { this.arrange(); this.focus(); });
    new ResizeObserver(() => this.render()).observe(this.plane);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.render());
    this.watchPointer();
  }

  hints() { return "arrows move the circle, with Shift faster · + − change its size · Space selects its images · a class key labels the selection · Esc clears it · [ ] zoom · drag draws a lasso, a click opens the image"; }

  zoomButtons() {
    const button = (text, name, key, work) => {
      const element = make("button", { type: "button", title: `${name} (${key})`, "aria-label": name, text });
      element.addEventListener("click", () => { work(); this.focus(); });
      return element;
    };
    return make("div", { class: "zoom" },
      button("+", "Zoom in", "]", () => this.zoomBy(ZOOM_STEP)), button("−", "Zoom out", "[", () => this.zoomBy(1 / ZOOM_STEP)),
      button("Reset", "Show the whole map", "Home", () => this.resetZoom()));
  }

  // Zoom around a place of the plane, given as shares of its width and height.
  zoomBy(change, x = 0.5, y = 0.5) {
    const { factor, left, top } = this.zoom;
    const now = Math.max(1, Math.min(MAX_ZOOM, factor * change));
    this.zoom.factor = now;
    this.moveTo(left + x / factor - x / now, top + y / factor - y / now);
  }

  moveTo(left, top) {
    const most = 1 - 1 / this.zoom.factor;
    this.zoom.left = Math.max(0, Math.min(most, left));
    this.zoom.top = Math.max(0, Math.min(most, top));
    this.hover.hidden = true;
    this.render();
  }

  resetZoom() { this.zoom.factor = 1; this.moveTo(0, 0); }

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
    const entry = (name, variable) => {
      const dot = make("i");
      dot.style.setProperty("--c", `var(${variable})`);
      return make("span", {}, dot, make("bdi", { text: name }));
    };
    this.legend.replaceChildren(...shown.map((name, at) => entry(name, `--c${at % 12}`)));
    if (this.by.value === "label") this.legend.append(entry("no label", "--dot"));
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
    const { factor, left, top } = this.zoom;
    return {
      width: clientWidth, height: clientHeight,
      x: (value) => (EDGE + (value / FULL) * (clientWidth - 2 * EDGE) - left * clientWidth) * factor * ratio,
      y: (value) => (EDGE + (1 - value / FULL) * (clientHeight - 2 * EDGE) - top * clientHeight) * factor * ratio,
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
      const left = Math.round(x(this.points[2 * row])) - half;
      const top = Math.round(y(this.points[2 * row + 1])) - half;
      if (left <= -side || top <= -side || left >= w || top >= h) return;
      const colour = packed[this.colours[row]];
      const [from, to] = [Math.max(0, left), Math.min(w, left + side)];
      for (let line = Math.max(0, top); line < Math.min(h, top + side); line += 1) pixels.fill(colour, line * w + from, line * w + to);
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
    this.strip.replaceChildren(...this.items.map((item) => {
      const button = make("button", { type: "button", title: item.path }, make("img", { src: thumbnailUrl(item), alt: item.path }));
      button.addEventListener("click", () => showLarge(item));
      return button;
    }));
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
    if (by) {
      const [x, y] = [circle.x + by[0], circle.y + by[1]];
      Object.assign(circle, { x: within(x), y: within(y) });
      const { factor, left, top } = this.zoom;
      this.moveTo(left + (x - circle.x) / factor, top + (y - circle.y) / factor);  // at the edge of the view, the circle moves the map
    } else if (event.key === "]") this.zoomBy(ZOOM_STEP, circle.x, circle.y);
    else if (event.key === "[") this.zoomBy(1 / ZOOM_STEP, circle.x, circle.y);
    else if (event.key === "Home") this.resetZoom();
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

  // The row of the image nearest to a place on the canvas; null if none is within REACH.
  nearest(place) {
    if (!this.points) return null;
    const { x, y } = this.toPixels(1);
    let [found, least] = [null, REACH ** 2];
    for (let row = 0; row < this.points.length / 2; row += 1) {
      const distance = (x(this.points[2 * row]) - place.x) ** 2 + (y(this.points[2 * row + 1]) - place.y) ** 2;
      if (distance < least) [found, least] = [row, distance];
    }
    return found;
  }

  async fetchItem(row) {
    const found = await get(`/api/items?rows=${row}`).catch(() => null);
    return found?.items[0];
  }

  // Show the image under the pointer once the pointer rests.
  showHover(place) {
    clearTimeout(this.hovering);
    this.hovering = setTimeout(async () => {
      const row = this.nearest(place);
      const waiting = this.hovering;
      const item = row === null ? null : await this.fetchItem(row);
      if (waiting !== this.hovering) return;
      this.hover.hidden = !item;
      if (!item) return;
      const name = item.label ?? (item.suggestion ? `${item.suggestion}? ${percent(item.confidence)}` : item.state);
      this.hover.replaceChildren(make("img", { src: thumbnailUrl(item), alt: "" }),
        make("figcaption", {}, make("bdi", { text: name || "no label" }), make("span", { class: "quiet", text: item.path })));
      this.hover.dataset.row = row;
      const { clientWidth, clientHeight } = this.plane;
      this.hover.style.left = `${place.x < clientWidth / 2 ? place.x + 14 : Math.max(0, place.x - 14 - this.hover.offsetWidth)}px`;
      this.hover.style.top = `${Math.max(0, Math.min(place.y + 14, clientHeight - this.hover.offsetHeight))}px`;
    }, HOVER_DELAY);
  }

  async openNearest(place) {
    const row = this.nearest(place);
    const item = row === null ? null : await this.fetchItem(row);
    if (item) showLarge(item);
  }

  watchPointer() {
    const point = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    let drawing = false;
    let moving = null;  // the last place of the pointer while the middle or right button moves the map
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.hover.hidden = true;
      if (event.button !== 0) { moving = point(event); return; }
      drawing = true;
      this.lasso = [point(event)];
      this.keep = event.shiftKey;
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const now = point(event);
      if (moving) {
        const { factor, left, top } = this.zoom;
        this.moveTo(left - (now.x - moving.x) / (factor * this.plane.clientWidth), top - (now.y - moving.y) / (factor * this.plane.clientHeight));
        moving = now;
      } else if (drawing) {
        this.lasso.push(now);
        this.render();
      } else this.showHover(now);
    });
    this.canvas.addEventListener("pointercancel", () => { drawing = false; moving = null; this.lasso = []; this.render(); });
    this.canvas.addEventListener("pointerup", (event) => {
      if (!drawing) { moving = null; return; }
      drawing = false;
      const ring = this.lasso;
      this.lasso = [];
      const end = point(event);
      if (ring.every(({ x, y }) => Math.hypot(x - end.x, y - end.y) < CLICK_DISTANCE)) this.openNearest(end);
      else if (ring.length > 2) this.choose((x, y) => isInside(ring, x, y), this.keep);
      this.render();
    });
    this.canvas.addEventListener("pointerleave", () => { clearTimeout(this.hovering); this.hover.hidden = true; });
    this.canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = point(event);
      this.zoomBy(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, x / this.plane.clientWidth, y / this.plane.clientHeight);
    }, { passive: false });
    for (const kind of ["focus", "blur"]) this.canvas.addEventListener(kind, () => this.render());
  }
}

// Return whether a point is inside the closed line `ring`: a ray from the point to the right crosses
// the line an odd number of times.
function isInside(ring, x, y) {
  let inside = false;
  for (let at = 0, before = ring.length - 1; at < ring.length; before = at, at += 1) {
    const [a, b] = [ring[at], ring[before]];
    if ((a.y > y) !== (b.y > y) && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}
