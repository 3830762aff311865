// The buttons of the acts in the footer, each with its key.

import { $, make } from "./dom.js";

// Show a button for each act: [text, key, run, class of the button].
export function showToolbar(acts) {
  $("#acts").replaceChildren(...acts.map(([text, key, run, kind]) => {
    const button = make("button", { type: "button", title: key, class: kind }, make("span", { text }), make("kbd", { text: key.replace("Shift+", "⇧") }));
    button.addEventListener("click", run);
    return button;
  }));
}
