// One image at a time.

import { accept, label, mark, undo } from "./acts.js";
import { get, picture } from "./api.js";
import { make, percent, say } from "./dom.js";
import { names, status, suggested } from "./store.js";

const BATCH = 32;
const FEW = 20;
const AHEAD = 3;

export class Single {
  constructor() {
    this.items = [];
    this.at = 0;
    this.pictures = new Map();
    this.stage = make("div", { class: "stage" });
    this.path = make("span", { class: "path" });
    this.said = make("span", { class: "said" });
    this.element = make("div", { class: "single" },
      this.stage, make("div", { class: "about" }, this.said, this.path));
    this.filling = null;
    this.ended = false;
  }

  hints() { return "Enter accepts · S skips · U undoes · N new class · ← → move · ? all keys"; }

  get item() { return this.items[this.at]; }

  chosen() { return this.item ? [this.item] : []; }

  show() { this.paint(); this.fill(); }

  hide() {}

  changed(what) {
    if (what.model && this.items.length) this.fill(true);
    if (what.version || what.model) this.recheck();
    this.paintSaid();
  }

  // Another tab may have said something of what waits here, and a new head suggests. What is
  // suggested for the image in sight does not change under the finger on Enter.
  async recheck() {
    const waiting = this.items.slice(Math.max(0, this.at - 1));
    if (!waiting.length) return;
    const version = status.version;
    const found = await get(`/api/items?rows=${waiting.map((item) => item.row)}`).catch(() => null);
    if (!found || version !== status.version) return;
    const now = new Map(found.items.map((item) => [item.row, item]));
    for (const item of waiting) {
      const fresh = now.get(item.row);
      if (!fresh) continue;
      Object.assign(item, { label: fresh.label, state: fresh.state });
      if (item !== this.item || !suggested(item)) {
        Object.assign(item, { suggestion: fresh.suggestion, confidence: fresh.confidence, model: status.model?.name });
      }
    }
    const head = this.items.slice(0, this.at + 1);
    this.items = [...head, ...this.items.slice(this.at + 1).filter((item) => !item.state)];
    if (this.item?.state && this.item.fresh) this.forward();
    this.paintSaid();
    this.fill();
  }

  // With `anew`, what a new head chooses takes the place of what waits, once it is here.
  fill(anew = false) {
    this.anew ||= anew;
    if (this.filling || (!this.anew && this.items.length - this.at > FEW)) return this.filling;
    const { anew: replaces } = this;
    this.anew = false;
    this.filling = get(`/api/batch?n=${BATCH}`).then(({ items, model }) => {
      // What is looked at stays, and the next, which is loaded.
      if (replaces && items.length) this.items.length = Math.min(this.items.length, this.at + 2);
      const here = new Set(this.items.slice(this.at).map((item) => item.row));
      const done = new Map(this.items.map((item) => [item.row, item]));
      const fresh = items.filter((item) => !item.state && !here.has(item.row) && !done.get(item.row)?.state);
      for (const item of fresh) Object.assign(item, { fresh: true, model });
      const empty = !this.item;
      this.items.push(...fresh);
      this.ended = !items.length;
      if (empty) this.paint();
      this.preload();
    }, (error) => say(`No images: ${error.message}`, true)).finally(() => {
      this.filling = null;
      if (!this.item) this.paint();
      if (this.anew) this.fill();
    });
    return this.filling;
  }

  forward() {
    if (this.at < this.items.length) this.at += 1;
    if (this.at > 200) { this.items.splice(0, 100); this.at -= 100; }
    this.paint();
    this.fill();
  }

  back() {
    if (this.at > 0) this.at -= 1;
    this.paint();
  }

  image(item) {
    let image = this.pictures.get(item.row);
    if (!image) {
      image = make("img", { alt: item.path, draggable: false });
      image.decoding = "async";
      image.onload = () => image.classList.toggle("small", image.naturalWidth <= 64);
      image.onerror = () => {
        if (this.item === item) this.stage.replaceChildren(make("p", { text: "This image cannot be shown: it is gone, changed or damaged. S skips it." }));
        this.pictures.delete(item.row);
      };
      image.src = picture(item);
      this.pictures.set(item.row, image);
    }
    return image;
  }

  preload() {
    const near = this.items.slice(Math.max(0, this.at - 1), this.at + 1 + AHEAD);
    for (const item of near) this.image(item);
    const kept = new Set(near.map((item) => item.row));
    for (const row of this.pictures.keys()) if (!kept.has(row)) this.pictures.delete(row);
  }

  paint() {
    if (this.item) {
      this.stage.replaceChildren(this.image(this.item));
      this.preload();
    } else {
      const text = this.ended && !this.filling
        ? "Nothing is left to label. Shift+R reviews the labels, Shift+E exports them."
        : "Choosing what to label next …";
      this.stage.replaceChildren(make("p", { text }));
    }
    this.paintSaid();
  }

  paintSaid() {
    const item = this.item;
    this.element.dataset.row = item?.row ?? "";
    this.path.textContent = item?.path ?? "";
    this.path.title = item?.path ?? "";
    this.said.replaceChildren();
    if (!item) return;
    if (item.state) {
      const word = { label: item.label, skip: "skipped", unsure: "unsure" }[item.state];
      this.said.append(make("b", { text: word }));
    } else if (suggested(item)) {
      this.said.append(make("kbd", { text: "Enter" }), " ", make("b", { text: item.suggestion }),
        ` ${percent(item.confidence)}`);
    } else {
      this.said.append(make("span", { class: "quiet", text: names().length ? "no suggestion yet" : "N names the first class" }));
    }
  }

  current() { return this.item?.label ?? null; }

  say(request) {
    const item = this.item;
    if (!item) { say(this.stage.textContent); return; }
    item.fresh = false;
    request([item]).then((found) => {
      if (found !== null) return;
      const at = this.items.indexOf(item);  // not stored: back to it, and to the first of several
      if (at >= 0 && at <= this.at) { this.at = at; this.paint(); }
    });
    this.forward();
  }

  label(name) { this.say((items) => label(items, name)); }

  mark(kind) {
    if (kind !== "clear") return this.say((items) => mark(items, kind));
    if (this.item?.state) mark([this.item], kind).then(() => this.paintSaid());
    return this.paintSaid();
  }

  async undo() {
    const found = await undo();
    if (!found?.items.length) return;
    for (const item of found.items) Object.assign(this.items.find((each) => each.row === item.row) ?? {}, { label: item.label, state: item.state });
    const first = found.items[0];
    const at = this.items.findIndex((item) => item.row === first.row);
    if (at >= 0) this.at = at;
    else this.items.splice(this.at, 0, first);
    this.paint();
    say(`Undone: ${first.path}`);
  }

  key(event) {
    if (event.key === "ArrowRight") this.forward();
    else if (event.key === "ArrowLeft") this.back();
    else if (event.key === "Enter") {
      if (this.item && suggested(this.item) && !this.item.state) this.say((items) => accept(items).then((done) => (done.includes(null) ? null : done)));
      else if (this.item && !this.item.state) say(names().length ? "There is no suggestion yet: press the key of a class." : "Press N to name the first class.");
      else this.forward();
    } else return false;
    return true;
  }
}
