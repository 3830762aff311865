// Tiles that are selected by click, drag or keyboard. Only those in sight are in the page, so
// that a hundred thousand scroll like a hundred.

import { thumbnail } from "./api.js";
import { apart, make, percent } from "./dom.js";
import { colourOf, suggested } from "./store.js";

const GAP = 6;
const EDGE = 14;
const TITLE = 34;
const CAPTION = 20;
const MARGIN = 400;
const PAGE = 100;
const REST = 60;

export class Board {
  constructor({ tile = 136, caption = null, more = null } = {}) {
    this.size = tile;
    this.caption = caption ?? defaultCaption;
    this.room = make("div", { class: "room" });
    this.element = make("div", { class: "board", tabindex: "0", role: "listbox", "aria-multiselectable": "true", "aria-label": "Images" }, this.room);
    this.more = more;
    this.tiles = new Map();
    this.clear();
    this.element.addEventListener("scroll", () => this.paint());
    new ResizeObserver(() => this.layOut()).observe(this.element);
    this.watchPointer();
  }

  clear() {
    this.items = [];
    this.sections = [];
    this.total = 0;
    this.here = 0;
    this.anchor = 0;
    this.selected = new Set();
    this.fetch = null;
    this.pages = new Map();
  }

  // Sections of items that are all here: [{title, items}].
  showSections(sections) {
    this.clear();
    let start = 0;
    for (const { title, items } of sections) {
      this.items.push(...items);
      this.sections.push({ title, start, count: items.length });
      start += items.length;
    }
    this.total = start;
    this.start();
  }

  // Items that come page by page: fetch(offset, limit) gives a list.
  showLazily(total, first, fetch) {
    this.clear();
    this.total = total;
    this.sections = total ? [{ title: "", start: 0, count: total }] : [];
    first.forEach((item, at) => { this.items[at] = item; });
    this.fetch = fetch;
    this.start();
  }

  start() {
    this.element.scrollTop = 0;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.room.querySelectorAll("h2, .empty").forEach((each) => each.remove());
    this.headings = this.sections.map(({ title }) => {
      const heading = make("h2", { text: title });
      if (title) this.room.append(heading);
      return heading;
    });
    this.layOut();
    this.changed?.();
  }

  empty(text) {
    this.showSections([]);
    this.room.append(make("p", { class: "empty", text }));
    this.room.style.height = "100%";
  }

  layOut() {
    const width = this.element.clientWidth - 2 * EDGE;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.floor((width + GAP) / (this.size + GAP)));
    this.wide = Math.floor((width + GAP) / this.columns) - GAP;
    this.high = this.wide + CAPTION + 2;
    let y = 8;
    this.sections.forEach((section, at) => {
      if (section.title) {
        this.headings[at].style.top = `${y + 6}px`;
        y += TITLE;
      }
      section.top = y;
      section.lines = Math.ceil(section.count / this.columns);
      y += section.lines * (this.high + GAP) + 4;
    });
    if (this.sections.length) this.room.style.height = `${y}px`;
    this.paint();
  }

  place(index) {
    const section = this.sections.find(({ start, count }) => index < start + count);
    const offset = index - section.start;
    const line = Math.floor(offset / this.columns);
    const column = offset % this.columns;
    return {
      section, line, column,
      left: EDGE + column * (this.wide + GAP),
      top: section.top + line * (this.high + GAP),
    };
  }

  // The indices of what lies between two heights.
  *between(top, bottom) {
    for (const { start, count, top: from, lines } of this.sections) {
      const step = this.high + GAP;
      const first = Math.max(0, Math.floor((top - from) / step));
      const last = Math.min(lines - 1, Math.floor((bottom - from) / step));
      for (let line = first; line <= last; line += 1) {
        for (let column = 0; column < this.columns; column += 1) {
          const offset = line * this.columns + column;
          if (offset < count) yield start + offset;
        }
      }
    }
  }

  paint() {
    if (!this.columns) return;
    const top = this.element.scrollTop;
    const wanted = new Set(this.between(top - MARGIN, top + this.element.clientHeight + MARGIN));
    for (const [index, tile] of this.tiles) {
      if (!wanted.has(index)) { tile.remove(); this.tiles.delete(index); }
    }
    for (const index of wanted) {
      if (!this.tiles.has(index)) {
        const tile = this.newTile(index);
        this.tiles.set(index, tile);
        this.room.append(tile);
      }
      this.paintTile(index);
    }
    this.element.setAttribute("aria-activedescendant", this.tiles.has(this.here) ? `tile-${this.here}` : "");
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), REST);
  }

  newTile(index) {
    const tile = make("div", { class: "tile", role: "option", id: `tile-${index}` });
    tile.index = index;
    tile.picture = make("div", { class: "pic" });
    tile.words = make("div", { class: "cap" });
    tile.append(tile.picture, tile.words);
    return tile;
  }

  paintTile(index) {
    const tile = this.tiles.get(index);
    if (!tile) return;
    const { left, top } = this.place(index);
    const style = tile.style;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${this.wide}px`;
    style.height = `${this.high}px`;
    tile.setAttribute("aria-selected", String(this.selected.has(index)));
    tile.setAttribute("aria-setsize", String(this.total));
    tile.setAttribute("aria-posinset", String(index + 1));
    tile.classList.toggle("here", index === this.here);
    const item = this.items[index];
    tile.classList.toggle("done", Boolean(item?.state));
    const words = item ? this.caption(item) : "";
    if (tile.words.textContent !== words) tile.words.textContent = words;
    style.setProperty("--c", item?.label ? colourOf(item.label) : "var(--quiet)");
    if (item) { tile.title = item.path; tile.dataset.row = item.row; tile.setAttribute("aria-label", `${item.path} ${words}`); }
  }

  // Pictures and pages are asked for where scrolling comes to rest.
  rest() {
    for (const [index, tile] of this.tiles) {
      const item = this.items[index];
      if (!item) { this.need(index); continue; }
      if (tile.shown === item.image) continue;
      tile.shown = item.image;
      const image = make("img", { alt: "", draggable: false });
      image.decoding = "async";
      image.onload = () => image.classList.toggle("small", image.naturalWidth <= 32);
      image.onerror = () => tile.picture.replaceChildren(make("div", { class: "gone", text: "cannot be shown" }));
      image.src = thumbnail(item);
      tile.picture.replaceChildren(image);
    }
  }

  need(index) {
    if (!this.fetch) return null;
    const page = Math.floor(index / PAGE);
    if (!this.pages.has(page)) {
      const { fetch } = this;
      this.pages.set(page, fetch(page * PAGE, PAGE).then((items) => {
        if (fetch !== this.fetch) return;
        items.forEach((item, at) => { this.items[page * PAGE + at] ??= item; });
        this.paint();
      }, () => { this.pages.delete(page); }));
    }
    return this.pages.get(page);
  }

  // Selection

  chosen() {
    const indices = this.selected.size ? [...this.selected].sort((a, b) => a - b) : [this.here];
    return indices.map((index) => this.items[index]).filter(Boolean);
  }

  select(indices, keep = false) {
    if (!keep) this.selected.clear();
    for (const index of indices) this.selected.add(index);
    this.paint();
    this.changed?.();
  }

  unselect() { this.select([]); }

  toggle(index) {
    if (this.selected.has(index)) this.selected.delete(index);
    else this.selected.add(index);
    this.moveTo(index);
    this.changed?.();
  }

  moveTo(index, extend = false) {
    if (!this.total) return;
    this.here = Math.max(0, Math.min(this.total - 1, index));
    if (extend) {
      const [low, high] = [Math.min(this.anchor, this.here), Math.max(this.anchor, this.here)];
      this.select(Array.from({ length: high - low + 1 }, (_, at) => low + at));
    } else this.anchor = this.here;
    const { top } = this.place(this.here);
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop + TITLE) this.element.scrollTop = Math.max(0, top - TITLE - 8);
    else if (top + this.high > scrollTop + clientHeight) this.element.scrollTop = top + this.high - clientHeight + 8;
    this.paint();
  }

  nextUndone() {
    for (let step = 0; step < this.total; step += 1) {
      const index = (this.here + step) % this.total;
      if (this.items[index] && !this.items[index].state) { this.moveTo(index); return; }
    }
  }

  below(step) {
    const { section, line, column } = this.place(this.here);
    const at = this.sections.indexOf(section);
    if (line + step >= 0 && line + step < section.lines) {
      const offset = (line + step) * this.columns + column;
      return section.start + Math.min(offset, section.count - 1);
    }
    const other = this.sections[at + Math.sign(step)];
    if (!other) return this.here;
    const offset = (step > 0 ? 0 : other.lines - 1) * this.columns + column;
    return other.start + Math.min(offset, other.count - 1);
  }

  key(event) {
    if (!this.total) return false;
    const page = Math.max(1, Math.floor(this.element.clientHeight / (this.high + GAP)) - 1);
    const to = {
      ArrowRight: () => this.here + 1, ArrowLeft: () => this.here - 1,
      ArrowDown: () => this.below(1), ArrowUp: () => this.below(-1),
      Home: () => 0, End: () => this.total - 1,
      PageDown: () => this.here + page * this.columns, PageUp: () => this.here - page * this.columns,
    }[event.key];
    if (to) this.moveTo(to(), event.shiftKey);
    else if (event.key === " ") this.toggle(this.here);
    else if (event.key === "Escape") this.unselect();
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectSection();
    else return false;
    return true;
  }

  async selectSection() {
    const { start, count } = this.place(this.here).section;
    if (count > 2000) return this.refuse?.("More than 2,000: narrow the search first.");
    const indices = Array.from({ length: count }, (_, at) => start + at);
    if (this.fetch) await Promise.all(indices.filter((index) => !this.items[index]).map((index) => this.need(index)));
    return this.select(indices.filter((index) => !this.items[index].state || !this.skipsDone));
  }

  update(found) {
    const fresh = new Map(found.map((item) => [item.row, item]));
    this.items.forEach((item) => {
      const now = fresh.get(item.row);
      if (!now) return;
      Object.assign(item, { label: now.label, state: now.state });
      if (!suggested(item)) Object.assign(item, { suggestion: now.suggestion, confidence: now.confidence });
    });
    this.paint();
    this.changed?.();
  }

  // Rows in sight, to be looked at again when something was said elsewhere.
  rowsInSight() {
    const inSight = [...this.tiles.keys()].map((index) => this.items[index]?.row);
    const rows = this.fetch ? inSight : this.items.map((item) => item.row);
    return rows.filter((row) => row !== undefined).slice(0, 500);
  }

  watchPointer() {
    let from = null;
    let frame = null;
    let kept = new Set();
    const point = (event) => {
      const box = this.room.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const indexAt = (event) => event.target.closest?.(".tile")?.index;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.offsetX > this.element.clientWidth) return;
      if (event.pointerType === "touch") { from = null; return; }
      from = { ...point(event), index: indexAt(event) };
      kept = event.shiftKey || event.ctrlKey || event.metaKey ? new Set(this.selected) : new Set();
      this.element.focus({ preventScroll: true });
    });
    window.addEventListener("pointermove", (event) => {
      if (!event.buttons) from = null;  // let go of outside the window
      if (!from) { frame?.remove(); return; }
      const to = point(event);
      if (!frame && Math.hypot(to.x - from.x, to.y - from.y) < 7) return;
      if (!frame) { frame = make("div", { class: "frame" }); this.room.append(frame); }
      const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
      const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
      Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
      const inside = [...this.between(top, bottom)].filter((index) => {
        const place = this.place(index);
        return place.left < right && place.left + this.wide > left && place.top < bottom && place.top + this.high > top;
      });
      this.select([...kept, ...inside]);
      const box = this.element.getBoundingClientRect();
      if (event.clientY > box.bottom - 24) this.element.scrollTop += 18;
      else if (event.clientY < box.top + 24) this.element.scrollTop -= 18;
    });
    window.addEventListener("pointerup", () => {
      frame?.remove();
      if (frame) from = null;
      setTimeout(() => { from = null; frame = null; });
    });
    this.element.addEventListener("click", (event) => {
      const index = indexAt(event);
      if (index === undefined || frame) return;
      if (event.shiftKey) this.moveTo(index, true);
      else this.toggle(index);
    });
    this.element.addEventListener("dblclick", (event) => {
      const index = indexAt(event);
      if (index !== undefined && this.items[index]) this.more?.(this.items[index]);
    });
  }
}

export function defaultCaption(item) {
  if (item.state === "label") return apart(item.label);
  if (item.state) return item.state === "skip" ? "skipped" : "unsure";
  return suggested(item) ? `${apart(item.suggestion)}? ${percent(item.confidence)}` : item.path.split("/").pop();
}
