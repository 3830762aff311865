// What may be wrong: labels that the head doubts, copies, outliers, images that do not serve.

import { get } from "./api.js";
import { defaultCaption } from "./board.js";
import { apart, make, many, pause, percent } from "./dom.js";
import { Tiles } from "./tiles.js";

const MOST = 120;
const MOST_CHECKED = 500;
const ASK_AGAIN = 400;

const LISTS = [
  ["labels", "labels that the head doubts", "doubted label"],
  ["copies", "copies", "group"],
  ["outliers", "outliers", "image"],
  ["small", "tiny or blank images", "image"],
];

const DOING = { starting: "starting", look: "looking at images", neighbours: "comparing vectors" };

const NONE = {
  copies: "No image is there twice.",
  outliers: "No image is far from all others.",
  small: "No image is tiny or blank.",
};

export class Review extends Tiles {
  constructor() {
    super({ tile: 168, caption: (item) => this.caption(item) }, "review");
    this.list = make("select", { "aria-label": "What to review", title: "," },
      ...LISTS.map(([value, text]) => make("option", { value, text })));
    this.list.addEventListener("change", () => { this.board.showSections([]); this.load(); this.focus(); });
    this.note = make("span", { class: "note" });
    this.tools.append(this.list, this.offerNext("Look again"), this.note);
    this.found = 0;
    this.unread = [];
  }

  hints() { return "Enter takes what the head says · a class key gives that class · S skips · U undoes · Ctrl+A the group · , next list · . looks again"; }

  show() { super.show(); this.load(); }

  hide() { this.looking = null; }

  caption(item) {
    if (item.was === undefined) return defaultCaption(item);
    if (item.label === item.was && item.suggestion !== item.was) return `${apart(item.label)} → ${apart(item.suggestion)}? ${percent(item.confidence)}`;
    return apart(item.label ?? "") || (item.state ? defaultCaption(item) : "no label");
  }

  paintNote() {
    const { size } = this.board.selected;
    const [, , one] = LISTS.find(([value]) => value === this.list.value);
    const unread = this.unread?.length && this.list.value === "small" ? ` · ${this.unread.length} cannot be read` : "";
    this.note.title = unread ? this.unread.map(({ path, reason }) => `${path}: ${reason}`).join("\n") : "";
    this.note.textContent = this.looking ? `${this.doing} …` : `${size ? `${size} selected · ` : ""}${many(this.found, one)}${unread}`;
  }

  say(request, items = this.chosen()) {
    const { here } = this.board;
    super.say(request, items);
    this.board.moveTo(here + 1);
  }

  load() {
    const list = this.list.value;
    this.doing = "looking";
    return this.look(list, "No review", async (asked) => {
      const { found, unread = [], sections, none = NONE[list] } = list === "labels" ? await this.doubted() : await this.checked(list, asked);
      if (!asked()) return;
      Object.assign(this, { found, unread });
      if (sections.length) this.board.showSections(sections);
      else this.board.empty(none);
    });
  }

  async doubted() {
    const { items, judged, labelled, reason } = await get(`/api/doubted?n=${MOST}`);
    for (const item of items) item.was = item.label;
    const none = reason ? `No label was judged: ${reason}.` : `No label is likely wrong: ${judged} of ${labelled} were judged.`;
    return { none, found: items.length, sections: items.length ? [{ title: "Labels that the head doubts", items }] : [] };
  }

  // What the checks found; whoever asks first sets them off.
  async checked(list, asked) {
    let found = {};
    while (!found.groups) {
      found = await get(`/api/checked?list=${list}&n=${MOST_CHECKED}`);
      if (found.groups) break;
      this.doing = `${DOING[found.doing] ?? found.doing} ${Math.round(100 * found.share)} %`;
      this.paintNote();
      await pause(ASK_AGAIN);
      if (!asked()) return {};
    }
    const sections = found.groups.map(({ title, items }) => ({ title: `${title} · ${many(items.length, "image")}`, items }));
    return { found: found.total, unread: found.failed, sections };
  }

  key(event) {
    if (event.key !== ",") return super.key(event);
    this.list.selectedIndex = (this.list.selectedIndex + 1) % LISTS.length;
    this.list.dispatchEvent(new Event("change"));
    return true;
  }
}
