// Helpers for elements. Text from the dataset and from users is set as text, never as HTML.

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

export function makeSvg(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

let hiding;

// Show a message for some seconds.
export function notify(text, isError = false) {
  const line = $("#message");
  line.textContent = text;
  line.className = isError ? "on bad" : "on";
  clearTimeout(hiding);
  hiding = setTimeout(() => { line.className = ""; }, Math.max(isError ? 7000 : 2200, 60 * text.length));
}

export function percent(share) {
  const close = (share > 0.99 && share < 1) || (share > 0 && share < 0.01);
  return `${close ? Math.min(99.9, Math.max(0.1, 100 * share)).toFixed(1) : Math.round(100 * share)} %`;
}

// Isolate a right-to-left name, so that it does not change the order of the text around it.
export const isolate = (name) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(name) ? `\u2068${name}\u2069` : name);

export const plural = (n, one, more = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : more}`;

export const sleep = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
