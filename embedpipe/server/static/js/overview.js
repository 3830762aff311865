// The overview: the contents of the dataset, the progress, and files that need attention.

import { undo } from "./actions.js";
import { get, post } from "./api.js";
import { make, notify, percent, plural, sleep } from "./dom.js";
import { colourOf, refreshSoon, status } from "./status.js";

const POLL_INTERVAL = 400;
const STEPS = { starting: "starting", look: "reading images", neighbours: "comparing images" };

const number = (n) => n.toLocaleString("en");
const shareOf = (part, all) => (all ? percent(part / all) : "–");

export class Overview {
  constructor() {
    this.body = make("div", { class: "cards" });
    this.element = make("div", { class: "overview", tabindex: "0", role: "region", "aria-label": "Overview" }, this.body);
  }

  hints() { return "Enter starts labelling · Tab moves between the links and buttons · ? shows all keys"; }

  selectedItems() { return []; }

  currentLabel() { return null; }

  focus() { this.element.focus({ preventScroll: true }); }

  show() { this.focus(); this.load(); }

  hide() { this.comparing = null; }

  statusChanged(changes) { if (changes.version || changes.model) this.load(); }

  label() { notify("No image is shown here: Enter opens the images."); }

  mark() { this.label(); }

  async undo() { await undo(); }

  handleKey(event) {
    if (event.key !== "Enter") return false;
    location.hash = "#single";
    return true;
  }

  async load() {
    const request = this.request = Symbol("request");
    try {
      const found = await get("/api/overview");
      if (request === this.request) this.render(found);
    } catch (error) {
      notify(`No overview: ${error.message}`, true);
    }
  }

  render(found) {
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.act : undefined;
    this.body.replaceChildren(...[
      this.progressCard(found), imagesCard(found), classesCard(found), this.copiesCard(found), filesCard(found),
    ].filter(Boolean));
    if (focused) this.body.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  progressCard() {
    const { labelled, left, accepted, skipped, unsure, items } = status;
    const start = make("a", { class: "button main", href: "#single", "data-act": "start" }, labelled ? "Continue labelling " : "Start labelling ", make("kbd", { text: "Enter" }));
    const bar = make("progress", { value: labelled, max: Math.max(1, items), "aria-label": "Images with a label" });
    return card("Progress",
      make("p", { class: "big", text: `${number(labelled)} of ${plural(items, "image")} labelled` }), bar,
      make("p", { class: "quiet", text: `${number(left)} left to label, ${accepted ? `${number(accepted)} accepted, ` : ""}${number(skipped)} skipped, ${number(unsure)} unsure` }),
      make("p", {}, start));
  }

  copiesCard({ copies }) {
    const { compared, groups, extra } = copies;
    const what = compared ? "with the same content or the same picture" : "with the same file content";
    const text = groups ? `${plural(groups, "group")} of images ${what}.` : `No images ${what}.`;
    const parts = [make("p", { text })];
    if (extra) parts.push(this.button("skip", `Keep one of each group, skip the other ${number(extra)}`, () => this.skipCopies()));
    else if (groups) parts.push(make("p", { class: "quiet", text: "One image of each group is kept; the others are skipped or labelled." }));
    if (!compared) parts.push(this.button("compare", "Find copies in other sizes", () => this.compare()));
    if (groups) parts.push(make("a", { href: "#review?list=copies", "data-act": "review", text: "Look at the copies" }));
    return card("Copies", ...parts, make("p", { class: "quiet", role: "status", text: this.step ?? "" }));
  }

  button(act, text, work) {
    const button = make("button", { type: "button", "data-act": act, text });
    button.addEventListener("click", work);
    return button;
  }

  // Compare all images; the first request starts the checks, and the next requests poll.
  async compare() {
    const comparing = this.comparing = Symbol("comparing");
    try {
      for (;;) {
        const found = await get("/api/checked?list=copies&n=0");
        if (comparing !== this.comparing) return;
        if (found.groups) break;
        this.step = `${STEPS[found.doing] ?? found.doing} ${percent(found.share)} …`;
        const line = this.body.querySelector("[role=status]");
        if (line) line.textContent = this.step;
        await sleep(POLL_INTERVAL);
      }
    } catch (error) {
      notify(`Not compared: ${error.message}`, true);
    }
    this.step = "";
    this.load();
  }

  async skipCopies() {
    try {
      const { skipped } = await post("/api/copies/skip");
      notify(`Skipped ${plural(skipped, "image")}: U undoes this.`);
      refreshSoon();
    } catch (error) {
      notify(`Not skipped: ${error.message}`, true);
    }
    this.load();
  }
}

const card = (title, ...parts) => make("section", { class: "card" }, make("h2", { text: title }), ...parts);

const rows = (lines) => make("ul", {}, ...lines.map(([text, count, href]) => make("li", {},
  href ? make("a", { href, text }) : make("span", { text }), make("span", { text: count }))));

function imagesCard({ images, formats, sizes }) {
  const sides = sizes.map(({ least, below, count }) => {
    const text = below === null ? `${number(least)} pixels or more` : `${number(least === 1 ? 0 : least)} to ${number(below - 1)} pixels`;
    const query = new URLSearchParams({ min_side: least, ...(below === null ? {} : { max_side: below - 1 }), sort: "size" });
    return [text, number(count), `#search?${query}`];
  });
  return card("Images", make("p", { class: "big", text: plural(images, "image") }),
    rows(formats.map(({ name, count }) => [name, number(count)])),
    ...(sides.length ? [make("h3", { text: "Shorter side" }), rows(sides)] : []));
}

function classesCard({ classes }) {
  if (!classes.length) return card("Classes", make("p", { text: "No classes yet: press N and type the name of the first class." }));
  const labels = classes.reduce((sum, each) => sum + each.labels, 0);
  const accepted = classes.reduce((sum, each) => sum + each.accepted, 0);
  const suggested = classes.reduce((sum, each) => sum + each.suggested, 0);
  const link = (query, text) => make("a", { href: `#search?${new URLSearchParams(query)}`, text });
  const cell = (part, all, query) => make("td", {}, part ? link(query, `${number(part)} (${shareOf(part, all)})`) : "0");
  const lines = classes.map((each) => {
    const name = make("th", { scope: "row" }, make("bdi", { text: each.name }));
    name.style.setProperty("--c", colourOf(each.name));
    return make("tr", {}, name, cell(each.labels, labels, { label: each.name, state: "label" }),
      ...(accepted ? [cell(each.accepted, accepted, { label: each.name, state: "accept" })] : []),
      cell(each.suggested, suggested, { predicted: each.name, state: "unlabelled", sort: "-confidence" }));
  });
  return card("Classes", make("table", {},
    make("thead", {}, make("tr", {}, ...["Class", "Labels", ...(accepted ? ["Accepted"] : []), "Suggestions for the rest"].map((text) => make("th", { scope: "col", text })))),
    make("tbody", {}, ...lines)));
}

// Show the path in a message, which is between backticks, as code.
const withPaths = (text) => text.split("`").map((part, at) => (at % 2 ? make("code", { text: part }) : part));

function filesCard({ unsupported, unusable, reasons }) {
  if (!unsupported.length && !unusable) return null;
  const parts = [];
  if (unusable) {
    parts.push(make("p", { text: `${plural(unusable, "file")} cannot be used:` }), make("ul", { class: "reasons" }, ...reasons.map((text) => make("li", {}, ...withPaths(text)))));
    if (unusable > reasons.length) parts.push(make("p", { class: "quiet", text: `and ${number(unusable - reasons.length)} more` }));
  }
  for (const { suffix, count, remedy } of unsupported) {
    parts.push(make("p", {}, ...withPaths(`${plural(count, `${suffix} file`)} left out: ${remedy}.`)));
  }
  return card("Files that are left out", ...parts);
}
