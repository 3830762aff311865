// Search of all images by path, by label, or by similarity to an image.

import { get } from "./api.js";
import { make, notify, plural } from "./dom.js";
import { classNames } from "./status.js";
import { TileView } from "./tile_view.js";

const PAGE = 100;
const SIMILAR = 120;
const TYPING_DELAY = 180;

export class Search extends TileView {
  constructor() {
    super({}, "search");
    this.text = make("input", { type: "search", placeholder: "words in the path", "aria-label": "Words in the path", spellcheck: "false" });
    this.filter = make("select", { "aria-label": "Label" });
    this.note = make("span", { class: "note" });
    this.tools.append(this.text, this.filter, this.note);
    this.text.addEventListener("input", () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.load(), TYPING_DELAY); });
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.focus();
      if (this.lastQuery !== this.query()) this.load();
    });
    this.filter.addEventListener("change", () => this.load());
    this.fillFilter();
  }

  hints() { return "Shift+L finds similar images · Shift+F goes to the search text · arrows, Space and class keys as in Grid"; }

  fillFilter() {
    const { value } = this.filter;
    const option = (mark, text) => make("option", { value: mark, text });
    this.filter.replaceChildren(
      option("", "all images"), option("s:unlabelled", "unlabelled"), option("s:label", "labelled"),
      option("s:skip", "skipped"), option("s:unsure", "unsure"),
      ...classNames().map((name) => option(`c:${name}`, name)),
    );
    this.filter.value = value;
    if (this.filter.selectedIndex >= 0) return;
    this.filter.value = "";  // the class does not exist any more
    this.load();
  }

  show() {
    super.show();
    if (!this.loaded) this.load();
    this.text.focus();
  }

  statusChanged(changes) {
    const options = [...this.filter.options].slice(5).map((each) => each.value.slice(2));
    if (JSON.stringify(options) !== JSON.stringify(classNames())) this.fillFilter();
    return super.statusChanged(changes);
  }

  renderNote() {
    const { size } = this.board.selected;
    this.note.textContent = `${size ? `${size} selected · ` : ""}${plural(this.board.total, "image")}`;
  }

  query() {
    const query = new URLSearchParams({ q: this.text.value });
    const [kind, value] = [this.filter.value.slice(0, 1), this.filter.value.slice(2)];
    if (kind === "s") query.set("state", value);
    if (kind === "c") query.set("label", value);
    return String(query);
  }

  // Clear the board before a request: a key must not change images of the previous result.
  startRequest(query) {
    clearTimeout(this.typing);
    this.loaded = true;
    this.lastQuery = query;
    this.board.showSections([]);
    this.request = Symbol("request");
    return this.request;
  }

  async load() {
    const query = this.query();
    const request = this.startRequest(query);
    const fetchPage = (offset, limit) => get(`/api/items?${query}&offset=${offset}&limit=${limit}`);
    try {
      const { total, items } = await fetchPage(0, PAGE);
      if (request !== this.request) return;
      if (total) this.board.showPages(total, items, async (offset, limit) => (await fetchPage(offset, limit)).items);
      else this.board.showEmpty(this.filter.value ? "No image matches." : "No path contains these words.");
      this.renderNote();
    } catch (error) {
      notify(`Search failed: ${error.message}`, true);
    }
  }

  async showSimilar(item) {
    const request = this.startRequest(null);
    this.focus();  // so that keys label images and do not change the search text
    try {
      const { of, items } = await get(`/api/similar?row=${item.row}&n=${SIMILAR}`);
      if (request !== this.request) return;
      this.board.showSections([{ title: "This image", items: [of] }, { title: `Similar to ${of.path}`, items }]);
      this.board.moveTo(items.length ? 1 : 0);
      this.renderNote();
    } catch (error) {
      notify(`Search failed: ${error.message}`, true);
    }
  }

  handleKey(event) {
    if (event.key === "F" && event.shiftKey) { this.text.focus(); this.text.select(); return true; }
    return super.handleKey(event);
  }
}
