// How often the model is right: for each class, and what it takes for what.

import { scrolling } from "./answers.js";
import { counted } from "./choice.js";
import { byId, make } from "./dom.js";
import { button, grouped, share } from "./summary.js";

const MOST_CLASSES = 100;
const MATRIX = 16;

export function judge(rows, pick) {
  const judged = rows.filter((row) => row.truth !== null && row.kind === null);
  byId("truth").hidden = !judged.length;
  if (!judged.length) return;
  const pairs = new Map();
  for (const row of judged) {
    const inner = pairs.get(row.truth) ?? pairs.set(row.truth, new Map()).get(row.truth);
    inner.set(row.label, (inner.get(row.label) ?? 0) + 1);
  }
  const truths = counted(judged.map((row) => row.truth));
  const answers = new Map(counted(judged.map((row) => row.label)));
  byId("classes").replaceChildren(...perClass(truths, answers, pairs, pick));
  byId("confusion").replaceChildren(...matrix(truths, answers, pairs, pick));
}

function perClass(truths, answers, pairs, pick) {
  const head = make("tr", {}, ...[["Class"], ["Inputs", true], ["Right", true], ["Precision", true]].map(([name, number]) =>
    make("th", { scope: "col", class: number ? "number" : null }, name)));
  const lines = truths.map(([truth, count]) => {
    const right = pairs.get(truth).get(truth) ?? 0;
    const said = answers.get(truth) ?? 0;
    return { truth, count, right, said };
  }).sort((one, other) => one.right / one.count - other.right / other.count).slice(0, MOST_CLASSES);
  const body = lines.map(({ truth, count, right, said }) => make("tr", {},
    make("th", { scope: "row" }, button(truth, () => pick({ pair: { truth, label: null } }))),
    make("td", { class: "number" }, grouped(count)),
    make("td", { class: "number" }, share(right, count)),
    make("td", { class: "number" }, said ? share(right, said) : "–")));
  return [make("h3", {}, "Each class, the worst first"), scrolling(
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)), "Accuracy of each class")];
}

function matrix(truths, answers, pairs, pick) {
  const mistakes = [...pairs].flatMap(([truth, inner]) => [...inner].filter(([label]) => label !== truth)
    .map(([label, count]) => ({ truth, label, count }))).sort((one, other) => other.count - one.count);
  const names = [...new Set([...truths.map(([truth]) => truth), ...answers.keys()])].filter((name) => name !== null)
    .sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
  if (names.length > MATRIX) return [make("h3", {}, "What is taken for what"), mistaken(mistakes, pick)];
  const most = Math.max(...[...pairs.values()].flatMap((inner) => [...inner.values()]));
  const head = make("tr", {}, make("th", { scope: "col" }, "is ↓ answered →"),
    ...names.map((name) => make("th", { scope: "col", class: "number" }, name)));
  const body = names.filter((name) => pairs.has(name)).map((truth) => make("tr", {}, make("th", { scope: "row" }, truth),
    ...names.map((label) => square(truth, label, pairs.get(truth).get(label) ?? 0, most, pick))));
  return [make("h3", {}, "What is taken for what"), scrolling(
    make("table", { class: "matrix" }, make("thead", {}, head), make("tbody", {}, ...body)), "Confusion of classes")];
}

function square(truth, label, count, most, pick) {
  const element = make("td", { class: "number" });
  if (count) {
    const colour = truth === label ? "--right" : "--wrong";
    element.style.backgroundColor = `rgb(var(${colour}) / ${0.08 + (count / most) * 0.3})`;
    element.append(button(grouped(count), () => pick({ pair: { truth, label } }), {
      "aria-label": `${count} of ${truth} answered as ${label}`,
    }));
  }
  return element;
}

function mistaken(mistakes, pick) {
  if (!mistakes.length) return make("p", { class: "more" }, "Nothing is taken for anything else.");
  return make("ul", { class: "kinds" }, ...mistakes.slice(0, 20).map(({ truth, label, count }) => make("li", {},
    button(`${grouped(count)} × ${truth} → ${label ?? "no label"}`, () => pick({ pair: { truth, label } })))));
}
