// One image at a time.

import { accept, label, mark, undo, updateItem } from "./actions.js";
import { get, pictureUrl } from "./api.js";
import { make, notify, percent } from "./dom.js";
import { classNames, status, validSuggestion } from "./status.js";

const BATCH = 32;
const FEW = 20;
const AHEAD = 3;
const PAUSE = 500;  // milliseconds in which a key may be for the image before

export class Single {
  constructor() {
    this.items = [];
    this.at = 0;
    this.images = new Map();
    this.stage = make("div", { class: "stage" });
    this.path = make("span", { class: "path" });
    this.answer = make("span", { class: "answer" });
    this.element = make("div", { class: "single" },
      make("div", { class: "stage-frame" }, this.stage, this.arrow("←", "Previous image", () => this.back()), this.arrow("→", "Next image, without a change", () => this.forward())),
      make("div", { class: "about" }, this.answer, this.path));
    this.filling = null;
    this.ended = false;
    this.paused = null;
  }

  arrow(key, title, run) {
    const button = make("button", { type: "button", class: key === "←" ? "arrow back" : "arrow", title, "aria-label": title, tabindex: "-1" }, make("kbd", { text: key }));
    button.addEventListener("click", run);
    return button;
  }

  hints() { return "the key of a class labels the image · ← → move without a change · ? shows all keys"; }

  get item() { return this.items[this.at]; }

  selectedItems() { return this.item ? [this.item] : []; }

  show() { this.render(); this.fill(); }

  hide() {}

  statusChanged(changes) {
    if (changes.model && this.items.length) this.fill(true);
    if (changes.version || changes.model) this.updateItems();
    this.renderLabel();
  }

  // Update labels from other tabs and suggestions of a new model. A suggestion for the current
  // image stays, because the user may be about to accept it.
  async updateItems() {
    const { items } = this;
    if (!items.length) return;
    const version = status.version;
    const found = await get(`/api/items?rows=${items.map((item) => item.row)}`).catch(() => null);
    if (!found || version !== status.version) return;
    const now = new Map(found.items.map((item) => [item.row, item]));
    for (const item of items) {
      const fresh = now.get(item.row);
      if (!fresh) continue;
      updateItem(item, fresh, found.version);
      if (item !== this.item || !validSuggestion(item)) {
        Object.assign(item, { suggestion: fresh.suggestion, confidence: fresh.confidence, model: status.model?.name });
      }
    }
    const shown = this.items.slice(0, this.at + 1);
    this.items = [...shown, ...this.items.slice(this.at + 1).filter((item) => !item.state)];
    if (this.item?.state && this.item.fresh) { this.forward(); this.setPaused(true); }
    this.renderLabel();
    this.fill();
  }

  // Take no label for a moment, because the image changed without a key; a move ends the pause.
  setPaused(on) {
    clearTimeout(this.paused);
    this.element.classList.toggle("paused", on);
    this.paused = on ? setTimeout(() => this.setPaused(false), PAUSE) : null;
  }

  // Request further images. With `replace`, they replace the images after the next one.
  fill(replace = false) {
    this.replace ||= replace;
    if (this.filling || (!this.replace && this.items.length - this.at > FEW)) return this.filling;
    const { replace: replaces } = this;
    this.replace = false;
    this.filling = get(`/api/batch?n=${BATCH}`).then(({ items, model }) => {
      // The current image and the next one, which is loaded already, stay.
      if (replaces && items.length) this.items.length = Math.min(this.items.length, this.at + 2);
      const waiting = new Set(this.items.slice(this.at).map((item) => item.row));
      const done = new Map(this.items.map((item) => [item.row, item]));
      const fresh = items.filter((item) => !item.state && !waiting.has(item.row) && !done.get(item.row)?.state);
      for (const item of fresh) Object.assign(item, { fresh: true, model });
      const empty = !this.item;
      this.items.push(...fresh);
      this.ended = !items.length;
      if (empty) this.render();
      this.preload();
    }, (error) => notify(`No images: ${error.message}`, true)).finally(() => {
      this.filling = null;
      if (!this.item) this.render();
      if (this.replace) this.fill();
    });
    return this.filling;
  }

  forward() {
    this.setPaused(false);
    if (this.at < this.items.length) this.at += 1;
    if (this.at > 200) { this.items.splice(0, 100); this.at -= 100; }
    this.render();
    this.fill();
  }

  back() {
    this.setPaused(false);
    if (this.at > 0) this.at -= 1;
    this.render();
  }

  image(item) {
    let image = this.images.get(item.row);
    if (!image) {
      image = make("img", { alt: item.path, draggable: false });
      image.decoding = "async";
      image.onload = () => image.classList.toggle("small", image.naturalWidth <= 64);
      image.onerror = () => {
        if (this.item === item) this.stage.replaceChildren(make("p", { text: "This image cannot be shown: its file is missing, changed or damaged. S skips it." }));
        this.images.delete(item.row);
      };
      image.src = pictureUrl(item);
      this.images.set(item.row, image);
    }
    return image;
  }

  preload() {
    const near = this.items.slice(Math.max(0, this.at - 1), this.at + 1 + AHEAD);
    for (const item of near) this.image(item);
    const kept = new Set(near.map((item) => item.row));
    for (const row of this.images.keys()) if (!kept.has(row)) this.images.delete(row);
  }

  render() {
    if (this.item) {
      this.stage.replaceChildren(this.image(this.item));
      this.preload();
    } else {
      const text = this.ended && !this.filling
        ? "No images are left to label. Shift+R reviews the labels, Shift+E exports them."
        : "Choosing the next images …";
      this.stage.replaceChildren(make("p", { text }));
    }
    this.renderLabel();
  }

  renderLabel() {
    const item = this.item;
    this.element.dataset.row = item?.row ?? "";
    this.path.textContent = item?.path ?? "";
    this.path.title = item?.path ?? "";
    this.answer.replaceChildren();
    if (!item) return;
    if (item.state) {
      const word = { label: item.label, accept: item.label, skip: "skipped", unsure: "unsure" }[item.state];
      this.answer.append(make("b", { text: word }));
      if (item.state === "accept") this.answer.append(" accepted suggestion, ", make("kbd", { text: "Enter" }), " confirms it");
    } else if (validSuggestion(item)) {
      this.answer.append(make("kbd", { text: "Enter" }), " ", make("b", { text: item.suggestion }),
        ` ${percent(item.confidence)}`);
    } else {
      this.answer.append(make("span", { class: "quiet", text: classNames().length ? "no suggestion yet" : "press N to name the first class" }));
    }
  }

  currentLabel() { return this.item?.label ?? null; }

  submit(change) {
    const item = this.item;
    if (!item) { notify(this.stage.textContent); return; }
    if (this.paused) { notify("The image before was labelled elsewhere. Press again for this one."); return; }
    item.fresh = false;
    change([item], () => this.forward()).then((response) => {
      if (response !== null) return;
      const at = this.items.indexOf(item);  // storing failed: return to the image
      if (at >= 0 && at <= this.at) { this.at = at; this.render(); }
    });
  }

  label(name) { this.submit((items, started) => label(items, name, started)); }

  accept() {
    if (!this.item) this.forward();
    else if (this.item.state === "accept") this.label(this.item.label);
    else if (this.item.state) this.forward();
    else if (validSuggestion(this.item)) this.submit(accept);
    else notify(classNames().length ? "There is no suggestion yet: press the key of a class." : "Press N to name the first class.");
  }

  mark(kind) {
    if (kind !== "clear") return this.submit((items, started) => mark(items, kind, started));
    if (this.item?.state) mark([this.item], kind).then(() => this.renderLabel());
    return this.renderLabel();
  }

  async undo() {
    const undone = await undo();
    if (!undone?.items.length) return;
    for (const item of this.items) {
      const now = undone.items.find((each) => each.row === item.row);
      if (now) Object.assign(item, { label: now.label, state: now.state, version: undone.version });
    }
    const first = undone.items[0];
    const at = this.items.findIndex((item) => item.row === first.row);
    if (at >= 0) this.at = at;
    else this.items.splice(this.at, 0, first);
    this.render();
  }

  handleKey(event) {
    if (event.key === "ArrowRight") this.forward();
    else if (event.key === "ArrowLeft") this.back();
    else if (event.key === "Enter") this.accept();
    else return false;
    return true;
  }
}
