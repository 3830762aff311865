// Lists of possible problems: likely wrong labels, copies, outliers, tiny and blank images.

import { get } from "./api.js";
import { defaultCaption } from "./board.js";
import { isolate, make, percent, plural, sleep } from "./dom.js";
import { TileView } from "./tile_view.js";

const MAX_LABELS = 120;
const MAX_CHECKED = 500;
const POLL_INTERVAL = 400;

// Value, text of the choice, and singular noun of the counted entries.
const LISTS = [
  ["labels", "likely wrong labels", "label"],
  ["copies", "copies", "group"],
  ["outliers", "outliers", "image"],
  ["small", "tiny or blank images", "image"],
];

const STEPS = { starting: "starting", look: "reading images", neighbours: "comparing images" };

const EMPTY = {
  copies: "No image occurs twice.",
  outliers: "No image is very different from all other images.",
  small: "No image is tiny or blank.",
};

export class Review extends TileView {
  constructor() {
    super({ tile: 168, caption: (item) => this.caption(item) }, "review");
    this.list = make("select", { "aria-label": "List to review", title: "," },
      ...LISTS.map(([value, text]) => make("option", { value, text })));
    this.list.addEventListener("change", () => { this.board.showSections([]); this.load(); this.focus(); });
    this.note = make("span", { class: "note" });
    this.tools.append(this.list, this.addNextButton("Refresh"), this.note);
    this.found = 0;
    this.unreadable = [];
  }

  hints() { return "Ctrl+A or a click on the heading selects the group · the key of a class labels · , next list · . refreshes"; }

  show() { super.show(); this.load(); }

  hide() { this.loading = null; }

  // Show the list of a link such as `#review?list=copies`.
  openQuery(query) {
    if (!LISTS.some(([value]) => value === query.get("list"))) return;
    this.list.value = query.get("list");
    this.list.dispatchEvent(new Event("change"));
  }

  caption(item) {
    if (item.was === undefined) return defaultCaption(item);
    if (item.label === item.was && item.suggestion !== item.was) return `${isolate(item.label)} → ${isolate(item.suggestion)}? ${percent(item.confidence)}`;
    return isolate(item.label ?? "") || (item.state ? defaultCaption(item) : "no label");
  }

  renderNote() {
    const { size } = this.board.selected;
    const [, , one] = LISTS.find(([value]) => value === this.list.value);
    const unreadable = this.unreadable.length && this.list.value === "small" ? ` · ${this.unreadable.length} cannot be read` : "";
    this.note.title = unreadable ? this.unreadable.map(({ path, reason }) => `${path}: ${reason}`).join("\n") : "";
    this.note.textContent = this.loading ? `${this.step} …` : `${size ? `${size} selected · ` : ""}${plural(this.found, one)}${unreadable}`;
  }

  submitted() {
    const { cursor } = this.board;
    super.submitted();
    this.board.moveTo(cursor + 1);
  }

  load() {
    const list = this.list.value;
    this.step = "loading";
    return this.loadOnce(list, "No review", async (isCurrent) => {
      const { found, unreadable = [], sections, empty = EMPTY[list] } = list === "labels" ? await this.loadLabels() : await this.loadChecked(list, isCurrent);
      if (!isCurrent()) return;
      Object.assign(this, { found, unreadable });
      if (sections.length) this.board.showSections(sections);
      else this.board.showEmpty(empty);
    });
  }

  async loadLabels() {
    const { items, judged, labelled, reason } = await get(`/api/doubted?n=${MAX_LABELS}`);
    for (const item of items) item.was = item.label;
    const empty = reason ? `No label was checked: ${reason}.` : `No label is likely to be wrong: ${judged} of ${labelled} labels were checked.`;
    return { empty, found: items.length, sections: items.length ? [{ title: "Likely wrong labels", items }] : [] };
  }

  // Load a list of the checks. The first request starts the checks; poll until they end.
  async loadChecked(list, isCurrent) {
    let response = {};
    while (!response.groups) {
      response = await get(`/api/checked?list=${list}&n=${MAX_CHECKED}`);
      if (response.groups) break;
      this.step = `${STEPS[response.doing] ?? response.doing} ${Math.round(100 * response.share)} %`;
      this.renderNote();
      await sleep(POLL_INTERVAL);
      if (!isCurrent()) return {};
    }
    const sections = response.groups.map(({ title, items }) => ({ title: `${title} · ${plural(items.length, "image")}`, items }));
    return { found: response.total, unreadable: response.failed, sections };
  }

  handleKey(event) {
    if (event.key !== ",") return super.handleKey(event);
    this.list.selectedIndex = (this.list.selectedIndex + 1) % LISTS.length;
    this.list.dispatchEvent(new Event("change"));
    return true;
  }
}
