// A batch that the strategy chose, grouped by what the head says.

import { retrain } from "./acts.js";
import { get } from "./api.js";
import { apart, make, many, pause, say } from "./dom.js";
import { status } from "./store.js";
import { Tiles } from "./tiles.js";

const BATCH = 48;
const PATIENCE = 4000;

export class Grid extends Tiles {
  constructor() {
    super({}, "grid");
    this.board.skipsDone = true;
    this.note = make("span", { class: "note" });
    this.tools.append(this.offerNext("Next batch"), this.note);
  }

  hints() { return "arrows move, with Shift select · Space selects · Ctrl+A the group · a class key labels · Enter accepts · . next batch"; }

  show() {
    super.show();
    if (!this.board.total) this.load();
  }

  paintNote() {
    const left = this.board.items.filter((item) => !item.state).length;
    const { size } = this.board.selected;
    this.note.textContent = this.looking ? "choosing …" : `${size ? `${size} selected · ` : ""}${left} of ${this.board.total} to do`;
  }

  isDone() { return this.board.items.every((item) => item.state); }

  // A key that comes when all is done was meant for the next batch: it changes nothing of this one.
  say(request, items) {
    if (this.looking && this.isDone()) say("Choosing the next batch …");
    else super.say(request, items);
  }

  after() {
    this.paintNote();
    if (this.board.total && this.isDone()) this.load();
  }

  load() { return this.look("batch", "No batch", () => this.choose()); }

  async choose() {
    await this.learn();
    const { items, model } = await get(`/api/batch?n=${BATCH}`);
    for (const item of items) item.model = model;
    const groups = new Map();
    for (const item of items) groups.set(item.group, [...(groups.get(item.group) ?? []), item]);
    const sections = [...groups].map(([name, members]) => ({
      title: members[0].suggestion ? `${apart(name)}? · ${many(members.length, "image")}` : `${name} · ${many(members.length, "image")}`,
      items: members,
    }));
    if (items.length) this.board.showSections(sections);
    else this.board.empty("Nothing is left to label. Shift+R reviews the labels, Shift+E exports them.");
  }

  // Have the head learn what was said since, but do not wait for ever.
  async learn() {
    if (!status?.labelled || status.model?.version === status.version) return;
    await retrain();
    const end = Date.now() + PATIENCE;
    const before = status.model?.version;
    while (Date.now() < end) {
      await pause(80);
      const now = await get("/api/status");
      if (!now.training || now.model?.version !== before) break;
    }
  }
}
