// What the run came to: numbers, its course, where the time went, what failed, what was answered.

import { counted } from "./choice.js";
import { byId, duration, make, write } from "./dom.js";

const BINS = 80;
const SHOWN_LABELS = 6;
const NAMESPACE = "http://www.w3.org/2000/svg";

export const grouped = (number) => number.toLocaleString("en");
export const share = (some, all) => `${((some / all) * 100).toFixed(some && some < all ? 1 : 0)} %`;

export function summarize({ rows, parts }, pick) {
  const last = parts.at(-1);
  write(byId("model"), last?.model ?? "");
  document.title = last ? `${last.model} · mar run` : "mar run";
  ended(last);
  const seconds = parts.reduce((sum, part) => sum + part.seconds, 0) || span(rows);
  const begun = parts[0]?.begun ?? rows[0]?.at;
  write(byId("when"), begun ? new Date(begun * 1000).toLocaleString("en", { dateStyle: "long", timeStyle: "short" }) : "");
  figures(rows, seconds);
  timeline(rows);
  stages(parts);
  failures(rows, pick);
  labels(rows, pick);
}

function span(rows) {
  return rows.length > 1 ? rows.at(-1).at - rows[0].at : 0;
}

function ended(last) {
  const state = last?.finished ? "finished" : last?.interrupted ? "interrupted" : "unfinished";
  write(byId("ended"), state);
  byId("ended").hidden = false;
  byId("ended").classList.toggle("ready", state === "finished");
}

function figures(rows, seconds) {
  const failed = rows.filter((row) => row.kind !== null).length;
  const judged = rows.filter((row) => row.truth !== null && row.kind === null);
  const right = judged.filter((row) => !row.wrong).length;
  const all = [
    ["Inputs", grouped(rows.length)],
    ["Failed", grouped(failed), failed ? `${share(failed, rows.length)}` : "", failed > 0],
    ["Rate", seconds ? grouped(Number((rows.length / seconds).toPrecision(3))) : "–", seconds ? "a second" : ""],
    ["Time", seconds < 120 ? duration(seconds) : `${Math.round(seconds / 60)} min`],
  ];
  if (judged.length) all.push(["Right", share(right, judged.length), `${grouped(right)} of ${grouped(judged.length)}`]);
  byId("figures").replaceChildren(...all.map(([name, value, more, bad]) => make("div", {},
    make("dt", {}, name),
    make("dd", { class: bad ? "bad" : null }, value, ...(more ? [make("small", {}, ` ${more}`)] : [])))));
}

function timeline(rows) {
  const times = rows.map((row) => row.at).filter(Number.isFinite);
  const [first, last] = [times.reduce((one, other) => Math.min(one, other), Infinity),
    times.reduce((one, other) => Math.max(one, other), -Infinity)];
  if (times.length < 10 || last <= first) {
    byId("timeline").replaceChildren(make("p", { class: "more" }, "Too short a run to draw."));
    return;
  }
  const count = Math.min(BINS, Math.max(10, Math.round(times.length / 5)));
  const bins = Array.from({ length: count }, () => [0, 0]);
  for (const row of rows) {
    const at = Math.min(count - 1, Math.floor(((row.at - first) / (last - first)) * count));
    bins[at][row.kind === null ? 0 : 1] += 1;
  }
  const most = Math.max(...bins.map(([good, bad]) => good + bad));
  const seconds = (last - first) / count;
  const drawn = svg("svg", { viewBox: `0 0 ${count * 10} 100`, preserveAspectRatio: "none", role: "img" });
  bins.forEach(([good, bad], at) => {
    const [tall, low] = [(good / most) * 100, (bad / most) * 100];
    drawn.append(svg("rect", { class: "done", x: at * 10, y: 100 - tall - low, width: 8, height: tall }));
    drawn.append(svg("rect", { class: "lost", x: at * 10, y: 100 - low, width: 8, height: low }));
  });
  const rate = grouped(Number((most / seconds).toPrecision(2)));
  drawn.setAttribute("aria-label", `Inputs done over ${duration(last - first)}; at most ${rate} a second`);
  byId("timeline").replaceChildren(drawn, make("p", { class: "axis" },
    make("span", {}, "0 s"), make("span", {}, `at most ${rate} a second`), make("span", {}, duration(last - first))));
}

function svg(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  return element;
}

function stages(parts) {
  const sums = new Map();
  for (const part of parts) {
    for (const [name, seconds] of Object.entries(part.stages)) sums.set(name, (sums.get(name) ?? 0) + seconds);
  }
  const all = [...sums].filter(([, seconds]) => seconds > 0.0005);
  const total = all.reduce((sum, [, seconds]) => sum + seconds, 0);
  byId("stages-panel").hidden = !all.length;
  const strip = make("div", { class: "strip", "aria-hidden": "true" });
  const names = make("ul", { class: "legend", "aria-label": "Stages" });
  all.forEach(([name, seconds], at) => {
    const piece = make("span", { class: `stage-${at % 6}`, title: `${name}: ${duration(seconds)}` });
    piece.style.flexGrow = String(seconds / total);
    strip.append(piece);
    names.append(make("li", {}, make("span", { class: `swatch stage-${at % 6}`, "aria-hidden": "true" }),
      `${name} ${duration(seconds)}`));
  });
  byId("stages").replaceChildren(strip, names,
    make("p", { class: "more" }, "Added over all threads and workers, which work side by side."));
}

function failures(rows, pick) {
  const failed = rows.filter((row) => row.kind !== null);
  byId("failures-panel").hidden = !failed.length;
  byId("failures").replaceChildren(make("ul", { class: "kinds" }, ...counted(failed.map((row) => row.kind)).slice(0, 20)
    .map(([kind, count]) => make("li", {},
      button(`${grouped(count)} × ${kind}`, () => pick({ kind })),
      make("p", { class: "more" }, failed.find((row) => row.kind === kind).message)))));
}

function labels(rows, pick) {
  const answered = rows.filter((row) => row.label !== null && row.kind === null);
  const all = counted(answered.map((row) => row.label));
  const telling = all.length > 1 && all.length <= Math.max(SHOWN_LABELS, answered.length / 2);
  byId("labels-panel").hidden = !telling;
  if (!telling) return;
  const list = make("ul", { class: "counts" });
  for (const [label, count] of all.slice(0, SHOWN_LABELS)) {
    const fill = make("div", { class: "fill" });
    fill.style.width = `${(count / all[0][1]) * 100}%`;
    list.append(make("li", {}, button(label, () => pick({ label })), make("span", { class: "value" }, grouped(count)),
      make("div", { class: "track", "aria-hidden": "true" }, fill)));
  }
  const left = all.length - SHOWN_LABELS;
  byId("labels").replaceChildren(list, ...(left > 0 ? [make("p", { class: "more" }, `and ${grouped(left)} more`)] : []));
}

export function button(text, pressed, attributes = {}) {
  const element = make("button", { type: "button", class: "link", ...attributes }, text);
  element.addEventListener("click", pressed);
  return element;
}
