// Search of all images by words, path, label, prediction, size and date, or by similarity to an image.

import { get, postFile } from "./api.js";
import { make, notify, plural } from "./dom.js";
import { classNames, status } from "./status.js";
import { TileView } from "./tile_view.js";

const PAGE = 100;
const SIMILAR = 120;
const TYPING_DELAY = 180;
const MAX_BYTES = 40_000_000;
const EXAMPLE = "Choose an image; dropping or pasting one here does the same";
const [SMALLEST, LARGEST] = [72, 320];

const STATES = [
  ["", "all images"], ["unlabelled", "without a label"], ["labelled", "with a label"], ["label", "labelled by a person"],
  ["accept", "accepted suggestions"], ["skip", "skipped"], ["unsure", "unsure"],
];

const SORTS = [
  ["path", "by path"], ["-confidence", "surest first"], ["confidence", "least sure first"],
  ["-size", "largest first"], ["size", "smallest first"], ["-date", "newest first"], ["date", "oldest first"],
];

const select = (name, options = []) => make("select", { "aria-label": name },
  ...options.map(([value, text]) => make("option", { value, text })));

export class Search extends TileView {
  constructor() {
    super({}, "search");
    this.text = make("input", { type: "search", placeholder: "words in the path", "aria-label": "Words in the path", spellcheck: "false" });
    this.sort = select("Order", SORTS);
    this.opener = make("button", { type: "button", "aria-expanded": "false", "aria-controls": "filters", text: "Filters" });
    this.size = make("input", { type: "range", min: String(SMALLEST), max: String(LARGEST), value: String(this.board.size), "aria-label": "Size of the images", title: "Size of the images" });
    this.note = make("span", { class: "note", role: "status" });
    this.words = make("input", { type: "search", placeholder: "what the image shows", "aria-label": "What the image shows", maxlength: "500", hidden: !status?.search_by.words });
    this.example = make("button", { type: "button", title: EXAMPLE, text: "Search with an image", hidden: !status?.search_by.image });
    this.chooser = make("input", { type: "file", accept: "image/*", "aria-label": "Image to search with", tabindex: "-1", hidden: true });
    this.image = null;
    this.tools.append(this.words, this.example, this.chooser, this.text, this.sort, this.opener, this.size, this.note);
    this.addFilters();
    this.watchControls();
    this.likely = "";
  }

  // The conditions by their names in the query, in their order on the page.
  addFilters() {
    const number = (name, step) => make("input", { type: "number", min: "0", step, inputmode: "decimal", "aria-label": name });
    const day = (name) => make("input", { type: "date", "aria-label": name });
    this.fields = {
      state: select("State", STATES), label: select("Label"), predicted: select("Suggestion"),
      min_confidence: number("Lowest confidence in percent", "any"), max_confidence: number("Highest confidence in percent", "any"),
      annotator: select("Annotator"), folder: select("Folder"),
      min_side: number("Shorter side, at least, in pixels", "1"), max_side: number("Shorter side, at most, in pixels", "1"),
      after: day("File date, first day"), before: day("File date, last day"),
    };
    const { state, label, predicted, min_confidence, max_confidence, annotator, folder, min_side, max_side, after, before } = this.fields;
    const field = (title, ...parts) => make("div", { class: "field" }, make("span", { text: title }), ...parts);
    this.clearing = make("button", { type: "button", text: "Clear filters" });
    this.filters = make("div", { class: "filters", id: "filters", role: "group", "aria-label": "Filters", hidden: true },
      field("State", state), field("Label", label), field("Suggestion", predicted),
      field("Confidence", min_confidence, "to", max_confidence, "%"), field("Labelled by", annotator), field("Folder", folder),
      field("Shorter side", min_side, "to", max_side, "pixels"), field("File date", after, "to", before), this.clearing);
    this.tools.after(this.filters);
  }

  watchControls() {
    const later = () => { clearTimeout(this.typing); this.typing = setTimeout(() => this.load(), TYPING_DELAY); };
    this.text.addEventListener("input", later);
    this.text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.focus();
      if (this.lastQuery !== this.query()) this.load();
    });
    // The words are encoded by the backbone, so they are sent when they are complete.
    this.words.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "ArrowDown") return;
      event.preventDefault();
      this.image = null;
      this.focus();
      if (this.lastQuery !== this.query()) this.load();
    });
    this.words.addEventListener("search", () => { if (!this.words.value && this.lastQuery !== this.query()) this.load(); });
    this.example.addEventListener("click", () => {
      if (!this.image) this.chooser.click();
      else { this.image = null; this.load(); }
    });
    this.chooser.addEventListener("change", () => {
      if (this.chooser.files[0]) this.searchImage(this.chooser.files[0]);
      this.chooser.value = "";
    });
    for (const field of Object.values(this.fields)) field.addEventListener(field.matches("select") ? "change" : "input", later);
    this.sort.addEventListener("change", () => { this.likely = ""; this.load(); });
    this.opener.addEventListener("click", () => this.openFilters(this.filters.hidden));
    this.clearing.addEventListener("click", () => { this.setQuery(new URLSearchParams()); this.load(); });
    this.size.addEventListener("input", () => { this.board.size = Number(this.size.value); this.board.layOut(); });
  }

  hints() { return "Shift+L finds similar images · Shift+F goes to the search text, Tab to the filters · arrows move · Space selects · the key of a class labels"; }

  openFilters(open) {
    this.filters.hidden = !open;
    this.opener.setAttribute("aria-expanded", String(open));
    if (open) this.fillChoices();
    this.board.layOut();
  }

  // Offer the values that occur, with the number of their images. A chosen value stays.
  async fillChoices() {
    const found = await get("/api/choices").catch(() => null);
    if (!found) return;
    const fill = (name, all, values) => {
      const field = this.fields[name];
      const { value } = field;
      const known = values.some((each) => each.name === value) || !value ? values : [...values, { name: value, count: 0 }];
      field.replaceChildren(make("option", { value: "", text: all }), ...known.map((each) => make("option", { value: each.name, text: `${name === "folder" && each.name === "." ? "top folder" : each.name} (${each.count.toLocaleString("en")})` })));
      field.value = value;
    };
    fill("label", "any label", found.labels);
    fill("predicted", found.predicted.length ? "any suggestion" : "no model yet", found.predicted);
    fill("annotator", "anyone", found.annotators);
    fill("folder", "any folder", found.folders);
    const [least, most] = found.sides;
    if (least !== undefined) Object.assign(this.fields.min_side, { placeholder: least }) && Object.assign(this.fields.max_side, { placeholder: most });
    const [first, last] = found.dates;
    for (const name of ["after", "before"]) if (first) Object.assign(this.fields[name], { min: first, max: last });
  }

  show() {
    super.show();
    if (!this.loaded) this.load();
    this.text.focus();
  }

  // Show the images of a link such as `#search?predicted=shirt&state=unlabelled`.
  openQuery(query) {
    this.setQuery(query);
    this.load();
    this.focus();
  }

  setQuery(query) {
    this.text.value = query.get("q") ?? "";
    this.words.value = query.get("words") ?? "";
    this.image = null;
    for (const [name, field] of Object.entries(this.fields)) {
      const value = query.get(name) ?? "";
      if (field.matches("select") && ![...field.options].some((each) => each.value === value)) field.append(make("option", { value, text: value || "any" }));
      field.value = value && /confidence/.test(name) ? String(Math.round(1e4 * Number(value)) / 100) : value;
    }
    this.sort.value = query.get("sort") ?? "path";
    this.likely = query.get("likely") ?? "";
    if (!this.filters.hidden) this.fillChoices();
  }

  statusChanged(changes) {
    if (changes.version || changes.model) {
      const removed = ["label", "predicted"].filter((name) => this.fields[name].value && !classNames().includes(this.fields[name].value));
      for (const name of removed) this.fields[name].value = "";
      if (!this.filters.hidden) this.fillChoices();
      if (removed.length) return this.load();
    }
    return super.statusChanged(changes);
  }

  renderNote() {
    const { size } = this.board.selected;
    const all = status?.items ?? 0;
    const { total } = this.board;
    const count = this.lastQuery && total < all && this.active().length ? `${total.toLocaleString("en")} of ${plural(all, "image")}` : plural(total, "image");
    this.note.textContent = `${size ? `${size} selected · ` : ""}${count}`;
  }

  // The conditions that are set, as [name, value]; a confidence is a share in the query.
  active() {
    return Object.entries(this.fields).filter(([, field]) => field.value)
      .map(([name, { value }]) => [name, /confidence/.test(name) ? Math.min(1, Math.max(0, Number(value) / 100)).toFixed(4) : value]);
  }

  query() {
    const query = new URLSearchParams({ q: this.text.value, sort: this.sort.value, ...Object.fromEntries(this.active()) });
    if (this.likely) query.set("likely", this.likely);
    if (this.image) query.set("image", this.image.key);
    else if (this.words.value.trim()) query.set("words", this.words.value.trim());
    return String(query);
  }

  // Clear the board before a request: a key must not change images of the previous result.
  startRequest(query) {
    clearTimeout(this.typing);
    this.loaded = true;
    this.lastQuery = query;
    this.board.showSections([]);
    this.request = Symbol("request");
    const count = this.active().length;
    this.opener.textContent = count ? `Filters (${count})` : "Filters";
    this.example.textContent = this.image ? `Similar to ${this.image.name} ×` : "Search with an image";
    this.example.title = this.image ? "End the search with this image" : EXAMPLE;
    this.sort.disabled = Boolean(this.image || this.words.value.trim());
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
      else this.board.showEmpty(this.active().length ? "No image matches these filters." : "No path contains these words.");
      this.renderNote();
    } catch (error) {
      notify(`Search failed: ${error.message}`, true);
    }
  }

  // Sort all images by their similarity to an image that is dropped, pasted or chosen.
  async searchImage(file) {
    try {
      if (file.size > MAX_BYTES) throw new Error(`the file has more than ${MAX_BYTES / 1e6} MB.`);
      const { image } = await postFile("/api/search/image", file);
      this.words.value = "";
      this.image = { key: image, name: file.name || "the image" };
      this.focus();
      await this.load();
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
