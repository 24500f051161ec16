// A page of inputs: cards with what was answered drawn on them, or rows of a table.

import { kindOf, percent, view } from "./answers.js";
import { make } from "./dom.js";
import { answerIn, sentIn, whole } from "./rows.js";

export const SIZES = { gallery: 48, table: 100 };
const TEXT = 220;
const BRIEF = 120;

export function gallery(rows, asked, open) {
  const list = make("ul", { class: "cards" });
  // Drawn when it comes near: a page has dozens of pictures, and people look at a few.
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target, rows[Number(target.dataset.at)], asked);
    }
  }, { rootMargin: "300px" });
  rows.forEach((row, at) => {
    const card = make("li", { class: row.kind !== null ? "card failed" : row.wrong ? "card wrong" : "card" },
      make("div", { class: "drawn" }), nameOf(row, open), answerLine(row));
    card.dataset.at = String(at);
    list.append(card);
    near.observe(card);
  });
  return list;
}

function nameOf(row, open) {
  const name = make("button", { type: "button", class: "name", title: row.id }, shortName(row.id));
  name.dataset.number = String(row.number);
  name.addEventListener("click", () => open(row));
  return name;
}

/** The end of a name says more than its beginning. */
export const shortName = (id) => (id.length > 44 ? `… ${id.slice(-42)}` : id);

function answerLine(row) {
  if (row.kind !== null) {
    return make("p", { class: "answer bad" }, make("strong", {}, row.kind), ` ${row.message.slice(0, TEXT)}`);
  }
  const parts = [];
  if (row.label !== null) parts.push(make("strong", {}, row.label.slice(0, TEXT)));
  if (row.score !== null) parts.push(make("span", { class: "value" }, percent(row.score)));
  if (row.wrong) parts.push(make("span", { class: "not" }, `is ${row.truth}`));
  if (row.score !== null) parts.push(level(row.score));
  return make("p", { class: "answer" }, ...parts);
}

function level(score) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${score * 100}%`;
  return make("span", { class: "track", "aria-hidden": "true" }, fill);
}

async function draw(card, row, asked) {
  const all = whole(row);
  const place = card.querySelector(".drawn");
  const { preview } = all;
  if (row.kind === null && (await isLaidOver(all, asked))) {
    place.replaceChildren(...(await drawnOf(all, asked)));
    return;
  }
  if (preview?.picture) place.append(pictureIn(preview, ""));
  else if (preview?.text) place.append(make("p", { class: "sent" }, preview.text.slice(0, TEXT)));
  if (row.kind === null && row.label === null) card.querySelector(".answer").append(brieflyOf(all));
}

export const pictureIn = (preview, alt) => make("img", {
  alt, class: preview.width < 100 ? "tiny" : null, src: `data:${preview.type};base64,${preview.picture}`,
});

/** Whether an answer is drawn on the picture or in the text that was sent. */
export async function isLaidOver(all, asked) {
  if (!("result" in all || all.grid)) return false;
  const drawn = ["picture", "boxes", "segments", "words", "entities", "heat", "grid"];
  return drawn.includes(kindOf(await answerIn(all), answerFor(all, asked)));
}

const answerFor = (all, asked) => ({ explains: all.grid ? all.grid.signed : Boolean(asked.explain), asked: sentIn(all) });

function brieflyOf({ result }) {
  const text = result?.cut ?? (typeof result === "string" ? result : JSON.stringify(result) ?? "");
  return text.length > BRIEF ? `${text.slice(0, BRIEF)} …` : text;
}

/** A row's answer as people look at it. */
export async function drawnOf(all, asked) {
  const value = await answerIn(all);
  if (value?.cut && value.length) return [make("p", { class: "one long" }, `${value.cut} …`)];
  return view(value, answerFor(all, asked));
}

export function tableOf(rows, asked, open) {
  const judged = rows.some((row) => row.truth !== null);
  const names = ["Input", "Answer", "Score", ...(judged ? ["Truth"] : [])];
  const pictured = rows.some((row) => row.picture);
  const head = make("tr", {}, ...(pictured ? [make("th", { scope: "col" }, make("span", { class: "hidden" }, "Picture"))] : []),
    ...names.map((name) => make("th", { scope: "col", class: name === "Score" ? "number" : null }, name)));
  const body = rows.map((row) => {
    const all = whole(row);
    const sent = all.preview?.text ? [make("p", { class: "sent" }, all.preview.text.slice(0, TEXT))] : [];
    return make("tr", { class: row.kind !== null ? "failed" : row.wrong ? "wrong" : null },
      ...(pictured ? [make("td", { class: "small" }, ...(row.picture ? [pictureIn(all.preview, "")] : []))] : []),
      make("th", { scope: "row" }, nameOf(row, open), ...sent), answerCell(row, all, asked),
      make("td", { class: "number" }, row.score === null ? "" : percent(row.score)),
      ...(judged ? [make("td", {}, row.truth ?? "")] : []));
  });
  return make("div", { class: "table wide", role: "region", tabindex: "0", "aria-label": "Inputs" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

/** What was answered; a text with marks in it where that is what one looks at. */
function answerCell(row, all, asked) {
  const place = make("td", {});
  if (row.kind !== null || row.label !== null) place.append(answerLine({ ...row, score: null, wrong: false }));
  if (row.kind !== null || row.picture) return place;
  isLaidOver(all, asked).then(async (laid) => {
    if (laid) place.append(...(await drawnOf(all, asked)));
    else if (row.label === null) place.append(make("p", { class: "answer" }, brieflyOf(all)));
  });
  return place;
}
