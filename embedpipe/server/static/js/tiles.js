// What Grid, Review and Search share: a board, and what is said of the tiles chosen on it. What is
// shown comes from `load`, one at a time.

import { accept, label, mark, undo } from "./acts.js";
import { get } from "./api.js";
import { Board } from "./board.js";
import { lookAt } from "./dialogs.js";
import { make, say } from "./dom.js";
import { suggested } from "./store.js";

export class Tiles {
  constructor(options, kind) {
    this.board = new Board({ ...options, more: lookAt });
    this.board.refuse = (text) => say(text);
    this.board.changed = () => this.paintNote?.();
    this.tools = make("div", { class: "tools" });
    this.element = make("div", { class: kind });
    this.element.style.display = "contents";
    this.element.append(this.tools, this.board.element);
  }

  // A button, and a key, that shows what is next.
  offerNext(text) {
    this.next = make("button", { type: "button", title: "." }, text);
    this.next.addEventListener("click", () => { this.load(); this.focus(); });
    return this.next;
  }

  // Look for what is to be shown, unless that is being done already. The work is told whether
  // it is still asked for: something else may be by now.
  async look(what, missing, work) {
    if (this.looking === what) return;
    this.looking = what;
    this.paintNote();
    const asked = () => this.looking === what;
    try {
      await work(asked);
    } catch (error) {
      if (asked()) say(`${missing}: ${error.message}`, true);
    }
    if (!asked()) return;
    this.looking = null;
    this.paintNote();
  }

  get item() { return this.board.items[this.board.here]; }

  chosen() { return this.board.chosen(); }

  current() {
    const chosen = this.chosen();
    const first = chosen[0]?.label ?? null;
    return chosen.every((item) => item.label === first) ? first : null;
  }

  focus() { this.board.element.focus({ preventScroll: true }); }

  show() { this.focus(); this.board.layOut(); }

  hide() {}

  async changed(what) {
    if (!what.version && !what.model) { this.board.paint(); return; }
    const rows = this.board.rowsInSight();
    if (!rows.length) return;
    const found = await get(`/api/items?rows=${rows}`).catch(() => null);
    if (found) this.board.update(found.items);
    this.after?.();
  }

  say(request, items = this.chosen()) {
    if (!items.length) return;
    const told = request(items);
    this.board.select([]);
    this.board.nextUndone();
    this.after?.();
    Promise.resolve(told).then(() => { this.board.paint(); this.paintNote?.(); });
  }

  label(name) { this.say((items) => label(items, name)); }

  mark(kind) { this.say((items) => mark(items, kind), this.chosen().filter((item) => item.state || kind !== "clear")); }

  async undo() {
    const found = await undo();
    if (!found?.items.length) return;
    this.board.update(found.items);
    const index = this.board.items.findIndex((item) => item?.row === found.items[0].row);
    if (index >= 0) this.board.moveTo(index);
    say(found.rows.length === 1 ? `Undone: ${found.items[0].path}` : `Undone: ${found.rows.length} images`);
  }

  key(event) {
    if (event.key === "Enter") {
      const items = this.chosen().filter((item) => suggested(item));
      if (items.length) this.say(accept, items);
      else say("There is no suggestion yet: press the key of a class.");
      return true;
    }
    if (event.key === "." && this.next) { this.load(); return true; }
    return this.board.key(event);
  }
}
