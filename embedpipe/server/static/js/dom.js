// Elements. What comes from the dataset or from people is only ever set as text.

export const $ = (selector) => document.querySelector(selector);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && typeof value !== "string") element[name] = value;
    else if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

let saying;

export function say(text, bad = false) {
  const line = $("#say");
  line.textContent = text;
  line.className = bad ? "on bad" : "on";
  clearTimeout(saying);
  saying = setTimeout(() => { line.className = ""; }, Math.max(bad ? 7000 : 2200, 60 * text.length));
}

export function percent(share) {
  const close = (share > 0.99 && share < 1) || (share > 0 && share < 0.01);
  return `${close ? Math.min(99.9, Math.max(0.1, 100 * share)).toFixed(1) : Math.round(100 * share)} %`;
}

// A name that is written from right to left, kept from turning round what stands beside it.
export const apart = (name) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);

export const many = (n, one, more = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;

export const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
