// The buttons of the acts in the footer, each with its key.

import { $, make } from "./dom.js";

// Show a button for each act: [text, key, run].
export function showToolbar(acts) {
  $("#acts").replaceChildren(...acts.map(([text, key, run]) => {
    const button = make("button", { type: "button", title: key }, make("span", { text }), make("kbd", { text: key.replace("Shift+", "⇧") }));
    button.addEventListener("click", run);
    return button;
  }));
}
