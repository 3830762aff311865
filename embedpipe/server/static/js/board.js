// A scrollable board of tiles, selected by click, drag or keyboard. The document contains only the
// visible tiles, so that 100,000 tiles scroll as fast as 100 tiles.

import { updateItem } from "./actions.js";
import { get, thumbnailUrl } from "./api.js";
import { isolate, make, notify, percent } from "./dom.js";
import { colourOf, validSuggestion } from "./status.js";

// Lengths are in pixels, PAGE is a number of items, SCROLL_DELAY is in milliseconds.
const GAP = 6;
const SIDE = 14;
const TITLE = 34;
const CAPTION = 20;
const MARGIN = 400;
const PAGE = 100;
const MAX_ROWS = 500;
const SCROLL_DELAY = 60;

export class Board {
  constructor({ name = "tile", tile = 136, caption = null, open = null } = {}) {
    this.name = name;  // the first part of the ids of the tiles
    this.size = tile;
    this.caption = caption ?? defaultCaption;
    this.content = make("div", { class: "content" });
    this.element = make("div", { class: "board", tabindex: "0", role: "listbox", "aria-multiselectable": "true", "aria-label": "Images" }, this.content);
    this.open = open;
    this.tiles = new Map();
    this.clear();
    this.element.addEventListener("scroll", () => this.render());
    new ResizeObserver(() => this.layOut()).observe(this.element);
    this.watchPointer();
  }

  clear() {
    this.items = [];
    this.sections = [];
    this.total = 0;
    this.cursor = 0;
    this.anchor = 0;
    this.selected = new Set();
    this.fetch = null;
    this.pages = new Map();
  }

  // Show sections of items: [{title, items}].
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

  // Show items that are loaded page by page: fetch(offset, limit) resolves to a list.
  showPages(total, first, fetch) {
    this.clear();
    this.total = total;
    this.sections = total ? [{ title: "", start: 0, count: total }] : [];
    first.forEach((item, at) => { this.items[at] = item; });
    this.fetch = fetch;
    this.start();
  }

  start() {
    // Screen readers need a list to have options, so an empty board is a group.
    this.element.setAttribute("role", this.total ? "listbox" : "group");
    if (this.total) this.element.setAttribute("aria-multiselectable", "true");
    else this.element.removeAttribute("aria-multiselectable");
    this.element.scrollTop = 0;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.content.querySelectorAll("h2, .empty").forEach((each) => each.remove());
    this.headings = this.sections.map((section) => {
      const heading = make("h2", { text: section.title, role: "presentation", title: "Select the group (Ctrl+A); with Shift: add to the selection" });
      heading.addEventListener("click", (event) => this.selectSection(section, event.shiftKey));
      if (section.title) this.content.append(heading);
      return heading;
    });
    this.layOut();
    this.onSelection?.();
  }

  showEmpty(text) {
    this.showSections([]);
    this.content.append(make("p", { class: "empty", text }));
    this.content.style.height = "100%";
  }

  layOut() {
    const width = this.element.clientWidth - 2 * SIDE;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.floor((width + GAP) / (this.size + GAP)));
    this.tileWidth = Math.floor((width + GAP) / this.columns) - GAP;
    this.tileHeight = this.tileWidth + CAPTION + 2;
    let y = 8;
    this.sections.forEach((section, at) => {
      if (section.title) {
        this.headings[at].style.top = `${y + 6}px`;
        y += TITLE;
      }
      section.top = y;
      section.lines = Math.ceil(section.count / this.columns);
      y += section.lines * (this.tileHeight + GAP) + 4;
    });
    if (this.sections.length) this.content.style.height = `${y}px`;
    this.render();
  }

  place(index) {
    const section = this.sections.find(({ start, count }) => index < start + count);
    const offset = index - section.start;
    const line = Math.floor(offset / this.columns);
    const column = offset % this.columns;
    return {
      section, line, column,
      left: SIDE + column * (this.tileWidth + GAP),
      top: section.top + line * (this.tileHeight + GAP),
    };
  }

  // The indices of the tiles between two heights.
  *between(top, bottom) {
    for (const { start, count, top: from, lines } of this.sections) {
      const step = this.tileHeight + GAP;
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

  render() {
    if (!this.columns) return;
    const top = this.element.scrollTop;
    const visible = new Set(this.between(top - MARGIN, top + this.element.clientHeight + MARGIN));
    for (const [index, tile] of this.tiles) {
      if (!visible.has(index)) { tile.remove(); this.tiles.delete(index); }
    }
    for (const index of visible) {
      if (!this.tiles.has(index)) {
        const tile = this.newTile(index);
        this.tiles.set(index, tile);
        this.content.append(tile);
      }
      this.renderTile(index);
    }
    this.element.setAttribute("aria-activedescendant", this.tiles.has(this.cursor) ? `${this.name}-${this.cursor}` : "");
    clearTimeout(this.scrollTimer);
    this.scrollTimer = setTimeout(() => { this.loadImages(); this.updateOutdated(); }, SCROLL_DELAY);
  }

  newTile(index) {
    const tile = make("div", { class: "tile", role: "option", id: `${this.name}-${index}` });
    tile.index = index;
    tile.picture = make("div", { class: "pic" });
    tile.caption = make("div", { class: "cap" });
    tile.append(tile.picture, tile.caption);
    return tile;
  }

  renderTile(index) {
    const tile = this.tiles.get(index);
    if (!tile) return;
    const { left, top } = this.place(index);
    const style = tile.style;
    style.left = `${left}px`;
    style.top = `${top}px`;
    style.width = `${this.tileWidth}px`;
    style.height = `${this.tileHeight}px`;
    tile.setAttribute("aria-selected", String(this.selected.has(index)));
    tile.setAttribute("aria-setsize", String(this.total));
    tile.setAttribute("aria-posinset", String(index + 1));
    tile.classList.toggle("cursor", index === this.cursor);
    const item = this.items[index];
    tile.classList.toggle("done", Boolean(item?.state));
    tile.classList.toggle("accepted", item?.state === "accept");
    const caption = item ? this.caption(item, index) : "";
    if (tile.caption.textContent !== caption) tile.caption.textContent = caption;
    style.setProperty("--c", item?.label ? colourOf(item.label) : "var(--quiet)");
    tile.setAttribute("aria-label", item ? `${item.path} ${caption}` : "loading");
    if (item) { tile.title = item.path; tile.dataset.row = item.row; }
  }

  // Load images and pages for the visible tiles, after scrolling ends.
  loadImages() {
    for (const [index, tile] of this.tiles) {
      const item = this.items[index];
      if (!item) { this.fetchPage(index); continue; }
      if (tile.shown === item.image) continue;
      tile.shown = item.image;
      const image = make("img", { alt: "", draggable: false });
      image.decoding = "async";
      image.onload = () => image.classList.toggle("small", image.naturalWidth <= 32);
      image.onerror = () => tile.picture.replaceChildren(make("div", { class: "broken", text: "cannot be shown" }));
      image.src = thumbnailUrl(item);
      tile.picture.replaceChildren(image);
    }
  }

  fetchPage(index) {
    if (!this.fetch) return null;
    const page = Math.floor(index / PAGE);
    if (!this.pages.has(page)) {
      const { fetch } = this;
      this.pages.set(page, fetch(page * PAGE, PAGE).then((items) => {
        if (fetch !== this.fetch) return;
        items.forEach((item, at) => { this.items[page * PAGE + at] ??= item; });
        this.render();
      }, () => { this.pages.delete(page); }));
    }
    return this.pages.get(page);
  }

  // Selection

  selectedItems() {
    const indices = this.selected.size ? [...this.selected].sort((a, b) => a - b) : [this.cursor];
    return indices.map((index) => this.items[index]).filter(Boolean);
  }

  select(indices, keep = false) {
    if (!keep) this.selected.clear();
    for (const index of indices) this.selected.add(index);
    this.render();
    this.onSelection?.();
  }

  unselect() { this.select([]); }

  toggle(index) {
    if (this.selected.has(index)) this.selected.delete(index);
    else this.selected.add(index);
    this.moveTo(index);
    this.onSelection?.();
  }

  // Add all tiles from the anchor to a tile to the selection.
  addRange(index) {
    const [low, high] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
    const { anchor } = this;
    this.moveTo(index);
    this.anchor = anchor;
    this.select(Array.from({ length: high - low + 1 }, (_, at) => low + at), true);
  }

  moveTo(index, extend = false) {
    if (!this.total) return;
    this.cursor = Math.max(0, Math.min(this.total - 1, index));
    if (extend) {
      const [low, high] = [Math.min(this.anchor, this.cursor), Math.max(this.anchor, this.cursor)];
      this.select(Array.from({ length: high - low + 1 }, (_, at) => low + at));
    } else this.anchor = this.cursor;
    const { top } = this.place(this.cursor);
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop + TITLE) this.element.scrollTop = Math.max(0, top - TITLE - 8);
    else if (top + this.tileHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.tileHeight - clientHeight + 8;
    this.render();
  }

  moveToUnlabelled() {
    for (let step = 0; step < this.total; step += 1) {
      const index = (this.cursor + step) % this.total;
      if (this.items[index] && !this.items[index].state) { this.moveTo(index); return; }
    }
  }

  rowBelow(step) {
    const { section, line, column } = this.place(this.cursor);
    const at = this.sections.indexOf(section);
    if (line + step >= 0 && line + step < section.lines) {
      const offset = (line + step) * this.columns + column;
      return section.start + Math.min(offset, section.count - 1);
    }
    const other = this.sections[at + Math.sign(step)];
    if (!other) return this.cursor;
    const offset = (step > 0 ? 0 : other.lines - 1) * this.columns + column;
    return other.start + Math.min(offset, other.count - 1);
  }

  handleKey(event) {
    if (!this.total) return false;
    const page = Math.max(1, Math.floor(this.element.clientHeight / (this.tileHeight + GAP)) - 1);
    const to = {
      ArrowRight: () => this.cursor + 1, ArrowLeft: () => this.cursor - 1,
      ArrowDown: () => this.rowBelow(1), ArrowUp: () => this.rowBelow(-1),
      Home: () => 0, End: () => this.total - 1,
      PageDown: () => this.cursor + page * this.columns, PageUp: () => this.cursor - page * this.columns,
    }[event.key];
    if (to) this.moveTo(to(), event.shiftKey);
    else if (event.key === " ") this.toggle(this.cursor);
    else if (event.key === "Escape") this.unselect();
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) this.selectSection();
    else return false;
    return true;
  }

  async selectSection({ start, count } = this.place(this.cursor).section, keep = false) {
    if (count > 2000) return notify("More than 2,000 images: narrow the search first.");
    const indices = Array.from({ length: count }, (_, at) => start + at);
    if (this.fetch) await Promise.all(indices.filter((index) => !this.items[index]).map((index) => this.fetchPage(index)));
    return this.select(indices.filter((index) => !this.items[index].state || !this.selectsUnlabelledOnly), keep);
  }

  // Request the states of the items again: at once if they are visible or if the list has no pages,
  // and otherwise when they become visible.
  refresh() {
    this.items.forEach((item) => { item.outdated = true; });
    return this.updateOutdated();
  }

  async updateOutdated() {
    const shown = this.fetch ? [...this.tiles.keys()].map((index) => this.items[index]) : this.items;
    const rows = shown.filter((item) => item?.outdated).map((item) => item.row).slice(0, MAX_ROWS);
    if (!rows.length) return;
    const found = await get(`/api/items?rows=${rows}`).catch(() => null);
    if (found) this.update(found);
  }

  update({ items, version }) {
    const fresh = new Map(items.map((item) => [item.row, item]));
    this.items.forEach((item) => {
      const now = fresh.get(item.row);
      if (!now) return;
      updateItem(item, now, version);
      item.outdated = false;
      if (!validSuggestion(item)) Object.assign(item, { suggestion: now.suggestion, confidence: now.confidence });
    });
    this.render();
    this.onSelection?.();
  }

  watchPointer() {
    let from = null;
    let frame = null;
    let kept = new Set();
    const point = (event) => {
      const box = this.content.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const indexAt = (event) => event.target.closest?.(".tile")?.index;
    this.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.offsetX > this.element.clientWidth) return;
      if (event.pointerType === "touch") { from = null; return; }
      from = { ...point(event), index: indexAt(event) };
      kept = event.shiftKey || event.ctrlKey || event.metaKey || this.keepsSelection ? new Set(this.selected) : new Set();
      this.element.focus({ preventScroll: true });
    });
    window.addEventListener("pointermove", (event) => {
      if (!event.buttons) from = null;  // the button was released outside the window
      if (!from) { frame?.remove(); return; }
      const to = point(event);
      if (!frame && Math.hypot(to.x - from.x, to.y - from.y) < 7) return;
      if (!frame) { frame = make("div", { class: "frame" }); this.content.append(frame); }
      const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
      const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
      Object.assign(frame.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
      const inside = [...this.between(top, bottom)].filter((index) => {
        const place = this.place(index);
        return place.left < right && place.left + this.tileWidth > left && place.top < bottom && place.top + this.tileHeight > top;
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
      if (event.shiftKey) this.addRange(index);
      else this.toggle(index);
    });
    this.element.addEventListener("dblclick", (event) => {
      const index = indexAt(event);
      if (index !== undefined && this.items[index]) this.open?.(this.items[index]);
    });
  }
}

export function defaultCaption(item) {
  if (item.state === "label") return isolate(item.label);
  if (item.state === "accept") return `${isolate(item.label)} (accepted)`;
  if (item.state) return item.state === "skip" ? "skipped" : "unsure";
  return validSuggestion(item) ? `${isolate(item.suggestion)}? ${percent(item.confidence)}` : item.path.split("/").pop();
}
