// Answers that are text, and texts with marks in them.

import { make } from "./dom.js";

export function plain(text, { long = false } = {}) {
  return make("p", { class: long ? "one long" : "one" }, text);
}

/** A text that grows while it comes. */
export function growing() {
  const element = make("p", { class: "one long coming" });
  return {
    element,
    add: (piece) => element.append(piece),
    end: () => element.classList.remove("coming"),
  };
}

/** Words with how much each counted: red spoke for the answer, blue against it. */
export function words({ words: list, importances }) {
  const strongest = Math.max(...importances.map(Math.abs)) || 1;
  const line = make("p", { class: "marked" });
  list.forEach((word, at) => {
    const share = importances[at] / strongest;
    const mark = make("mark", { title: importances[at].toPrecision(3) }, String(word));
    const side = share < 0 ? "--against" : "--for";
    mark.style.backgroundColor = `rgb(var(${side}) / ${Math.abs(share) * 0.5})`;
    line.append(mark, " ");
  });
  const order = list.map((_, at) => at).sort((one, other) => Math.abs(importances[other]) - Math.abs(importances[one]));
  const top = order.slice(0, 5).map((at) => `${list[at]} ${signed(importances[at])}`).join(", ");
  return [line, legend([["--for", "spoke for it"], ["--against", "against it"]]),
    make("p", { class: "more" }, `Counted most: ${top}`)];
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(2)}`;

export function legend(entries) {
  return make("ul", { class: "legend", "aria-label": "Colours" }, ...entries.map(([colour, label]) => {
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.backgroundColor = colour.startsWith("--") ? `rgb(var(${colour}) / 0.6)` : colour;
    return make("li", {}, swatch, label);
  }));
}

/** The text that was sent, with what was found in it; offsets count code points, as Python's do. */
export function entities(text, spans) {
  const letters = [...text];
  const line = make("p", { class: "marked" });
  let at = 0;
  for (const { start, end, label } of [...spans].sort((one, other) => one.start - other.start)) {
    if (start < at || end > letters.length || end <= start) continue;
    line.append(letters.slice(at, start).join(""));
    line.append(make("mark", { class: "entity" }, letters.slice(start, end).join(""), make("small", {}, label)));
    at = end;
  }
  line.append(letters.slice(at).join(""));
  return [line];
}
