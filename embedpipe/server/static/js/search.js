// All items: by path, by what was said of them, or like a given one.

import { get } from "./api.js";
import { make, many, say } from "./dom.js";
import { names } from "./store.js";
import { Tiles } from "./tiles.js";

const PAGE = 100;
const LIKE = 120;
const TYPED = 180;

export class Search extends Tiles {
  constructor() {
    super({}, "search");
    this.text = make("input", { type: "search", placeholder: "parts of a path", "aria-label": "Parts of a path", spellcheck: "false" });
    this.state = make("select", { "aria-label": "What was said" });
    this.note = make("span", { class: "note" });
    this.tools.append(this.text, this.state, this.note);
    this.text.addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.load(), TYPED); });
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.focus();
      if (this.asked !== this.query()) this.load();
    });
    this.state.addEventListener("change", () => this.load());
    this.fillStates();
  }

  hints() { return "Shift+L more like this one · Shift+F to the text · arrows, Space and class keys as in Grid"; }

  fillStates() {
    const { value } = this.state;
    const option = (mark, text) => make("option", { value: mark, text });
    this.state.replaceChildren(
      option("", "everything"), option("s:unlabelled", "unlabelled"), option("s:label", "labelled"),
      option("s:skip", "skipped"), option("s:unsure", "unsure"),
      ...names().map((name) => option(`c:${name}`, name)),
    );
    this.state.value = value;
    if (this.state.selectedIndex >= 0) return;
    this.state.value = "";  // the class is none any more
    this.load();
  }

  show() {
    super.show();
    if (!this.loaded) this.load();
    this.text.focus();
  }

  changed(what) {
    const known = [...this.state.options].slice(5).map((each) => each.value.slice(2));
    if (JSON.stringify(known) !== JSON.stringify(names())) this.fillStates();
    return super.changed(what);
  }

  paintNote() {
    const { size } = this.board.selected;
    this.note.textContent = `${size ? `${size} selected · ` : ""}${many(this.board.total, "image")}`;
  }

  query() {
    const query = new URLSearchParams({ q: this.text.value });
    const [kind, value] = [this.state.value.slice(0, 1), this.state.value.slice(2)];
    if (kind === "s") query.set("state", value);
    if (kind === "c") query.set("label", value);
    return String(query);
  }

  async load() {
    clearTimeout(this.typing);
    this.loaded = true;
    const query = this.query();
    this.asked = query;
    this.board.showSections([]);  // no key may reach what is no longer asked for
    const ask = (offset, limit) => get(`/api/items?${query}&offset=${offset}&limit=${limit}`);
    const turn = Symbol("turn");
    this.turn = turn;
    try {
      const { total, items } = await ask(0, PAGE);
      if (turn !== this.turn) return;
      if (!total) this.board.empty(this.state.value ? "There is no such image." : "No path holds that.");
      else this.board.showLazily(total, items, async (offset, limit) => (await ask(offset, limit)).items);
      this.paintNote();
    } catch (error) {
      say(`No answer: ${error.message}`, true);
    }
  }

  async like(item) {
    clearTimeout(this.typing);
    this.loaded = true;
    const turn = Symbol("turn");
    this.turn = turn;
    this.asked = null;
    this.board.showSections([]);
    this.focus();  // what is typed now is said of an image, not searched for
    try {
      const { of, items } = await get(`/api/similar?row=${item.row}&n=${LIKE}`);
      if (turn !== this.turn) return;
      this.board.showSections([{ title: "This one", items: [of] }, { title: `Like ${of.path}`, items }]);
      this.board.moveTo(items.length ? 1 : 0);
      this.paintNote();
    } catch (error) {
      say(`No answer: ${error.message}`, true);
    }
  }

  key(event) {
    if (event.key === "F" && event.shiftKey) { this.text.focus(); this.text.select(); return true; }
    return super.key(event);
  }
}
