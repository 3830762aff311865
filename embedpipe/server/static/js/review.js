// Labels that the head doubts, the most doubtful first.

import { get } from "./api.js";
import { make, many, percent, say } from "./dom.js";
import { Tiles } from "./tiles.js";

const MOST = 120;

export class Review extends Tiles {
  constructor() {
    super({
      tile: 168,
      caption: (item) => (item.label === item.was && item.suggestion !== item.was
        ? `${item.label} → ${item.suggestion}? ${percent(item.confidence)}`
        : item.label ?? (item.state === "skip" ? "skipped" : item.state || "no label")),
    }, "review");
    this.again = make("button", { type: "button", title: "." }, "Look again");
    this.again.addEventListener("click", () => { this.load(); this.focus(); });
    this.note = make("span", { class: "note" });
    this.tools.append(this.again, this.note);
  }

  hints() { return "Enter takes what the head says · a class key gives that class · Delete takes the label away · U undoes · . looks again"; }

  show() { super.show(); this.load(); }

  paintNote() {
    const { size } = this.board.selected;
    this.note.textContent = this.loading ? "looking …" : `${size ? `${size} selected · ` : ""}${many(this.board.total, "doubted label")}`;
  }

  say(request, items = this.chosen()) {
    const { here } = this.board;
    super.say(request, items);
    this.board.moveTo(here + 1);
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    this.paintNote();
    try {
      const { items } = await get(`/api/doubted?n=${MOST}`);
      for (const item of items) item.was = item.label;
      if (items.length) this.board.showSections([{ title: "Labels that the head doubts", items }]);
      else this.board.empty("The head doubts no label. It takes some labels of two classes at least.");
    } catch (error) {
      say(`No review: ${error.message}`, true);
    } finally {
      this.loading = false;
      this.paintNote();
    }
  }

  key(event) {
    if (event.key === ".") { this.load(); return true; }
    return super.key(event);
  }
}
