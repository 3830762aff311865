// The common part of Grid, Review and Search: a board of tiles, and the labels of selected tiles.

import { accept, label, mark, undo } from "./actions.js";
import { Board } from "./board.js";
import { showLarge } from "./dialogs.js";
import { make, notify } from "./dom.js";
import { validSuggestion } from "./status.js";

export class TileView {
  constructor(options, kind) {
    this.board = new Board({ ...options, open: showLarge });
    this.board.onSelection = () => this.renderNote?.();
    this.tools = make("div", { class: "tools" });
    this.element = make("div", { class: kind });
    this.element.style.display = "contents";
    this.element.append(this.tools, this.board.element);
  }

  // The button that loads the next images, with the key ".".
  addNextButton(text) {
    this.next = make("button", { type: "button", title: "." }, text);
    this.next.addEventListener("click", () => { this.load(); this.focus(); });
    return this.next;
  }

  // Run `work(isCurrent)` unless the same content is loading. `isCurrent()` is false once other
  // content was requested. Subclasses define `load()`, which calls this method.
  async loadOnce(content, failure, work) {
    if (this.loading === content) return;
    this.loading = content;
    this.renderNote();
    const isCurrent = () => this.loading === content;
    try {
      await work(isCurrent);
    } catch (error) {
      if (isCurrent()) notify(`${failure}: ${error.message}`, true);
    }
    if (!isCurrent()) return;
    this.loading = null;
    this.renderNote();
  }

  get item() { return this.board.items[this.board.cursor]; }

  selectedItems() { return this.board.selectedItems(); }

  currentLabel() {
    const selected = this.selectedItems();
    const first = selected[0]?.label ?? null;
    return selected.every((item) => item.label === first) ? first : null;
  }

  focus() { this.board.element.focus({ preventScroll: true }); }

  show() { this.focus(); this.board.layOut(); }

  hide() {}

  async statusChanged(changes) {
    if (!changes.version && !changes.model) { this.board.render(); return; }
    await this.board.refresh();
    this.afterChange?.();
  }

  // Send a change of items: `change(items, started)` calls `started` once the user has agreed.
  submit(change, items = this.selectedItems()) {
    if (!items.length) return;
    change(items, () => this.submitted()).then(() => { this.board.render(); this.renderNote?.(); });
  }

  // Move the cursor to the next unlabelled item.
  submitted() {
    this.board.select([]);
    this.board.moveToUnlabelled();
    this.afterChange?.();
  }

  label(name) { this.submit((items, started) => label(items, name, started)); }

  mark(kind) { this.submit((items, started) => mark(items, kind, started), this.selectedItems().filter((item) => item.state || kind !== "clear")); }

  accept() {
    const items = this.selectedItems().filter((item) => validSuggestion(item));
    if (items.length) this.submit(accept, items);
    else notify("There is no suggestion yet: press the key of a class.");
  }

  async undo() {
    const undone = await undo();
    if (!undone?.items.length) return;
    this.board.update(undone);
    const index = this.board.items.findIndex((item) => item?.row === undone.items[0].row);
    if (index >= 0) this.board.moveTo(index);
  }

  handleKey(event) {
    if (event.key === "Enter") { this.accept(); return true; }
    if (event.key === "." && this.next) { this.load(); return true; }
    return this.board.handleKey(event);
  }
}
