// A batch of images to label, grouped by suggestion.

import { retrain } from "./actions.js";
import { get } from "./api.js";
import { isolate, make, notify, plural, sleep } from "./dom.js";
import { status } from "./status.js";
import { TileView } from "./tile_view.js";

const BATCH = 48;
const MAX_TRAINING_WAIT = 4000;

export class Grid extends TileView {
  constructor() {
    super({}, "grid");
    this.board.selectsUnlabelledOnly = true;
    this.note = make("span", { class: "note" });
    this.tools.append(this.addNextButton("Next batch"), this.note);
  }

  hints() { return "arrows move, with Shift they select · Space or a click selects · Ctrl+A or a click on the heading selects the group · the key of a class labels · . next batch"; }

  show() {
    super.show();
    if (!this.board.total) this.load();
  }

  renderNote() {
    const left = this.board.items.filter((item) => !item.state).length;
    const { size } = this.board.selected;
    this.note.textContent = this.loading ? "choosing images …" : `${size ? `${size} selected · ` : ""}${left} of ${this.board.total} in this batch left`;
  }

  isDone() { return this.board.items.every((item) => item.state); }

  // While the next batch loads, a key does not change the finished batch.
  submit(change, items = this.selectedItems()) {
    if (this.loading && this.isDone()) notify("Choosing the next batch …");
    else super.submit(change, items);
  }

  afterChange() {
    this.renderNote();
    if (this.board.total && this.isDone()) this.load();
  }

  load() { return this.loadOnce("batch", "No batch", () => this.loadBatch()); }

  async loadBatch() {
    await this.updateModel();
    const { items, model } = await get(`/api/batch?n=${BATCH}`);
    for (const item of items) item.model = model;
    const groups = new Map();
    for (const item of items) groups.set(item.group, [...(groups.get(item.group) ?? []), item]);
    const sections = [...groups].map(([name, members]) => ({
      title: members[0].suggestion ? `${isolate(name)}? · ${plural(members.length, "image")}` : `${name} · ${plural(members.length, "image")}`,
      items: members,
    }));
    if (items.length) this.board.showSections(sections);
    else this.board.showEmpty("No images are left to label. Shift+R reviews the labels, Shift+E exports them.");
  }

  // Train the model with the latest labels, and wait at most MAX_TRAINING_WAIT milliseconds for it.
  async updateModel() {
    if (!status?.labelled || status.model?.version === status.version) return;
    await retrain();
    const end = Date.now() + MAX_TRAINING_WAIT;
    const before = status.model?.version;
    while (Date.now() < end) {
      await sleep(80);
      const now = await get("/api/status");
      if (!now.training || now.model?.version !== before) break;
    }
  }
}
